package call

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

func (c *Call) shown() (limits.Credential, time.Time) {
	sum := sha256.Sum256([]byte(c.Caller.Authorization))
	return limits.Credential(sum[:16]), c.Desk.Now()
}

// locked refuses a credential that was wrong too often.
func (c *Call) locked() error {
	credential, now := c.shown()
	if wait := c.Desk.guesses.Locked(limits.Network(c.Caller.Source), credential, now); wait > 0 {
		c.wrong = true
		c.Desk.metrics.guesses.WithLabelValues("locked").Inc()
		return tooManyGuesses(wait)
	}
	return nil
}

// guessed counts a wrong credential and is what is answered, after a while.
func (c *Call) guessed(wrong error) error {
	credential, now := c.shown()
	f := c.Desk.guesses.Failed(limits.Network(c.Caller.Source), credential, now)
	if f.Delay > 0 {
		select {
		case c.Desk.delayed <- struct{}{}:
			t := time.NewTimer(f.Delay)
			select {
			case <-t.C:
			case <-c.Ctx.Done():
			}
			t.Stop()
			<-c.Desk.delayed
		default:
		}
	}
	if f.Retry == 0 {
		c.Desk.metrics.guesses.WithLabelValues("wrong").Inc()
		return wrong
	}
	c.Desk.metrics.guesses.WithLabelValues("too_many").Inc()
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
func (c *Call) paceCall() error {
	if c.counted || c.Who.Kind == access.Admin || c.Who.Operator {
		return nil
	}
	c.counted = true
	perMinute, who := triesAMinute, "tries "+c.Who.Name()
	count, hint := c.Desk.metrics.paced, "change less often, and only what is not so already"
	if c.Action.Looks() || c.Action == access.EndpointBeat {
		perMinute, who = readsAMinute, "all "+c.Who.Name()
		count, hint = c.Desk.metrics.pacedReads, "ask less often, or follow changes with watch"
	}
	switch {
	case c.Who.Kind == access.Nobody:
		perMinute, who = nobodysAMinute, "from "+limits.Network(c.Caller.Source).String()
	case c.Action == access.StatusRead:
		perMinute, who = statusAMinute, "status "+c.Who.Name()
	}
	wait := c.Desk.reads.Take(who, perMinute, c.Desk.Now())
	if wait == 0 {
		return nil
	}
	count.Inc()
	c.Refused = true
	return model.E(model.Exhausted, string(c.Action), c.Resource.Name.Text()).
		Because("you have asked more than " + strconv.Itoa(perMinute) + " times a minute").Hint(hint).After(wait)
}

// pace counts a change, once for each call, and refuses it when the principal has made
// too many of late. What etcd keeps for a call with a request id is one, too. Operators
// have no bound. Errors: Exhausted.
func (c *Call) pace(p *Plan) error {
	if len(p.Audits) == 0 && c.Caller.RequestID == "" {
		return nil
	}
	return c.PaceWrite(p)
}

// PaceWrite is pace for what is written whatever comes of the change.
func (c *Call) PaceWrite(p *Plan) error {
	if c.paced || c.Who.Kind == access.Admin || c.Who.Operator {
		return nil
	}
	zones := p.Each
	if len(zones) == 0 {
		zones = []*model.Zone{cmp.Or(p.In, p.Changed)}
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
func (c *Call) paceIn(p *Plan, z *model.Zone) error {
	perMinute, who := model.DefaultMaxChanges, c.Who.Name()
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
func (c *Call) takeChange(p *Plan, who string, perMinute int) (wait time.Duration) {
	if p.taken == nil {
		p.taken = map[string]int{}
	}
	if p.taken[who]++; p.taken[who] <= c.taken[who] {
		return 0
	}
	if wait = c.Desk.Paces.TakeN(who, perMinute, 1+p.kept/keptUnit, c.Desk.Now()); wait == 0 {
		if c.taken == nil {
			c.taken = map[string]int{}
		}
		c.taken[who]++
	}
	return wait
}

func (c *Call) tooManyChanges(who string, perMinute int, wait time.Duration) error {
	c.Desk.metrics.paced.Inc()
	c.Refused = true
	return model.E(model.Exhausted, string(c.Action), c.Resource.Name.Text()).
		Because(who + " made more than " + strconv.Itoa(perMinute) + " changes a minute").
		Hint("change less often; what is the same already needs no change, nor a request id").After(wait)
}

// ownersShare is how many times the changes of one principal those make in all that machines
// make to one owner's hosts.
const ownersShare = 10

// paceOwner counts a change that a machine makes to its host for the host's owner: who has
// many hosts has as many principals. Hosts of admin tokens, and of operators who are named,
// have no bound. Errors: Exhausted.
func (c *Call) paceOwner(p *Plan, z *model.Zone) error {
	if c.Who.Kind != access.HostSecret && c.Who.Kind != access.EndpointSecret || slices.Contains(c.Desk.Operators, model.PrincipalName(p.Owner)) {
		return nil
	}
	if _, err := model.ParsePrincipalName("owner", p.Owner); err != nil {
		return nil // no person's, or the call is about no host
	}
	policy, err := p.Glance(z)
	if err != nil {
		return err
	}
	d := policy.WithDefaults()
	perMinute := max(ownersShare*int(d.MaxChanges), int(d.MaxHosts))
	if wait := c.takeChange(p, "hosts of "+p.Owner+" "+z.Name.String(), perMinute); wait > 0 {
		return c.tooManyChanges("all hosts of its owner have", perMinute, wait)
	}
	return nil
}

// PaceKept counts, once for each call, a name in a zone that is kept for the caller until
// then, and says whether that is one of the most that they may have at a time.
func (c *Call) PaceKept(z *model.Zone, most int, until time.Time) bool {
	if c.keeps == nil {
		now := c.Desk.Now()
		c.keeps = new(c.Desk.Paces.TakeOf("kept "+c.Who.Name()+" "+z.Name.String(), most, max(until.Sub(now), time.Second), now) == 0)
	}
	return *c.keeps
}
