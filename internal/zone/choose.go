package zone

import (
	"net/netip"
	"slices"

	"signpost/internal/model"
)

// Said is all that is said of a host besides its value, whether it counts or not.
type Said struct {
	Incarnation uint64 // of the zone
	Checkers    []model.Checker
	Sites       map[string]*model.Word // by site
	Host        *model.Word
	Endpoints   map[string]*model.Word // by id
	Votes       []model.Vote
	Overs       map[string]*model.Over // by endpoint
}

// Source says where an answer comes from.
type Source int

// The sources of an answer.
const (
	FromPolicy   Source = iota
	FromFailOpen        // all that no operator took away
	FromFallback        // the addresses that are configured for it
	FromNothing         // an operator took everything away: NODATA
)

// Choice is what is answered of a host, and why.
type Choice struct {
	Source    Source
	Endpoints []Standing // in the order of the host's
	// Addresses is what is answered and, with weights, what may be: sorted, without
	// duplicates, not to be changed.
	Addresses []netip.Addr
	// Draw is of how many of the endpoints that are Answered each question draws the
	// addresses; 0: all.
	Draw int

	own, most uint32 // TTL, 0: the zone's; but no more than most, if that is not 0
}

// TTL is that of the addresses, given the zone's, and the most that one of NODATA at the
// host may be.
func (c *Choice) TTL(zone uint32) uint32 {
	ttl := c.own
	if ttl == 0 {
		ttl = zone
	}
	if c.most != 0 {
		ttl = min(ttl, c.most)
	}
	return ttl
}

// Choose says which endpoints of a host are answered. It is the only place where that is
// decided, and looks at nothing but what it is given. How each endpoint stands is in the
// table above stand. Those of state up and suspect are up, here:
//
//	are up                       policy     answered
//	at least min_healthy         all        every one that is up
//	                             failover   of those that are up and not passed over, or if
//	                                        all are of those that are up, the ones with the
//	                                        lowest priority number
//	                             weighted   of those that are up and have a weight, or if
//	                                        none has of those that are up, max_answers that
//	                                        each question draws by weight
//	fewer, there is a fallback   any        the fallback
//	fewer, there is none         any        fail open: all that have addresses and that no
//	                                        operator drained or put down
//	fewer, nor any such          any        nothing
//
// Passed over and suspect ones count among those that are up; with a min_healthy of more
// endpoints than there are, fewer always are.
//
// Endpoints are chosen once, for A and AAAA together, so that clients of both families
// are at the same place:
//
//	the endpoints that are chosen   the question is for AAAA (and likewise for A)
//	have IPv6 addresses, some       those
//	are drawn, some have IPv6       drawn among those that have
//	have none                       NODATA, although others that are up, or look down,
//	                                may have some: a client that prefers IPv6 would go
//	                                to the stand-by, or to the dead
//
// TTL, in seconds:
//
//	the host has its own    its own
//	there is a check        the zone's, at most 30
//	else                    the zone's
//	one that is answered    at most suspect_ttl, whatever the rest says: it may change soon
//	is suspect or looks
//	down to its checkers
func Choose(h *model.Host, said *Said) Choice {
	c := Choice{Endpoints: make([]Standing, len(h.Endpoints))}
	up := uint32(0)
	for i := range h.Endpoints {
		c.Endpoints[i] = stand(h, &h.Endpoints[i], said)
		if c.Endpoints[i].State <= Suspect {
			up++
		}
	}
	switch {
	case up >= max(1, h.Policy.MinHealthy):
		c.byPolicy(h)
	case len(h.Policy.Fallback) > 0:
		c.Source = FromFallback
	default:
		c.Source = FromFailOpen
		c.answer((*Standing).offered)
	}
	c.gather(h)
	c.setTTL(h)
	return c
}

func (c *Choice) byPolicy(h *model.Host) {
	c.answer(func(s *Standing) bool { return s.State <= Suspect })
	switch h.Policy.Kind {
	case model.PolicyFailover:
		c.prefer(func(i int) bool { return !c.Endpoints[i].PassedOver })
		lowest := ^uint32(0)
		for i := range c.Endpoints {
			if c.Endpoints[i].Answered {
				lowest = min(lowest, h.Endpoints[i].Priority)
			}
		}
		c.prefer(func(i int) bool { return h.Endpoints[i].Priority <= lowest })
	case model.PolicyWeighted:
		c.prefer(func(i int) bool { return h.Endpoints[i].Share() > 0 })
		c.Draw = int(max(1, h.Policy.MaxAnswers))
	}
}

func (c *Choice) answer(which func(*Standing) bool) {
	for i := range c.Endpoints {
		c.Endpoints[i].Answered = which(&c.Endpoints[i])
	}
}

// prefer leaves only those answered that are good, if any is.
func (c *Choice) prefer(good func(i int) bool) {
	any := false
	for i := range c.Endpoints {
		any = any || c.Endpoints[i].Answered && good(i)
	}
	for i := range c.Endpoints {
		c.Endpoints[i].Answered = c.Endpoints[i].Answered && (!any || good(i))
	}
}

// gather collects the addresses that are answered.
func (c *Choice) gather(h *model.Host) {
	if c.Source == FromFallback {
		c.Addresses = model.NormalizeAddresses(h.Policy.Fallback)
		return
	}
	for i := range c.Endpoints {
		if !c.Endpoints[i].Answered {
			continue
		}
		if c.Addresses == nil {
			c.Addresses = slices.Clip(h.Endpoints[i].Addresses)
			continue
		}
		c.Addresses = model.NormalizeAddresses(append(c.Addresses, h.Endpoints[i].Addresses...))
	}
	if len(c.Addresses) == 0 {
		c.Source = FromNothing
	}
}

func (c *Choice) setTTL(h *model.Host) {
	c.own = h.TTL
	if h.Checked && h.TTL == 0 {
		c.most = model.DefaultCheckedTTL
	}
	for i := range c.Endpoints {
		if s := &c.Endpoints[i]; s.Answered && (s.State == Suspect || s.State == Down) {
			soon := h.Policy.SuspectTTL
			if soon == 0 {
				soon = model.DefaultSuspectTTL
			}
			if c.most == 0 || soon < c.most {
				c.most = soon
			}
			return
		}
	}
}
