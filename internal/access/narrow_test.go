package access

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"signpost/internal/model"
)

// narrowedAs is the owner of www.vo.example.org, who also administers its zone, narrowed.
func narrowedAs(limits ...model.TokenLimits) Principal {
	return Principal{Kind: User, Person: "egi/alice", Narrow: &Narrow{Token: "7f", Limits: limits}}
}

// Each row of Narrowed's table is a case by its name.
func TestNarrowed(t *testing.T) {
	zone, host := name(t, "vo.example.org"), name(t, "www.vo.example.org")
	policy := &model.ZonePolicy{Admins: []model.PrincipalName{"egi/alice"}}
	at := func(n string, h model.Name, rrtype uint16) Resource {
		return Resource{Name: name(t, n), Type: rrtype, Zone: zone, Policy: policy, Host: h, Owner: "egi/alice"}
	}
	www, apex := at("www.vo.example.org", host, 0), at("vo.example.org", "", 0)
	below := at("_acme-challenge.www.vo.example.org", host, dns.TypeTXT)
	bare := at("_acme-challenge.bare.vo.example.org", "", dns.TypeTXT)
	types := []uint16{dns.TypeTXT}
	all := append(slices.Clone(Actions()), Grant)
	words := func(of []Action) (out []string) {
		for _, a := range of {
			out = append(out, string(a))
		}
		return out
	}

	for _, c := range []struct {
		row    string
		limits model.TokenLimits
		a      Action
		r      Resource
		want   model.Kind
	}{
		{"any of actions: listed, or nothing is", model.TokenLimits{}, HostUpdate, www, yes},
		{"any of actions: listed, or nothing is", model.TokenLimits{Actions: []string{"host.set-addresses"}}, SetAddresses, www, yes},
		{"any of actions: listed, or nothing is", model.TokenLimits{Actions: []string{"host.set-addresses"}}, HostRead, www, model.Denied},
		{"any of actions: listed, or nothing is", model.TokenLimits{Actions: []string{"host.*"}}, HostDelete, www, yes},
		{"any of actions: listed, or nothing is", model.TokenLimits{Actions: []string{"host.*"}}, RecordSet, below, model.Denied},
		{"any of actions: listed, or nothing is", model.TokenLimits{Actions: []string{"*"}}, RecordSet, below, yes},
		{"hands on: grant listed, and all that it gives", model.TokenLimits{}, RotateSecret, www, model.Denied},
		{"hands on: grant listed, and all that it gives", model.TokenLimits{Actions: []string{"*"}}, HostShare, www, model.Denied},
		{"hands on: grant listed, and all that it gives", model.TokenLimits{Actions: []string{"*"}}, ZoneOpen, apex, model.Denied},
		{"hands on: grant listed, and all that it gives", model.TokenLimits{Actions: []string{"*"}}, TokenCreate, Resource{}, model.Denied},
		{"hands on: grant listed, and all that it gives", model.TokenLimits{Actions: words(all)}, RotateSecret, www, yes},
		{"hands on: grant listed, and all that it gives", model.TokenLimits{Actions: []string{"grant"}}, RotateSecret, www, model.Denied},
		{"hands on: grant listed, and all that it gives", model.TokenLimits{Actions: append(words(secretRights), "grant")}, RotateSecret, www, yes},
		{"hands on: grant listed, and all that it gives", model.TokenLimits{Actions: append(words(secretRights), "grant")}, HostShare, www, model.Denied},
		{"hands on: grant listed, and all that it gives", model.TokenLimits{Actions: []string{"grant", "host.*", "record.*", "audit.*", "status.*", "watch", "endpoint.*", "policy.*", "check.*", "cert.*"}}, HostTransfer, www, yes},
		{"hands on: grant listed, and all that it gives", model.TokenLimits{Actions: []string{"grant", "host.*", "record.*", "audit.*", "status.*", "watch"}}, HostTransfer, www, model.Denied},
		{"hands on: grant listed, and all that it gives", model.TokenLimits{Actions: []string{"grant", "endpoint.*"}}, EndpointRotateSecret, www, yes},
		{"hands on: grant listed, and all that it gives", model.TokenLimits{Actions: []string{"grant", "endpoint.read"}}, EndpointRotateSecret, www, model.Denied},
		{"hands on: grant listed, and all that it gives", model.TokenLimits{Actions: []string{"endpoint.*"}}, EndpointRotateSecret, www, model.Denied},
		{"hands on: grant listed, and all that it gives", model.TokenLimits{Actions: []string{"grant", "host.*", "record.*", "audit.*", "status.*", "watch"}}, ZoneOpen, apex, model.Denied},
		{"hands on: grant listed, and all that it gives", model.TokenLimits{Actions: []string{"grant", "*"}}, ZoneOpen, apex, yes},
		{"hands on: grant listed, and all that it gives", model.TokenLimits{Actions: []string{"grant", "*"}, Types: types}, RotateSecret, www, model.Denied},
		{"token.list, token.revoke: its owner's", model.TokenLimits{Zone: zone}, TokenList, Resource{}, yes},
		{"token.create: yes", model.TokenLimits{Actions: []string{"grant"}, Zone: zone, Host: "x", Types: types}, TokenCreate, Resource{}, yes},
		{"zone.list, host.list: yes", model.TokenLimits{Zone: name(t, "other.example.org"), Host: "x"}, HostList, Resource{}, yes},
		{"zone: that one", model.TokenLimits{Zone: zone}, HostUpdate, www, yes},
		{"zone: that one", model.TokenLimits{Zone: zone}, ZoneUpdate, apex, yes},
		{"zone: that one", model.TokenLimits{Zone: name(t, "example.org")}, HostUpdate, www, model.Denied},
		{"zone: that one", model.TokenLimits{Zone: name(t, "example.org")}, ZoneUpdate, apex, model.Denied},
		{"host, of zones: no", model.TokenLimits{Host: "*.vo.example.org"}, ZoneUpdate, apex, model.Denied},
		{"host.create: the name matches", model.TokenLimits{Host: "w*.vo.example.org"}, HostCreate, at("web.vo.example.org", "", 0), yes},
		{"host.create: the name matches", model.TokenLimits{Host: "w*.vo.example.org"}, HostCreate, at("x.www.vo.example.org", host, 0), model.Denied},
		{"host: the nearest host matches", model.TokenLimits{Host: "w*.vo.example.org"}, RecordSet, below, yes},
		{"host: the nearest host matches", model.TokenLimits{Host: "WWW.vo.example.org"}, HostUpdate, www, model.Denied}, // ParseNamePattern lowers it
		{"host: the nearest host matches", model.TokenLimits{Host: "x*.vo.example.org"}, HostUpdate, www, model.Denied},
		{"host: the nearest host matches", model.TokenLimits{Host: "*.example.org"}, HostUpdate, www, model.Denied},
		{"host: no host, the name or one above", model.TokenLimits{Host: "bare.vo.example.org"}, RecordSet, bare, yes},
		{"host: no host, the name or one above", model.TokenLimits{Host: "are.vo.example.org"}, RecordSet, bare, model.Denied},
		{"record.set: the type is listed", model.TokenLimits{Types: types}, RecordSet, below, yes},
		{"record.set: the type is listed", model.TokenLimits{Types: types}, RecordDelete, at("www.vo.example.org", host, dns.TypeMX), model.Denied},
		{"host.set-addresses: A and AAAA are listed", model.TokenLimits{Types: []uint16{dns.TypeA}}, SetAddresses, www, model.Denied},
		{"host.set-addresses: A and AAAA are listed", model.TokenLimits{Types: []uint16{dns.TypeA, dns.TypeAAAA}}, SetAddresses, www, yes},
		{"endpoint.set-addresses: A and AAAA are listed", model.TokenLimits{Types: []uint16{dns.TypeA}}, EndpointSetAddresses, www, model.Denied},
		{"endpoint.set-addresses: A and AAAA are listed", model.TokenLimits{Types: []uint16{dns.TypeA, dns.TypeAAAA}}, EndpointSetAddresses, www, yes},
		{"any that changes something, of types: no", model.TokenLimits{Types: types}, EndpointDrain, www, model.Denied},
		{"any that changes something, of types: no", model.TokenLimits{Types: types}, HostDelete, www, model.Denied},
		{"any that changes something, of types: no", model.TokenLimits{Types: types}, ZoneImport, apex, model.Denied},
		{"any: yes", model.TokenLimits{Types: types}, RecordRead, www, yes},
	} {
		t.Run(c.row, func(t *testing.T) { check(t, narrowedAs(c.limits), c.a, c.r, c.want) })
	}
	t.Run("all must allow", func(t *testing.T) {
		p := narrowedAs(model.TokenLimits{}, model.TokenLimits{Actions: []string{"host.read"}})
		check(t, p, HostRead, www, yes)
		check(t, p, HostUpdate, www, model.Denied)
	})
	t.Run("a token has no more than its owner", func(t *testing.T) {
		p := narrowedAs(model.TokenLimits{Actions: []string{"*", "grant"}})
		p.Person = "egi/mallory"
		for _, a := range Actions() {
			if err := Decide(p, a, www); err == nil && !isForAll(a) && a != ZoneList && a != HostList {
				t.Errorf("%s: yes", a)
			}
		}
		p.Operator = true
		check(t, p, ZoneDelete, apex, yes)
		check(t, p, TokenList, Resource{Owner: "egi/bob"}, model.Denied)
		check(t, p, PrincipalRead, Resource{Owner: "egi/bob"}, yes)
	})
	t.Run("everything is in no zone and under no name", func(t *testing.T) {
		for _, l := range []model.TokenLimits{{Zone: zone}, {Host: "*.vo.example.org"}} {
			p := narrowedAs(l)
			p.Operator = true
			for _, a := range []Action{AuditRead, StatusRead, Watch, PrincipalRead} {
				check(t, p, a, Resource{}, model.Denied)
			}
		}
	})
}

func TestATokenIsUsedFromItsSourcesOnly(t *testing.T) {
	p := narrowedAs(model.TokenLimits{}, model.TokenLimits{Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}})
	for from, want := range map[string]model.Kind{
		"192.0.2.7": yes, "::ffff:192.0.2.7": yes, "2001:db8::1": yes, "192.0.3.7": model.Denied, "2001:db9::1": model.Denied, "": model.Denied,
	} {
		p.From, _ = netip.ParseAddr(from)
		check(t, p, WhoAmI, Resource{}, want)
		check(t, p, HostList, Resource{}, want)
	}
}

func TestWordsOfATokensActions(t *testing.T) {
	for word, ok := range map[string]bool{
		"grant": true, "*": true, "host.*": true, "zone.*": true, "watch": true, "host.set-addresses": true, "token.list": true,
		"": false, "whoami": false, "login.read": false, "login.*": false, "host.share": false, "token.create": false, "zone.open": false, "host": false, "hos*": false, "endpoint.*": true, "endpoint.rotate-secret": false, "site.word": true, "nothing.*": false,
	} {
		if err := CheckTokenAction("actions[0]", word); (err == nil) != ok {
			t.Errorf("%q: %v", word, err)
		}
	}
}

func TestWhoMayHoldTheSecretOfANewHost(t *testing.T) {
	for _, c := range []struct {
		p    Principal
		want bool
	}{
		{Principal{Kind: User, Person: "egi/alice"}, true},
		{narrowedAs(model.TokenLimits{}), true},
		{narrowedAs(model.TokenLimits{Actions: []string{"host.*", "record.*", "watch"}}), true},
		{narrowedAs(model.TokenLimits{Actions: []string{"host.create"}}), false},
		{narrowedAs(model.TokenLimits{}, model.TokenLimits{Actions: []string{"host.*"}}), false},
	} {
		if got := c.p.MayHoldSecret(); got != c.want {
			t.Errorf("%+v: %v", c.p.Narrow, got)
		}
	}
}
