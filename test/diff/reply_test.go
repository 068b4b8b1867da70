// Package diff asks: do we answer as other name servers do, from the same zone file?
// What may differ is listed in docs/differences.md, and nothing else passes.
package diff

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/zone"
	"signpost/internal/zone/zonetest"
)

// question is one of a sample.
type question struct {
	name string
	typ  uint16
}

func (q question) String() string { return q.name + " " + dns.Type(q.typ).String() }

// reply is what is compared: sections as sets, names without case, SOA without
// serial and TTL.
type reply struct {
	rcode              int
	aa                 bool
	answer, ns, extra  []dns.RR
	sAnswer, sNs, sAdd []string
}

func replyOf(rcode int, aa bool, answer, ns, extra []dns.RR) reply {
	extra = slices.DeleteFunc(slices.Clone(extra), func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeOPT })
	return reply{rcode, aa, answer, ns, extra, texts(answer), texts(ns), texts(extra)}
}

func (r reply) String() string {
	return fmt.Sprintf("%s aa=%v\n  answer %s\n  authority %s\n  additional %s", dns.RcodeToString[r.rcode], r.aa,
		strings.Join(r.sAnswer, "\n         "), strings.Join(r.sNs, "\n            "), strings.Join(r.sAdd, "\n             "))
}

// referral reports whether the reply is one and nothing else.
func (r reply) referral() bool {
	return r.rcode == dns.RcodeSuccess && !r.aa && len(r.answer) == 0 && len(r.ns) > 0
}

// delegates reports whether the reply says who else is to be asked.
func (r reply) delegates() bool {
	return len(r.ns) > 0 && r.ns[0].Header().Rrtype == dns.TypeNS
}

func texts(rrs []dns.RR) []string {
	out := make([]string, len(rrs))
	for i, rr := range rrs {
		rr = dns.Copy(rr)
		if soa, ok := rr.(*dns.SOA); ok {
			soa.Serial, soa.Hdr.Ttl = 0, 0
		}
		out[i] = rr.String()
		if rr.Header().Rrtype != dns.TypeTXT {
			out[i] = strings.ToLower(out[i])
		} else {
			out[i] = strings.ToLower(rr.Header().String()) + strings.TrimPrefix(out[i], rr.Header().String())
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// differs says in what two replies differ, "" for nothing: rcode, AA, the answer,
// the authority section where that is empty, and the glue of a referral.
func differs(a, b reply) string {
	switch {
	case a.rcode != b.rcode:
		return "rcode"
	case a.aa != b.aa:
		return "AA"
	case !slices.Equal(a.sAnswer, b.sAnswer):
		return "answer"
	case len(a.answer) == 0 && !slices.Equal(a.sNs, b.sNs):
		return "authority"
	case a.referral() && !slices.Equal(a.sAdd, b.sAdd):
		return "glue"
	}
	return ""
}

// served is a sample as we serve it.
type served struct {
	sample
	view *zone.View
	zone *zone.Zone
}

func serve(s sample) (served, error) {
	if _, err := model.ReadZoneFile(strings.NewReader(s.text), "", model.ReadOptions{Lenient: true}); err != nil {
		return served{}, err // it would not be taken
	}
	changes, err := zonetest.Changes(s.text, 1)
	if err != nil {
		return served{}, err
	}
	v := zone.Empty(0).Apply(1, changes)
	return served{s, v, v.Zone(model.NameOf(s.origin))}, nil
}

func (s served) ask(q question) reply {
	a := s.zone.Answer(q.name, q.typ, 0)
	return replyOf(a.Rcode, a.AA, a.Answer, a.Ns, a.Extra)
}

// judge compares what a server says with what we say. known is the difference that
// explains it.
func (s served) judge(server string, q question, theirs reply) (known, why string) {
	ours := s.ask(q)
	what := differs(ours, theirs)
	if what == "" {
		return "", ""
	}
	for _, k := range differences {
		if slices.Contains(k.servers, server) && k.explains(compared{s, q, ours, theirs, what}) {
			return k.id, ""
		}
	}
	return "", fmt.Sprintf("%s: the %s differs\nours   %s\n%s %s\n%s", q, what, ours, server, theirs, s.text)
}
