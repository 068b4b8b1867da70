package controlapi

import (
	"cmp"
	"crypto/sha256"
	"slices"
	"strconv"
	"time"

	"signpost/internal/access"
	"signpost/internal/limits"
	"signpost/internal/model"
)

// mostDelayed is how many calls with wrong credentials are kept waiting at a time; those
// beyond are answered at once.
const mostDelayed = 256

func (c *call) shown() (limits.Credential, time.Time) {
	sum := sha256.Sum256([]byte(c.caller.Authorization))
	return limits.Credential(sum[:16]), c.s.now()
}

// locked refuses a credential that was wrong too often.
func (c *call) locked() error {
	credential, now := c.shown()
	if wait := c.s.guesses.Locked(limits.Network(c.caller.Source), credential, now); wait > 0 {
		c.wrong = true
		c.s.metrics.guesses.WithLabelValues("locked").Inc()
		return tooManyGuesses(wait)
	}
	return nil
}

// guessed counts a wrong credential and is what is answered, after a while.
func (c *call) guessed(wrong error) error {
	credential, now := c.shown()
	f := c.s.guesses.Failed(limits.Network(c.caller.Source), credential, now)
	if f.Delay > 0 {
		select {
		case c.s.delayed <- struct{}{}:
			t := time.NewTimer(f.Delay)
			select {
			case <-t.C:
			case <-c.ctx.Done():
			}
			t.Stop()
			<-c.s.delayed
		default:
		}
	}
	if f.Retry == 0 {
		c.s.metrics.guesses.WithLabelValues("wrong").Inc()
		return wrong
	}
	c.s.metrics.guesses.WithLabelValues("too_many").Inc()
	return tooManyGuesses(f.Retry).From(wrong)
}

func tooManyGuesses(after time.Duration) *model.Error {
	return model.E(model.Exhausted, "authenticate", "").Because("this credential, or too many from your network, were wrong").
		Hint("try again in " + after.Round(time.Second).String() + " with the right one, which is taken at once").After(after)
}

// How many calls a minute one principal may make, whatever comes of them, at most twice as
// many at once: of those that look or give a sign of life, of those that ask name servers, of
// those that are to change something, and, from one network, of those that nobody's credential
// is needed for.
const (
	readsAMinute   = 3000
	statusAMinute  = 120
	triesAMinute   = 3000
	nobodysAMinute = 600
)

// paceCall counts a call, once, before it is decided on, so that those that are refused and
// those that change nothing count, too; it refuses it when there were too many.
// Operators have no bound. Errors: Exhausted.
func (c *call) paceCall() error {
	if c.counted || c.who.Kind == access.Admin || c.who.Operator {
		return nil
	}
	c.counted = true
	perMinute, who := triesAMinute, "tries "+c.who.Name()
	count, hint := c.s.metrics.paced, "change less often, and only what is not so already"
	if c.action.Looks() || c.action == access.EndpointBeat {
		perMinute, who = readsAMinute, "all "+c.who.Name()
		count, hint = c.s.metrics.pacedReads, "ask less often, or follow changes with watch"
	}
	switch {
	case c.who.Kind == access.Nobody:
		perMinute, who = nobodysAMinute, "from "+limits.Network(c.caller.Source).String()
	case c.action == access.StatusRead:
		perMinute, who = statusAMinute, "status "+c.who.Name()
	}
	wait := c.s.reads.Take(who, perMinute, c.s.now())
	if wait == 0 {
		return nil
	}
	count.Inc()
	c.refused = true
	return model.E(model.Exhausted, string(c.action), c.resource.Name.Text()).
		Because("you have asked more than " + strconv.Itoa(perMinute) + " times a minute").Hint(hint).After(wait)
}

// pace counts a change, once for each call, and refuses it when the principal has made
// too many of late. What etcd keeps for a call with a request id is one, too. Operators
// have no bound. Errors: Exhausted.
func (c *call) pace(p *plan) error {
	if len(p.audits) == 0 && c.caller.RequestID == "" {
		return nil
	}
	return c.paceWrite(p)
}

// paceWrite is pace for what is written whatever comes of the change.
func (c *call) paceWrite(p *plan) error {
	if c.paced || c.who.Kind == access.Admin || c.who.Operator {
		return nil
	}
	zones := p.each
	if len(zones) == 0 {
		zones = []*model.Zone{cmp.Or(p.in, p.zone)}
	}
	for _, z := range zones {
		if err := c.paceIn(p, z); err != nil {
			return err
		}
	}
	c.paced = true
	return nil
}

// paceIn counts a change in a zone; nil: in none.
func (c *call) paceIn(p *plan, z *model.Zone) error {
	perMinute, who := model.DefaultMaxChanges, c.who.Name()
	if z != nil {
		policy, err := p.Glance(z)
		if err != nil {
			return err
		}
		perMinute, who = int(policy.WithDefaults().MaxChanges), who+" "+z.Name.String()
	}
	if wait := c.takeChange(p, who, perMinute); wait > 0 {
		return c.tooManyChanges("you have", perMinute, wait)
	}
	if z != nil {
		return c.paceOwner(p, z)
	}
	return nil
}

// keptUnit is how many octets of a reply that is kept for a request id count as one change more.
const keptUnit = 1 << 10

// takeChange counts a change for who, once however often it is decided: what is refused is
// decided again on the state of now.
func (c *call) takeChange(p *plan, who string, perMinute int) (wait time.Duration) {
	if p.taken == nil {
		p.taken = map[string]int{}
	}
	if p.taken[who]++; p.taken[who] <= c.taken[who] {
		return 0
	}
	if wait = c.s.paces.TakeN(who, perMinute, 1+p.kept/keptUnit, c.s.now()); wait == 0 {
		if c.taken == nil {
			c.taken = map[string]int{}
		}
		c.taken[who]++
	}
	return wait
}

func (c *call) tooManyChanges(who string, perMinute int, wait time.Duration) error {
	c.s.metrics.paced.Inc()
	c.refused = true
	return model.E(model.Exhausted, string(c.action), c.resource.Name.Text()).
		Because(who + " made more than " + strconv.Itoa(perMinute) + " changes a minute").
		Hint("change less often; what is the same already needs no change, nor a request id").After(wait)
}

// ownersShare is how many times the changes of one principal those make in all that machines
// make to one owner's hosts.
const ownersShare = 10

// paceOwner counts a change that a machine makes to its host for the host's owner: who has
// many hosts has as many principals. Hosts of admin tokens, and of operators who are named,
// have no bound. Errors: Exhausted.
func (c *call) paceOwner(p *plan, z *model.Zone) error {
	if c.who.Kind != access.HostSecret && c.who.Kind != access.EndpointSecret || slices.Contains(c.s.operators, model.PrincipalName(p.owner)) {
		return nil
	}
	if _, err := model.ParsePrincipalName("owner", p.owner); err != nil {
		return nil // no person's, or the call is about no host
	}
	policy, err := p.Glance(z)
	if err != nil {
		return err
	}
	d := policy.WithDefaults()
	perMinute := max(ownersShare*int(d.MaxChanges), int(d.MaxHosts))
	if wait := c.takeChange(p, "hosts of "+p.owner+" "+z.Name.String(), perMinute); wait > 0 {
		return c.tooManyChanges("all hosts of its owner have", perMinute, wait)
	}
	return nil
}
