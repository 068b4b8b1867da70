package certificates

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/miekg/dns"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/message"
	"signpost/controlapi/records"
	"signpost/internal/access"
	"signpost/internal/acme"
	"signpost/internal/model"
	"signpost/internal/store"
)

// acmeAutomation is who sets challenges and takes them away.
const acmeAutomation = "system/acme"

// challengePlace is where the challenge of a host is, whose own place is the second of the
// path. Errors: Precondition when that is in another zone than the host.
func challengePlace(tx *store.Tx, host model.Name) (facts.Place, error) {
	refuse := func(why string) (facts.Place, error) {
		return facts.Place{}, model.E(model.Precondition, issueOp, host.Text()).Because(why)
	}
	name, err := host.Child(access.Challenge)
	if err != nil {
		return refuse("its name is too long for " + access.Challenge + " below it")
	}
	at, err := facts.ReadPlace(tx, name, dns.TypeTXT)
	switch {
	case err != nil:
		return at, err
	case at.Apex || len(at.Path) < 2:
		return refuse(name.Text() + " is a zone of its own")
	case at.Path[1].Data == nil || at.Path[1].Data.Host == nil || at.Path[1].Host == nil:
		return refuse("there is no such host")
	}
	return at, nil
}

// solver sets the challenge of one order and takes it away.
type solver struct {
	s         *Service
	c         *call.Call
	w         *wantedCert
	order     *store.Order
	presented bool
	failed    error // why it was not set, or not seen
}

// Present sets the values and waits until every name server serves them.
func (v *solver) Present(ctx context.Context, values []acme.Challenge) error {
	v.presented = true
	rev, err := v.set(ctx, values)
	if err == nil {
		err = v.s.awaitServed(ctx, v.w.zone, rev)
	}
	v.failed = err
	return err
}

// CleanUp takes the values away. What it cannot is swept later.
func (v *solver) CleanUp(ctx context.Context, _ []acme.Challenge) error {
	ctx, cancel := context.WithTimeout(ctx, afterwards)
	defer cancel()
	err := v.s.takeChallenge(ctx, v.c.Caller.LogID, v.w.zone.Name, v.w.host, v.order.ID())
	if err != nil {
		v.c.Log(slog.LevelWarn, "a challenge is left to be swept", v.c.Line(""), slog.Any("error", err))
	}
	return err
}

func (v *solver) set(ctx context.Context, values []acme.Challenge) (int64, error) {
	s := v.s
	return s.ByItself(ctx, acmeAutomation, access.CertChallenge, v.c.Caller.LogID, func(p *call.Plan) error {
		tx := p.Tx
		if err := tx.HoldOrder(v.order); err != nil {
			return err
		}
		z, h, err := p.Host(v.w.host, "")
		if err == nil {
			err = v.w.still(z, h)
		}
		if err == nil {
			err = s.orderable(tx, v.w.host)
		}
		if err != nil {
			return err
		}
		at, err := challengePlace(tx, v.w.host)
		if err != nil {
			return err
		}
		left, err := tx.Challenge(z, v.w.host) // by an order that ended in the middle
		if err != nil {
			return err
		}
		next := &model.Challenge{Order: v.order.ID(), ExpireTime: s.Now().Add(challengeExpires)}
		for _, c := range values {
			if c.Name != at.Name {
				return model.E(model.Internal, issueOp, v.w.host.Text()).Because("the challenge is for another name")
			}
			next.Values = append(next.Values, c.Value)
		}
		old, had := model.FindRRset(at.Sets(), dns.TypeTXT)
		ttl := old.TTL
		if !had {
			ttl = z.WithDefaults().MinTTL
		}
		kept := old
		if left != nil {
			kept = withoutValues(old, left.Values)
		}
		set, err := withValues(kept, ttl, next.Values)
		if err != nil {
			return err
		}
		if err := records.Put(p, at, model.WithRRset(at.Sets(), set)); err != nil {
			return err
		}
		tx.PutChallenge(z, v.w.host, next)
		p.Record(z.Name, at.Name, "TXT", message.RRset(old), message.RRset(set))
		return nil
	})
}

// takeChallenge takes away what an order has set below a host, and nothing else.
func (s *Service) takeChallenge(ctx context.Context, logID string, zone, host model.Name, order string) error {
	_, err := s.ByItself(ctx, acmeAutomation, access.CertChallenge, logID, func(p *call.Plan) error {
		tx := p.Tx
		z, err := tx.Zone(zone)
		if err != nil {
			if model.KindOf(err) == model.NotFound {
				err = nil
			}
			return err
		}
		kept, err := tx.Challenge(z, host)
		if err != nil || kept == nil || kept.Order != order {
			return err
		}
		tx.PutChallenge(z, host, nil)
		name, err := host.Child(access.Challenge)
		if err != nil {
			return err
		}
		at, err := facts.ReadPlace(tx, name, dns.TypeTXT)
		if err != nil || at.Zone.Name != zone || at.Apex {
			return err
		}
		old, _ := model.FindRRset(at.Sets(), dns.TypeTXT)
		next := withoutValues(old, kept.Values)
		if len(next.Data) == len(old.Data) {
			return nil
		}
		if h := facts.HostOn(at.Path); h != nil {
			p.Owner = h.Host.Owner
		}
		sets := model.WithRRset(at.Sets(), next)
		if len(next.Data) == 0 {
			sets = model.WithoutRRset(at.Sets(), dns.TypeTXT)
		}
		p.Record(zone, name, "TXT", message.RRset(old), message.RRset(next))
		return records.Put(p, at, sets)
	})
	return err
}

// SweepChallenges takes away what orders have left below hosts that ended in the middle,
// or have been under way for an hour. Any number of services may do this at once.
func (s *Service) SweepChallenges(ctx context.Context) (taken int, err error) {
	tx, err := s.Store.Look(ctx)
	if err != nil {
		return 0, err
	}
	hosts, err := tx.Challenges()
	if err != nil {
		return 0, err
	}
	var problems []error
	for _, h := range hosts {
		order, err := s.leftBy(tx, h)
		if err == nil && order != "" {
			if err = s.takeChallenge(ctx, "", h.Zone, h.Name, order); err == nil {
				taken++
			}
		}
		problems = append(problems, err)
	}
	return taken, errors.Join(problems...)
}

// leftBy is the order that has left a challenge below a host; "": none has.
func (s *Service) leftBy(tx *store.Tx, h store.HostAt) (string, error) {
	z, err := tx.Zone(h.Zone)
	if err != nil {
		return "", err
	}
	left, err := tx.Challenge(z, h.Name)
	if err != nil || left == nil {
		return "", err
	}
	under, err := tx.OrderOf(z, h.Name)
	if err != nil || under == left.Order && s.Now().Before(left.ExpireTime) {
		return "", err
	}
	return left.Order, nil
}

// txtData is the wire form of a TXT record of one string (RFC 1035 section 3.3.14).
func txtData(value string) []byte { return append([]byte{byte(len(value))}, value...) }

func withoutValues(set model.RRset, values []string) model.RRset {
	set.Data = slices.DeleteFunc(slices.Clone(set.Data), func(d []byte) bool {
		return slices.ContainsFunc(values, func(v string) bool { return bytes.Equal(d, txtData(v)) })
	})
	return set
}

// withValues is a set of TXT records with some more. Errors: Exhausted when they do not fit.
func withValues(set model.RRset, ttl uint32, values []string) (model.RRset, error) {
	var lines []string
	if len(set.Data) > 0 {
		lines = set.Text()
	}
	for _, v := range values {
		lines = append(lines, `"`+v+`"`)
	}
	next, err := model.ParseRRset(dns.TypeTXT, ttl, lines)
	if err == nil && next.Size() > model.MaxSetSize {
		err = model.E(model.Exhausted, "set challenge", "").Because("there are too many TXT records beside it").Hint("delete some")
	}
	return next, err
}
