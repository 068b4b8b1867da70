package zone_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"signpost/internal/model"
	"signpost/internal/zone"
)

// Promise 6: the last answer is never taken away by a health check. Whatever is voted,
// a host that is answered without votes is answered.
func TestTheLastAnswerIsNeverTakenAwayByAHealthCheck(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, said := anyHost(t), anySaid(t)
		voted := zone.Choose(h, said)
		said.Votes = nil
		if without := zone.Choose(h, said); len(without.Addresses) > 0 && len(voted.Addresses) == 0 {
			t.Fatalf("with votes it is %q, without %q", tells(voted), tells(without))
		}
	})
}

// Promise 7, as far as answers go: an endpoint is down only when more than half of the
// registered checkers that its check names say so, or an operator.
func TestOneCheckersTroubleIsNotTheEndpoints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, said := anyHost(t), anySaid(t)
		for i, s := range zone.Choose(h, said).Endpoints {
			down := 0
			for _, c := range said.Checkers {
				if len(h.CheckSites) == 0 || slices.Contains(h.CheckSites, c.Site) {
					down--
				}
				if slices.ContainsFunc(said.Votes, func(v model.Vote) bool {
					return v.Site == c.Site && v.Term == c.Term && v.Endpoint == s.ID && v.Verdict == model.Down && v.Generation == h.Endpoints[i].Generation
				}) {
					down += 2
				}
			}
			if s.State == zone.Down && s.Word == nil && (!h.Checked || down <= 0) {
				t.Fatalf("%s is down by %+d, with votes %v", s.ID, down, said.Votes)
			}
		}
	})
}

// Promise 5: every replica gives the same answer, in whatever order it heard things.
func TestTheOrderInWhichThingsWereSaidDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, said := anyHost(t), anySaid(t)
		want := tells(zone.Choose(h, said))
		said.Votes = rapid.Permutation(said.Votes).Draw(t, "other votes")
		said.Checkers = rapid.Permutation(said.Checkers).Draw(t, "other checkers")
		if got := tells(zone.Choose(h, said)); got != want {
			t.Fatalf("it is %q and %q", got, want)
		}
	})
}

// What the clocks of those said who wrote it does not matter, be they hours ahead or behind.
func TestNoClockDecidesAnAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, said := anyHost(t), anySaid(t)
		want := tells(zone.Choose(h, said))
		clock := func() time.Time {
			return time.Unix(rapid.Int64Range(-1<<33, 1<<33).Draw(t, "time"), 0)
		}
		for i := range said.Votes {
			said.Votes[i].Time = clock()
		}
		words := []*model.Word{said.Host}
		for _, of := range []map[string]*model.Word{said.Sites, said.Endpoints} {
			words = slices.AppendSeq(words, maps.Values(of))
		}
		for _, w := range words {
			if w != nil {
				w.Time, w.ExpireTime, w.Marker = clock(), clock(), "7"
			}
		}
		for _, o := range said.Overs {
			o.Time = clock()
		}
		if got := tells(zone.Choose(h, said)); got != want {
			t.Fatalf("it is %q and %q", got, want)
		}
	})
}

func anyHost(t *rapid.T) *model.Host {
	addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1")}
	h := &model.Host{
		TTL:     rapid.SampledFrom([]uint32{0, 20}).Draw(t, "ttl"),
		Checked: rapid.Bool().Draw(t, "checked"), CheckSites: rapid.SampledFrom([][]string{nil, {"k1"}, {"k1", "k3", "k4"}}).Draw(t, "sites"),
		Wildcard: rapid.Bool().Draw(t, "wildcard"),
		Policy: model.Policy{
			Kind:           rapid.SampledFrom([]model.PolicyKind{model.PolicyAll, model.PolicyFailover, model.PolicyWeighted}).Draw(t, "policy"),
			MinHealthy:     rapid.Uint32Range(0, 4).Draw(t, "min"),
			MaxAnswers:     rapid.Uint32Range(0, 3).Draw(t, "max"),
			ManualFailback: rapid.Bool().Draw(t, "manual"),
			Fallback:       rapid.SampledFrom([][]netip.Addr{nil, nil, {netip.MustParseAddr("192.0.2.99")}}).Draw(t, "fallback"),
		},
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "endpoints") {
		n := rapid.IntRange(0, len(addrs)).Draw(t, "addresses")
		h.Endpoints = append(h.Endpoints, model.Endpoint{
			ID: fmt.Sprint("e", i), Site: rapid.SampledFrom([]string{"", "k1", "k2"}).Draw(t, "site"),
			Addresses: addrs[rapid.IntRange(0, n).Draw(t, "from"):n], Generation: 3,
			Priority: rapid.Uint32Range(0, 2).Draw(t, "priority"), Weight: rapid.Int32Range(-1, 2).Draw(t, "weight"),
		})
	}
	return h
}

func anySaid(t *rapid.T) *zone.Said {
	s := &zone.Said{Incarnation: 5, Sites: map[string]*model.Word{}, Endpoints: map[string]*model.Word{}, Overs: map[string]*model.Over{}}
	word := func(what string) *model.Word {
		return rapid.Custom(func(t *rapid.T) *model.Word {
			if rapid.IntRange(0, 3).Draw(t, "spoken") > 0 {
				return nil
			}
			return &model.Word{Say: model.Saying(rapid.IntRange(0, 3).Draw(t, "say")), Incarnation: rapid.Uint64Range(4, 5).Draw(t, "incarnation")}
		}).Draw(t, what)
	}
	s.Host = word("host")
	for k := 1; k <= rapid.IntRange(0, 4).Draw(t, "checkers"); k++ {
		s.Checkers = append(s.Checkers, model.Checker{Site: fmt.Sprint("k", k), Term: rapid.Uint64Range(6, 7).Draw(t, "term")})
		s.Sites[fmt.Sprint("k", k)] = word("site")
	}
	for e := range 4 {
		id := fmt.Sprint("e", e)
		s.Endpoints[id] = word("endpoint")
		if rapid.Bool().Draw(t, "over") {
			s.Overs[id] = &model.Over{Generation: rapid.Uint64Range(2, 3).Draw(t, "over of")}
		}
		for k := 1; k <= 4; k++ {
			s.Votes = append(s.Votes, model.Vote{
				Site: fmt.Sprint("k", k), Endpoint: id, Term: 7, Generation: rapid.SampledFrom([]uint64{2, 3, 3, 3}).Draw(t, "generation"),
				Verdict: model.Verdict(rapid.SampledFrom([]int{0, 1, 2, 3, 3, 3, 3}).Draw(t, "verdict")),
			})
		}
	}
	return s
}
