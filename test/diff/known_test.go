package diff

import (
	"slices"
	"strings"

	"github.com/miekg/dns"

	"signpost/internal/model"
)

// compared is a question that two servers answer otherwise.
type compared struct {
	served
	q            question
	ours, theirs reply
	what         string
}

// difference is a known one: docs/differences.md says why. The first that explains
// an answer counts.
type difference struct {
	id       string
	servers  []string
	explains func(compared) bool
}

var differences = []difference{
	// ANY gets one record set, which is the smallest here.
	{"any", []string{"BIND"}, func(c compared) bool {
		return c.any() && subset(c.ours.sAnswer, c.theirs.sAnswer)
	}},
	{"any", []string{"Knot", "NSD"}, compared.any},
	{"any", []string{fileServer}, func(c compared) bool {
		return c.q.typ == dns.TypeANY && len(c.ours.answer) > 0
	}},
	// A DNAME that leads below itself is used once in an answer; others go on.
	{"dname-again", []string{"BIND", "Knot", fileServer}, func(c compared) bool {
		return c.stoppedAtDNAME() && subset(c.ours.sAnswer, c.theirs.sAnswer)
	}},
	// Addresses that a wildcard has for a name server.
	{"glue-wildcard", []string{"BIND", fileServer}, func(c compared) bool {
		return c.what == "glue" && subset(c.theirs.sAdd, c.ours.sAdd)
	}},
	// The same, of a wildcard below the cut, where nothing is ours.
	{"glue-below", []string{"Knot", "NSD"}, func(c compared) bool {
		return c.what == "glue" && subset(c.ours.sAdd, c.theirs.sAdd) && !slices.ContainsFunc(c.theirs.extra, func(rr dns.RR) bool {
			return !slices.Contains(c.ours.sAdd, texts([]dns.RR{rr})[0]) && c.stored(rr.Header().Name)
		})
	}},
	// NS at a wildcard delegates the names that it matches.
	{"wildcard-ns", []string{"Knot", "NSD", fileServer}, func(c compared) bool { return c.wildNS && c.ours.delegates() }},
	// DNAME at a wildcard redirects what is below the name "*".
	{"wildcard-dname", []string{"Knot"}, func(c compared) bool {
		return c.ours.rcode == c.theirs.rcode && slices.ContainsFunc(c.ours.answer, func(rr dns.RR) bool {
			return rr.Header().Rrtype == dns.TypeDNAME && strings.HasPrefix(rr.Header().Name, "*.")
		})
	}},
	// A chain that never ends.
	{"loop", []string{"BIND", fileServer}, func(c compared) bool {
		return c.theirs.rcode == dns.RcodeServerFailure && c.ours.rcode == dns.RcodeSuccess && (c.loops() || c.stoppedAtDNAME())
	}},
	// A chain without end of DNAMEs that lead below each other: each server stops
	// somewhere else.
	{"chain", []string{"BIND", "Knot", "NSD"}, func(c compared) bool {
		return c.aliases() == longestChain && c.ours.rcode == dns.RcodeSuccess &&
			(subset(c.ours.sAnswer, c.theirs.sAnswer) || subset(c.theirs.sAnswer, c.ours.sAnswer))
	}},
	// Data below a DNAME, which an alias of the plugin reaches.
	{"file-hidden", []string{fileServer}, func(c compared) bool { return c.belowDNAME && c.aliases() > 0 }},
	// The plugin gives up after nine links.
	{"file-chain", []string{fileServer}, func(c compared) bool {
		return c.aliases() > 8 && subset(c.theirs.sAnswer, c.ours.sAnswer)
	}},
	// The plugin keeps SOA and NS apart, and finds no apex in a zone without more.
	{"file-apex", []string{fileServer}, func(c compared) bool {
		return c.theirs.rcode == dns.RcodeNameError && model.NameOf(c.q.name) == c.zone.Name()
	}},
	// A DNAME that makes a name too long.
	{"yxdomain", []string{"Knot", fileServer}, func(c compared) bool { return c.ours.rcode == dns.RcodeYXDomain }},
	// An empty non-terminal: the plugin uses the wildcard beside it.
	{"file-ent", []string{fileServer}, func(c compared) bool {
		return c.ours.rcode == dns.RcodeSuccess && c.empty(c.last())
	}},
}

// longestChain is how many links an answer of ours has at most.
const longestChain = 17

// stored reports whether a name has records of its own.
func (c compared) stored(name string) bool {
	for rr := range c.zone.Records() {
		if model.NameOf(rr.Header().Name) == model.NameOf(name) {
			return true
		}
	}
	return false
}

// empty reports whether a name exists only because of what is below it.
func (c compared) empty(name string) bool {
	n, below := model.NameOf(name), false
	for rr := range c.zone.Records() {
		owner := model.NameOf(rr.Header().Name)
		if owner == n {
			return false
		}
		below = below || owner.In(n)
	}
	return below
}

func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}

func (c compared) any() bool {
	return c.q.typ == dns.TypeANY && len(c.ours.answer) > 0 && len(c.theirs.answer) > 0 && c.ours.aa && c.theirs.aa
}

// stoppedAtDNAME reports whether our answer ends with an alias to a name below a
// DNAME that it has used and that leads below itself.
func (c compared) stoppedAtDNAME() bool {
	last := c.last()
	return slices.ContainsFunc(c.ours.answer, func(rr dns.RR) bool {
		dname, ok := rr.(*dns.DNAME)
		owner := model.NameOf(rr.Header().Name)
		return ok && model.NameOf(last).Below(owner) && model.NameOf(dname.Target).In(owner)
	})
}

// aliases is the number of links in our answer.
func (c compared) aliases() (n int) {
	for _, rr := range c.ours.answer {
		if rr.Header().Rrtype == dns.TypeCNAME {
			n++
		}
	}
	return n
}

// last is the name at which our chain of aliases ends.
func (c compared) last() string {
	last := c.q.name
	for _, rr := range c.ours.answer {
		if cname, ok := rr.(*dns.CNAME); ok {
			last = cname.Target
		}
	}
	return last
}

// loops reports whether our chain of aliases ends where it has been.
func (c compared) loops() bool {
	return slices.ContainsFunc(c.ours.answer, func(rr dns.RR) bool {
		return rr.Header().Rrtype == dns.TypeCNAME && strings.EqualFold(rr.Header().Name, c.last())
	})
}
