// Package signpost answers one question: how does CoreDNS hand us a query and take
// our answer? It holds no data of its own: a replica follows etcd into a view, and
// a query loads that view once.
package signpost

import (
	"context"
	"math/rand/v2"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/metrics"
	"github.com/coredns/coredns/plugin/pkg/fall"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/zone"
)

// Signpost is one directive of a Corefile at work.
type Signpost struct {
	Next   plugin.Handler
	zones  []model.Name // in which zones of etcd are served
	fall   fall.F
	reader *reader
	counts counts
	limit  *limiter // nil: there is none
}

// Name is the directive's.
func (s *Signpost) Name() string { return pluginName }

// Ready reports whether the state is known and not older than max_stale.
func (s *Signpost) Ready() bool { return s.reader.view.Load() != nil }

// CacheBypassZones keeps the cache plugin away from what we may answer: it would
// hold answers back beyond a change. It is asked once, when our zones may not be
// there yet, so these are the directive's.
func (s *Signpost) CacheBypassZones() []string {
	out := make([]string, len(s.zones))
	for i, z := range s.zones {
		out[i] = z.String()
	}
	return out
}

// ServeDNS answers from the view as it is now:
//
//	the name and class      the view         what happens
//	outside ZONES, not IN   any              not ours: to the next plugin
//	in ZONES                none or stale    SERVFAIL: we do not know
//	in none of our zones    there            not ours: to the next plugin
//	in one of our zones     there            answered
//
// What is not ours is REFUSED when there is no next plugin.
func (s *Signpost) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	at, ours := s.place(&r.Question[0])
	if !ours {
		return s.pass(ctx, w, r)
	}
	return s.serve(ctx, w, r, at)
}

// place is what a question is for, in the view as it is now.
type place struct {
	within model.Name // of ZONES
	zone   *zone.Zone // nil: there is no state
}

// place finds where a question belongs; ours is false for what goes to the next plugin.
func (s *Signpost) place(q *dns.Question) (at place, ours bool) {
	name := model.NameOf(q.Name)
	if at.within, ours = s.within(name); !ours || q.Qclass != dns.ClassINET {
		return at, false
	}
	v := s.reader.view.Load()
	if v == nil {
		return at, true
	}
	at.zone = s.find(v, name, q.Qtype)
	return at, at.zone != nil
}

// serve answers what is ours.
func (s *Signpost) serve(ctx context.Context, w dns.ResponseWriter, r *dns.Msg, at place) (int, error) {
	q, z, server := &r.Question[0], at.zone, metrics.WithServer(ctx)
	if z == nil {
		s.counts.add(server, at.within, dns.RcodeServerFailure)
		return dns.RcodeServerFailure, nil
	}
	if rcode := refusal(r, q.Qtype); rcode != dns.RcodeSuccess {
		s.counts.add(server, z.Name(), rcode)
		return rcode, nil
	}
	if s.limit != nil {
		switch s.limit.decide(w.RemoteAddr(), server) {
		case drop:
			return dns.RcodeSuccess, nil // nothing is written
		case slip:
			return dns.RcodeSuccess, w.WriteMsg(slipped(r))
		}
	}
	a := z.Answer(q.Name, q.Qtype, draw(z))
	if a.Rcode == dns.RcodeNameError && s.Next != nil && s.fall.Through(model.NameOf(q.Name).String()) {
		return plugin.NextOrFailure(pluginName, s.Next, ctx, w, r)
	}
	m := new(dns.Msg)
	m.SetReply(r)
	m.Rcode, m.Authoritative = a.Rcode, a.AA
	m.Answer, m.Ns, m.Extra = a.Answer, a.Ns, a.Extra
	if len(m.Answer) > 0 && len(m.Extra) > 0 {
		leaveOutWhatDoesNotFit(w, r, m)
	}
	// Whether it is compressed is CoreDNS's to say: it compresses what else would not
	// fit the client's buffer or one packet, and no more.
	s.counts.add(server, z.Name(), a.Rcode)
	return dns.RcodeSuccess, w.WriteMsg(m)
}

// draw is the number for one question about a zone.
func draw(z *zone.Zone) uint64 {
	if !z.Draws() {
		return 0
	}
	return rand.Uint64()
}

// within is the zone of the directive that contains the name.
func (s *Signpost) within(name model.Name) (model.Name, bool) {
	for _, z := range s.zones {
		if name.In(z) {
			return z, true
		}
	}
	return "", false
}

// find is the zone that the question is for: the longest that contains it and lies
// in ZONES. DS at an apex is asked of the zone above when that is ours as well.
func (s *Signpost) find(v *zone.View, name model.Name, qtype uint16) *zone.Zone {
	z := v.Find(name, qtype)
	if z != nil && qtype == dns.TypeDS && !s.serves(z) {
		z = v.Find(name, dns.TypeSOA) // the zone above is not ours: the zone itself says NODATA
	}
	if z == nil || !s.serves(z) {
		return nil
	}
	return z
}

func (s *Signpost) serves(z *zone.Zone) bool {
	_, ok := s.within(z.Name())
	return ok
}

func (s *Signpost) pass(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	if s.Next == nil {
		return dns.RcodeRefused, nil
	}
	return plugin.NextOrFailure(pluginName, s.Next, ctx, w, r)
}

// leaveOutWhatDoesNotFit drops the additional records of a positive answer that would
// be truncated for them: they are a favour, and TC is for what was asked (RFC 2181
// section 9). Glue of a referral is needed, and truncated (RFC 9471).
func leaveOutWhatDoesNotFit(w dns.ResponseWriter, r *dns.Msg, m *dns.Msg) {
	state := request.Request{W: w, Req: r}
	room := state.Size()
	if opt := r.IsEdns0(); opt != nil {
		room -= dns.Len(opt)
	}
	m.Compress = true // as it will be sent when it is near the limit
	if m.Len() > room {
		m.Extra = nil
	}
	m.Compress = false
}

func oddOPT(extra []dns.RR) bool {
	seen := false
	for _, rr := range extra {
		if rr.Header().Rrtype == dns.TypeOPT {
			if seen || rr.Header().Name != "." {
				return true
			}
			seen = true
		}
	}
	return false
}

// refusal is the rcode for what is no question about data of a zone, else NOERROR:
//
//	two OPT, or one that is not the root's FORMERR  RFC 6891 section 6.1.1
//	NOTIFY                               REFUSED   we are nobody's secondary
//	any other opcode but QUERY           NOTIMP
//	AXFR, IXFR that transfer did not take REFUSED
//	MAILA, MAILB                         NOTIMP    RFC 6895, as BIND does
//	OPT, and 128 to 254: no data types   FORMERR   RFC 6895, 9824 for NXNAME
func refusal(r *dns.Msg, qtype uint16) int {
	switch {
	case oddOPT(r.Extra):
		return dns.RcodeFormatError
	case r.Opcode == dns.OpcodeNotify:
		return dns.RcodeRefused
	case r.Opcode != dns.OpcodeQuery:
		return dns.RcodeNotImplemented
	case qtype == dns.TypeAXFR, qtype == dns.TypeIXFR:
		return dns.RcodeRefused
	case qtype == dns.TypeMAILA, qtype == dns.TypeMAILB:
		return dns.RcodeNotImplemented
	case qtype == dns.TypeOPT, qtype >= 128 && qtype < dns.TypeANY:
		return dns.RcodeFormatError
	}
	return dns.RcodeSuccess
}
