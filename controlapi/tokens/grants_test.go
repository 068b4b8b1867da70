package tokens_test

import (
	"context"
	"encoding/base64"
	"google.golang.org/grpc/codes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// What a token made is revoked with it: host secrets, on every control service.
func TestASecretEndsWithTheTokenThatMadeIt(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	other := s.Again()
	alice := controltest.Person("egi/alice")
	s.HostOf(alice, "web.vo.example.org", "192.0.2.1")
	own := s.HostOf(alice, "own.vo.example.org", "192.0.2.1")
	all := []string{"*", "grant"}
	for what, end := range map[string]func(token string){
		"revoked": func(token string) { s.Revoke(alice, token) },
		"expired": func(string) { s.Clock.Add(time.Hour); other.Clock.Add(time.Hour) },
	} {
		maker := s.TokenOf(alice, &pb.CreateTokenRequest{Actions: all, Lifetime: durationpb.New(time.Hour)})
		made := s.TokenOf(controltest.Bearer(maker), &pb.CreateTokenRequest{Actions: all})
		secrets := map[string]string{what + ".vo.example.org": s.HostOf(controltest.Bearer(made), what+".vo.example.org")}
		rotated, err := s.Hosts.RotateSecret(controltest.Bearer(made), &pb.RotateSecretRequest{Fqdn: "web.vo.example.org"})
		if err != nil {
			t.Fatal(err)
		}
		secrets["web.vo.example.org"] = rotated.Secret
		for host, secret := range secrets {
			me, err := s.Servers.WhoAmI(controltest.As(host, secret), &pb.WhoAmIRequest{})
			if err != nil || me.Principal != "host/"+host || !me.ExpireTime.AsTime().Equal(s.Clock.Read().Add(time.Hour)) {
				t.Errorf("%v, %v", me, err)
			}
			if err := s.UpdateAs(controltest.As(host, secret), host, "192.0.2.2"); err != nil {
				t.Error(err)
			}
		}
		end(maker)
		for host, secret := range secrets {
			for _, at := range []*controltest.Server{s, other} {
				err := at.UpdateAs(controltest.As(host, secret), host, "192.0.2.3")
				controltest.WantErr(t, err, codes.Unauthenticated, "")
				if err != nil && !strings.Contains(err.Error(), "the token that made this secret was revoked or has expired; make another: signpost host rotate-secret") {
					t.Errorf("%s: %v", what, err)
				}
			}
		}
		again, err := s.Hosts.RotateSecret(alice, &pb.RotateSecretRequest{Fqdn: "web.vo.example.org"})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.UpdateAs(controltest.As("web.vo.example.org", again.Secret), "web.vo.example.org", "192.0.2.4"); err != nil {
			t.Errorf("a secret that a person made: %v", err)
		}
	}
	if err := s.UpdateAs(controltest.As("own.vo.example.org", own), "own.vo.example.org", "192.0.2.5"); err != nil {
		t.Errorf("a secret that no token made: %v", err)
	}
}

// No side door makes a wider credential: a secret is used from where its maker is.
func TestASecretIsUsedFromWhereItsMakerIs(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	token := s.TokenOf(controltest.Person("egi/alice"), &pb.CreateTokenRequest{Sources: []string{"192.0.2.0/24"}})
	call := func(secret, host, from string) error {
		ctx := controlapi.WithCaller(t.Context(), controlapi.Caller{Authorization: "Basic " + base64.StdEncoding.EncodeToString([]byte(host+":"+secret)), Source: netip.MustParseAddr(from)})
		_, err := s.Service.SetAddresses(ctx, &pb.SetAddressesRequest{Fqdn: host, Addresses: []string{"192.0.2.9"}})
		return err
	}
	out, err := s.Service.CreateHost(controlapi.WithCaller(t.Context(), controlapi.Caller{Authorization: "Bearer " + token, Source: netip.MustParseAddr("192.0.2.1")}),
		&pb.CreateHostRequest{Fqdn: "web.vo.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if err := call(out.Secret, "web.vo.example.org", "192.0.2.77"); err != nil {
		t.Error(err)
	}
	err = call(out.Secret, "web.vo.example.org", "198.51.100.1")
	if err == nil || !strings.Contains(err.Error(), "the token that made this secret may not be used from your address") {
		t.Errorf("%v", err)
	}
}

// What a token made is revoked with it: shares and offers.
func TestAShareEndsWithTheTokenThatMadeIt(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	alice, bob, carol, dave := controltest.Person("egi/alice"), controltest.Person("egi/bob"), controltest.Person("egi/carol"), controltest.Person("egi/dave", "group:egi/g")
	const fqdn = "web.vo.example.org"
	s.HostOf(alice, fqdn, "192.0.2.1")
	token := s.TokenOf(alice, &pb.CreateTokenRequest{Actions: []string{"*", "grant"}})
	share := func(who context.Context, add ...string) {
		t.Helper()
		if _, err := s.Hosts.ShareHost(who, &pb.ShareHostRequest{Fqdn: fqdn, Add: add}); err != nil {
			t.Fatal(err)
		}
	}
	share(alice, "egi/bob")
	share(controltest.Bearer(token), "egi/bob", "egi/carol", "group:egi/g", "egi/erin")
	share(alice, "egi/erin") // who says so again stands for it
	if _, err := s.Hosts.TransferHost(controltest.Bearer(token), &pb.TransferHostRequest{Fqdn: fqdn, To: "egi/frank"}); err != nil {
		t.Fatal(err)
	}
	for _, who := range []context.Context{bob, carol, dave, controltest.Person("egi/erin")} {
		if err := s.UpdateAs(who, fqdn, "192.0.2.2"); err != nil {
			t.Error(err)
		}
	}
	s.Revoke(alice, token)
	for _, who := range []context.Context{carol, dave, controltest.Person("egi/frank")} {
		controltest.WantErr(t, s.UpdateAs(who, fqdn, "192.0.2.3"), codes.NotFound, "")
		_, err := s.Hosts.GetHost(who, &pb.GetHostRequest{Fqdn: fqdn})
		controltest.WantErr(t, err, codes.NotFound, "")
		_, err = s.Hosts.AcceptHost(who, &pb.AcceptHostRequest{Fqdn: fqdn})
		controltest.WantErr(t, err, codes.NotFound, "")
		_, err = s.Audits.ListAuditRecords(who, &pb.ListAuditRecordsRequest{Fqdn: fqdn})
		controltest.WantErr(t, err, codes.NotFound, "")
		list, err := s.Hosts.ListHosts(who, &pb.ListHostsRequest{})
		if err != nil || len(list.Hosts) != 0 {
			t.Errorf("%v, %v", list, err)
		}
		_, err = s.Hosts.ListHosts(who, &pb.ListHostsRequest{Zone: "vo.example.org"})
		if err != nil {
			t.Errorf("a zone in which they may register: %v", err)
		}
	}
	shown := func() string {
		t.Helper()
		h, err := s.Hosts.GetHost(alice, &pb.GetHostRequest{Fqdn: fqdn})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(h.Editors, " ") + "/" + h.OfferedTo
	}
	if got := shown(); got != "egi/bob egi/erin/" {
		t.Error(got)
	}
	for _, who := range []context.Context{bob, controltest.Person("egi/erin")} {
		if err := s.UpdateAs(who, fqdn, "192.0.2.4"); err != nil {
			t.Error(err)
		}
	}
	if got := shown(); got != "egi/bob egi/erin/" {
		t.Error(got)
	}
	for _, who := range []string{"egi/carol", "group:egi/g"} { // the lists of what they have are in step
		if err := s.Store.Read(t.Context(), func(tx *store.Tx) error {
			held, err := tx.Holdings(who)
			if len(held) != 0 {
				t.Errorf("%s has %v", who, held)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	share(alice, "egi/carol")
	if err := s.UpdateAs(carol, fqdn, "192.0.2.5"); err != nil {
		t.Error(err)
	}
}

// What a token made is revoked with it: who administers a zone and who registers there.
func TestWhoATokenLetIntoAZoneIsOutWithIt(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Admins: &pb.Words{Values: []string{"egi/zoe"}}, Groups: &pb.Words{Values: []string{"group:egi/a"}}})
	zoe := controltest.Person("egi/zoe")
	token := s.TokenOf(zoe, &pb.CreateTokenRequest{Actions: []string{"*", "grant"}})
	if _, err := s.Zones.UpdateZonePolicy(controltest.Bearer(token), &pb.UpdateZonePolicyRequest{
		Name: "vo.example.org", Admins: &pb.Words{Values: []string{"egi/zoe", "egi/mallory"}}, Groups: &pb.Words{Values: []string{"group:egi/a", "group:egi/b"}}, Register: new("groups"),
	}); err != nil {
		t.Fatal(err)
	}
	mallory := controltest.Person("egi/mallory")
	try := func(who context.Context, fqdn string) error {
		_, err := s.Hosts.CreateHost(who, &pb.CreateHostRequest{Fqdn: fqdn})
		return err
	}
	if err := try(mallory, "m.vo.example.org"); err != nil {
		t.Fatal(err)
	}
	if err := try(controltest.Person("egi/x", "group:egi/a"), "a.vo.example.org"); err != nil {
		t.Fatal(err)
	}
	s.Revoke(zoe, token)
	_, err := s.Zones.UpdateZone(mallory, &pb.UpdateZoneRequest{Name: "vo.example.org", Ttl: new(uint32(600))})
	controltest.WantErr(t, err, codes.NotFound, "")
	for _, who := range []context.Context{mallory, controltest.Person("egi/x", "group:egi/a"), controltest.Person("egi/y", "group:egi/b")} {
		controltest.WantErr(t, try(who, "n.vo.example.org"), codes.NotFound, "")
	}
	z, err := s.Zones.GetZone(zoe, &pb.GetZoneRequest{Name: "vo.example.org"})
	if err != nil || strings.Join(z.Policy.Admins, " ") != "egi/zoe" || strings.Join(z.Policy.Groups, " ") != "group:egi/a" || z.Policy.Register != "nobody" {
		t.Errorf("%v, %v", z, err)
	}
	// Another change does not bring it back.
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Depth: new(uint32(2))})
	_, err = s.Zones.UpdateZone(mallory, &pb.UpdateZoneRequest{Name: "vo.example.org", Ttl: new(uint32(600))})
	controltest.WantErr(t, err, codes.NotFound, "")
	if _, err := s.Zones.UpdateZone(zoe, &pb.UpdateZoneRequest{Name: "vo.example.org", Ttl: new(uint32(600))}); err != nil {
		t.Error(err)
	}
}
