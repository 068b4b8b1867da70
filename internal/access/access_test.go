package access

import (
	"errors"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"signpost/internal/model"
)

func name(t *testing.T, s string) model.Name {
	t.Helper()
	n, err := model.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const yes = model.Kind(-1)

func check(t *testing.T, p Principal, a Action, r Resource, want model.Kind) {
	t.Helper()
	err := Decide(p, a, r)
	switch {
	case want == yes && err != nil:
		t.Errorf("%s %s %s type %d: %v, want yes", p, a, r.Name, r.Type, err)
	case want != yes && (err == nil || model.KindOf(err) != want):
		t.Errorf("%s %s %s type %d: %v, want %s", p, a, r.Name, r.Type, err, want)
	}
}

// Each row of Decide's table is a case by its name.
func TestDecide(t *testing.T) {
	host := name(t, "www.vo.example.org")
	challenge := name(t, "_acme-challenge.www.vo.example.org")
	admin := Principal{Kind: Admin, Token: "ab12"}
	secret := Principal{Kind: HostSecret, Host: host}
	others := []model.Name{
		name(t, "vo.example.org"), name(t, "other.vo.example.org"), name(t, "_acme-challenge.other.vo.example.org"),
		name(t, "xwww.vo.example.org"), name(t, `x\.www.vo.example.org`), "", model.Root,
	}

	t.Run("any whoami any: yes", func(t *testing.T) {
		for _, p := range []Principal{{}, admin, secret} {
			check(t, p, WhoAmI, Resource{}, yes)
		}
	})
	t.Run("any login.read any: yes", func(t *testing.T) {
		for _, p := range []Principal{{}, admin, secret} {
			check(t, p, LoginRead, Resource{}, yes)
		}
	})
	t.Run("nobody any any: Unauthenticated", func(t *testing.T) {
		for _, a := range Actions() {
			if a != WhoAmI && a != LoginRead {
				check(t, Principal{}, a, Resource{Name: host, Type: dns.TypeTXT}, model.Unauthenticated)
			}
		}
	})
	t.Run("admin any any: yes", func(t *testing.T) {
		for _, a := range Actions() {
			check(t, admin, a, Resource{Name: host, Type: dns.TypeNS}, yes)
			check(t, admin, a, Resource{}, yes)
		}
	})
	t.Run("host any but watch, host.read its own host, blocked: Denied", func(t *testing.T) {
		for _, a := range Actions() {
			want := model.Denied
			if a == WhoAmI || a == LoginRead || a == Watch || a == HostRead {
				want = yes
			}
			check(t, secret, a, Resource{Name: host, Host: host, Blocked: &model.Withdrawal{}}, want)
		}
		r := Resource{Name: challenge, Type: dns.TypeTXT, Host: host, Blocked: &model.Withdrawal{Reason: "phishing"}}
		check(t, secret, RecordSet, r, model.Denied)
		if err := Decide(secret, RecordSet, r); !errors.Is(err, model.ErrBlocked) || !strings.Contains(err.Error(), "phishing") {
			t.Error(err)
		}
		check(t, admin, SetAddresses, Resource{Name: host, Blocked: &model.Withdrawal{}}, yes)
	})
	t.Run("host watch, host.read, host.set-addresses its own host: yes", func(t *testing.T) {
		check(t, secret, Watch, Resource{Name: host}, yes)
		check(t, secret, HostRead, Resource{Name: host}, yes)
		check(t, secret, SetAddresses, Resource{Name: host}, yes)
	})
	t.Run("host record.set, record.delete TXT at _acme-challenge.HOST: yes", func(t *testing.T) {
		check(t, secret, RecordSet, Resource{Name: challenge, Type: dns.TypeTXT}, yes)
		check(t, secret, RecordDelete, Resource{Name: challenge, Type: dns.TypeTXT}, yes)
	})
	t.Run("host any about one host or record not its host, nor below it: NotFound", func(t *testing.T) {
		for _, n := range others {
			for _, a := range Actions() {
				if aboutOneName(a) {
					check(t, secret, a, Resource{Name: n, Type: dns.TypeTXT}, model.NotFound)
				}
			}
		}
	})
	t.Run("host any any: Denied", func(t *testing.T) {
		for _, a := range []Action{HostUpdate, HostDelete, RotateSecret, RecordRead, RecordSet, RecordDelete, HostCreate} {
			check(t, secret, a, Resource{Name: host, Type: dns.TypeTXT}, model.Denied)
		}
		check(t, secret, SetAddresses, Resource{Name: name(t, "x.www.vo.example.org")}, model.Denied)
		check(t, secret, RecordSet, Resource{Name: challenge, Type: dns.TypeA}, model.Denied)
		check(t, secret, RecordDelete, Resource{Name: challenge}, model.Denied)
		check(t, secret, RecordSet, Resource{Name: name(t, "_acme-challenge.x.www.vo.example.org"), Type: dns.TypeTXT}, model.Denied)
		for _, a := range []Action{ZoneCreate, ZoneRead, ZoneList, ZoneUpdate, ZoneDelete, ZoneImport, ZoneExport, HostCreate, HostList, AuditRead, StatusRead, Watch} {
			check(t, secret, a, Resource{Name: name(t, "vo.example.org")}, model.Denied)
		}
	})
}

// The rows of Decide's table about endpoints' secrets.
func TestDecideOnEndpointSecrets(t *testing.T) {
	host := name(t, "www.vo.example.org")
	a := Principal{Kind: EndpointSecret, Host: host, ID: "a"}
	own := map[Action]bool{EndpointRead: true, EndpointSetAddresses: true, EndpointBeat: true, EndpointDrain: true}
	t.Run("endpoint any but endpoint.read of its own host, blocked: Denied", func(t *testing.T) {
		for _, action := range Actions() {
			want := model.Denied
			if isForAll(action) || action == EndpointRead {
				want = yes
			}
			check(t, a, action, Resource{Name: host, ID: "a", Host: host, Blocked: &model.Withdrawal{}}, want)
		}
	})
	t.Run("endpoint endpoint.read, endpoint.set-addresses, endpoint.beat, endpoint.drain its own endpoint: yes; any any: Denied", func(t *testing.T) {
		for _, action := range Actions() {
			want := model.Denied
			if isForAll(action) || own[action] {
				want = yes
			}
			check(t, a, action, Resource{Name: host, ID: "a", Host: host}, want)
			if !isForAll(action) {
				want = model.Denied
			}
			for _, id := range []string{"b", "main", "", "A"} {
				check(t, a, action, Resource{Name: host, ID: id, Host: host}, want)
			}
			check(t, a, action, Resource{Name: name(t, "x.www.vo.example.org"), ID: "a", Type: dns.TypeTXT}, want)
		}
		check(t, Principal{Kind: HostSecret, Host: host}, EndpointDrain, Resource{Name: host, ID: "a"}, model.Denied)
	})
	t.Run("endpoint any about one host, endpoint or record not its host, nor below it: NotFound", func(t *testing.T) {
		for _, n := range []string{"other.vo.example.org", "vo.example.org", "xwww.vo.example.org"} {
			for _, action := range Actions() {
				if aboutOneName(action) {
					check(t, a, action, Resource{Name: name(t, n), ID: "a"}, model.NotFound)
				}
			}
		}
	})
	if b := (Principal{Kind: EndpointSecret, Host: host, ID: "b"}); a.Same(b) || !a.Same(a) {
		t.Error("two endpoints are the same principal")
	}
}

func TestPrincipalsAreWrittenForAudit(t *testing.T) {
	for want, p := range map[string]Principal{
		"nobody":           {},
		"admin/ab12":       {Kind: Admin, Token: "ab12"},
		"host/www.vo.test": {Kind: HostSecret, Host: name(t, "www.vo.test")},

		"endpoint/www.vo.test/a": {Kind: EndpointSecret, Host: name(t, "www.vo.test"), ID: "a"},

		"egi/alice": {Kind: User, Person: "egi/alice"},

		"token/7f of egi/alice": {Kind: User, Person: "egi/alice", Narrow: &Narrow{Token: "7f"}},
	} {
		if p.String() != want {
			t.Errorf("%s, want %s", p, want)
		}
	}
}

func TestSecretsHaveTheirFormAndAreReadBack(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		h, a := NewHostSecret(), NewAdminToken()
		if len(h) != 32 || !strings.HasPrefix(h, "sph_") || !strings.HasPrefix(a, "sp_admin_") || seen[h] || seen[a] {
			t.Fatalf("%q %q", h, a)
		}
		seen[h], seen[a] = true, true
		hs, err := ParseSecret(h)
		if err != nil || hs.Kind != HostSecret || !hs.Is(hs.Sum[:]) {
			t.Fatalf("%q: %v %v", h, hs.Kind, err)
		}
		e := NewEndpointSecret()
		if es, err := ParseSecret(e); err != nil || es.Kind != EndpointSecret || len(e) != 32 || !strings.HasPrefix(e, "spe_") {
			t.Fatalf("%q: %v %v", e, es.Kind, err)
		}
		k := NewToken()
		if ks, err := ParseSecret(k); err != nil || ks.Kind != User || !strings.HasPrefix(k, "sp_api_") {
			t.Fatalf("%q: %v %v", k, ks.Kind, err)
		}
		as, err := ParseSecret(a)
		if err != nil || as.Kind != Admin || as.Is(hs.Sum[:]) || as.Is(nil) {
			t.Fatalf("%q: %v %v", a, as.Kind, err)
		}
	}
}

func TestASecretWithAWrongChecksumIsRefusedBeforeAnyLookUp(t *testing.T) {
	good := NewHostSecret()
	flipped := []byte(good)
	if flipped[10]++; flipped[10] > 'z' {
		flipped[10] = '0'
	}
	for _, bad := range []string{
		"", "sph_", string(flipped), good[:31], good + "0", strings.Repeat("0", 32), "sp_admin_" + good[4:],
		strings.Replace(NewAdminToken(), "sp_admin_", "sp_agent_", 1),
	} {
		_, err := ParseSecret(bad)
		if model.KindOf(err) != model.Unauthenticated {
			t.Errorf("%q: %v", bad, err)
		}
		if len(bad) > 8 && strings.Contains(err.Error(), bad) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}
