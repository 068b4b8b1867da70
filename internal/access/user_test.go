package access

import (
	"testing"

	"github.com/miekg/dns"

	"signpost/internal/model"
)

// Each role has its rights and no others, and who is nothing to a thing is not told
// whether it is there.
func TestRightsOfPeople(t *testing.T) {
	host := name(t, "www.vo.example.org")
	zone := name(t, "vo.example.org")
	person := func(n string, groups ...model.PrincipalName) Principal {
		return Principal{Kind: User, Person: model.PrincipalName(n), Groups: groups}
	}
	policy := &model.ZonePolicy{
		Admins:   []model.PrincipalName{"egi/zoe", "group:egi/admins"},
		Register: model.RegisterGroups, Groups: []model.PrincipalName{"group:egi/vo"},
	}
	of := func(n model.Name, rrtype uint16) Resource {
		r := Resource{Name: n, Type: rrtype, Zone: zone, Policy: policy}
		if n.In(host) {
			r.Host, r.Owner, r.Editors, r.Offered = host, "egi/alice", []model.PrincipalName{"egi/eve", "group:egi/ops"}, "egi/olga"
		}
		return r
	}
	people := map[role][]Principal{
		zoneAdmin: {person("egi/zoe"), person("egi/x", "group:egi/y", "group:egi/admins")},
		registrar: {person("egi/x", "group:egi/vo")},
		owner:     {person("egi/alice")},
		editor:    {person("egi/eve"), person("egi/x", "group:egi/ops")},
		offered:   {person("egi/olga")},
	}
	for is, all := range people {
		for _, p := range all {
			for _, a := range Actions() {
				n := host
				if IsOfZones(a) {
					n = zone
				}
				want := model.Denied
				switch {
				case a == WhoAmI || a == LoginRead || a == ZoneList || a == HostList || (isOfTokens(a) || a == PrincipalRead) && is == owner || rights[a]&is != 0 && (n == host || is&(zoneAdmin|registrar) != 0):
					want = yes
				case n == zone && is&(zoneAdmin|registrar) == 0, n == host && is == registrar:
					want = model.NotFound
				}
				check(t, p, a, of(n, dns.TypeTXT), want)
			}
		}
	}
	for _, p := range []Principal{person("egi/mallory", "group:egi/vo2"), person("other/alice"), person("egi/olga2", "group:other/vo", "group:other/admins")} {
		for _, a := range Actions() {
			want := model.NotFound
			if a == WhoAmI || a == LoginRead || a == ZoneList || a == HostList {
				want = yes
			}
			check(t, p, a, of(host, dns.TypeTXT), want)
		}
	}
	t.Run("an operator may everything", func(t *testing.T) {
		for _, a := range Actions() {
			check(t, Principal{Kind: User, Person: "egi/o", Operator: true}, a, Resource{Name: host}, yes)
		}
	})
	t.Run("below a host its owner and editors write some types", func(t *testing.T) {
		below := name(t, "_443._tcp.www.vo.example.org")
		for _, p := range append(people[owner], people[editor]...) {
			for _, a := range []Action{RecordSet, RecordDelete} {
				check(t, p, a, of(below, dns.TypeTLSA), yes)
				for _, rrtype := range []uint16{dns.TypeNS, dns.TypeDS, dns.TypeDNAME, dns.TypeSOA, dns.TypeDNSKEY, 0, 65280} {
					check(t, p, a, of(below, rrtype), model.Denied)
				}
			}
		}
		for _, p := range people[zoneAdmin] {
			check(t, p, RecordSet, of(below, dns.TypeNS), yes)
		}
	})
	t.Run("tokens are their owner's", func(t *testing.T) {
		for _, a := range []Action{TokenCreate, TokenList, TokenRevoke, PrincipalRead} {
			check(t, people[owner][0], a, Resource{}, yes)
			check(t, people[owner][0], a, Resource{Owner: "egi/alice"}, yes)
			check(t, people[owner][0], a, Resource{Owner: "egi/bob"}, model.Denied)
			check(t, Principal{Kind: HostSecret, Host: host}, a, Resource{}, model.Denied)
		}
	})
	t.Run("an offer is of the host's name alone", func(t *testing.T) {
		check(t, people[offered][0], HostRead, of(name(t, "x.www.vo.example.org"), 0), model.NotFound)
	})
	t.Run("an obstacle is for administrators to overcome", func(t *testing.T) {
		r := of(name(t, "ns1.vo.example.org"), 0)
		r.Obstacle = &Obstacle{Why: "the label is reserved", Cause: model.ErrReserved}
		check(t, people[registrar][0], HostCreate, r, model.Denied)
		check(t, people[zoneAdmin][0], HostCreate, r, yes)
	})
	t.Run("a blocked host is for administrators to change", func(t *testing.T) {
		blocked := of(host, dns.TypeTXT)
		blocked.Blocked = &model.Withdrawal{Reason: "phishing"}
		for _, a := range Actions() {
			for _, p := range people[zoneAdmin] {
				if rights[a]&zoneAdmin != 0 {
					check(t, p, a, blocked, yes)
				}
			}
			for _, is := range []role{owner, editor, offered} {
				want := model.Denied
				if a == WhoAmI || a == LoginRead || a == HostList || a == ZoneList || (isOfTokens(a) || a == PrincipalRead) && is == owner || reads(a) && rights[a]&is != 0 {
					want = yes
				}
				for _, p := range people[is] {
					check(t, p, a, blocked, want)
				}
			}
		}
		check(t, person("egi/mallory"), HostUpdate, blocked, model.NotFound)
	})
	t.Run("everything is for operators", func(t *testing.T) {
		for _, a := range []Action{AuditRead, StatusRead, Watch} {
			check(t, people[zoneAdmin][0], a, Resource{}, model.Denied)
		}
	})
}
