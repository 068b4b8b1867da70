package monitor

import (
	"net/netip"
	"testing"

	"signpost/internal/model"
)

func TestOpinionOfAnEndpoint(t *testing.T) {
	v4, v4b, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1")
	up, suspect, down := seen{model.Up, model.Fine, true}, seen{model.Suspect, model.NoAnswer, true}, seen{model.Down, model.Refused, true}
	waits, blind := seen{}, seen{model.NoVerdict, model.NoRoute, true}
	withheld, none := seen{model.NoVerdict, model.Refused, true}, opinion{}
	is := func(s seen) opinion { return opinion{s.verdict, s.reason, true} }
	for _, tt := range []struct {
		name  string
		addrs []netip.Addr
		found []seen
		want  opinion
	}{
		{"one address is up", []netip.Addr{v4}, []seen{up}, is(up)},
		{"one address is suspect", []netip.Addr{v4}, []seen{suspect}, is(suspect)},
		{"one address is down", []netip.Addr{v6}, []seen{down}, is(down)},
		{"one address is in its first round", []netip.Addr{v4}, []seen{waits}, none},
		{"what is thought of one address is withheld", []netip.Addr{v4}, []seen{withheld}, none},
		{"one address cannot be tried from here", []netip.Addr{v4}, []seen{blind}, is(blind)},
		{"one of two of a family is down", []netip.Addr{v4, v4b}, []seen{down, up}, is(up)},
		{"one of two of a family is suspect", []netip.Addr{v4, v4b}, []seen{up, suspect}, is(up)},
		{"two of a family are down and suspect", []netip.Addr{v4, v4b}, []seen{down, suspect}, is(suspect)},
		{"both of a family are down", []netip.Addr{v4, v4b}, []seen{down, down}, is(down)},
		{"one of a family is up, the other in its first round", []netip.Addr{v4, v4b}, []seen{up, waits}, is(up)},
		{"one of a family is down, the other in its first round", []netip.Addr{v4, v4b}, []seen{down, waits}, none},
		{"one of a family is down, the other cannot be tried", []netip.Addr{v4, v4b}, []seen{blind, down}, is(down)},
		{"A is up and AAAA is down", []netip.Addr{v4, v6}, []seen{up, down}, is(down)},
		{"A is down and AAAA is up", []netip.Addr{v4, v6}, []seen{down, up}, is(down)},
		{"A is up and AAAA is suspect", []netip.Addr{v4, v6}, []seen{up, suspect}, is(suspect)},
		{"A is up and AAAA in its first round", []netip.Addr{v4, v6}, []seen{up, waits}, none},
		{"A is up and AAAA cannot be tried", []netip.Addr{v4, v6}, []seen{up, blind}, is(up)},
		{"A is down and AAAA cannot be tried", []netip.Addr{v4, v6}, []seen{down, blind}, is(down)},
		{"neither can be tried", []netip.Addr{v4, v6}, []seen{blind, blind}, is(blind)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := judge(tt.addrs, tt.found); got != tt.want {
				t.Errorf("got %v, wanted %v", got, tt.want)
			}
		})
	}
}
