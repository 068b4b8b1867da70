package controlapi_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"signpost/controlapi/controltest"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

func TestARepeatedCallHasOneEffectAndOneAnswer(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	in := &pb.CreateHostRequest{Fqdn: "www.vo.example.org", Addresses: []string{"192.0.2.1"}}
	first, err := s.Hosts.CreateHost(s.Admin("request-id", "one"), in)
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Hosts.CreateHost(s.Admin("request-id", "one"), in)
	if err != nil || !proto.Equal(first, second) {
		t.Errorf("%v, want %v: %v", second, first, err)
	}
	_, err = s.Hosts.CreateHost(s.Admin("request-id", "one"), &pb.CreateHostRequest{Fqdn: "x.vo.example.org"})
	controltest.WantErr(t, err, codes.FailedPrecondition, "request_id")
	_, err = s.Hosts.CreateHost(s.Admin("request-id", "two"), in)
	controltest.WantErr(t, err, codes.AlreadyExists, "fqdn")
	s.Clock.Add(11 * time.Minute)
	third, err := s.Hosts.CreateHost(s.Admin("request-id", "one"), in)
	if err != nil || third.Secret != "" || !proto.Equal(third.Host, first.Host) {
		t.Errorf("the secret is told for longer than 10 minutes: %v, %v", third, err)
	}
	s.Clock.Add(24 * time.Hour)
	_, err = s.Hosts.CreateHost(s.Admin("request-id", "one"), in)
	controltest.WantErr(t, err, codes.AlreadyExists, "fqdn")
	_, err = s.Hosts.CreateHost(s.Admin("request-id", strings.Repeat("x", 129)), in)
	controltest.WantErr(t, err, codes.InvalidArgument, "request_id")
}

func TestACallThatChangedNothingIsRepeatedAsSuch(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Host("www.vo.example.org", "192.0.2.1")
	in := &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{"192.0.2.1"}}
	first, err := s.Hosts.SetAddresses(s.Admin("request-id", "one"), in)
	if err != nil || first.Change.Changed {
		t.Fatal(first, err)
	}
	second, err := s.Hosts.SetAddresses(s.Admin("request-id", "one"), in)
	if err != nil || !proto.Equal(first, second) {
		t.Errorf("%v, want %v: %v", second, first, err)
	}
}

func TestOneOfManyRegistrationsWins(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	const n = 8
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			_, errs[i] = s.Hosts.CreateHost(s.Admin(), &pb.CreateHostRequest{Fqdn: "www.vo.example.org"})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		controltest.WantErr(t, err, codes.AlreadyExists, "fqdn")
	}
	if won != 1 {
		t.Errorf("%d won", won)
	}
}

func TestAnEndpointsGenerationIsNewWheneverItsAddressesChange(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Host("www.vo.example.org")
	seen := map[uint64]bool{}
	for _, a := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.1"} {
		if _, err := s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{a}}); err != nil {
			t.Fatal(err)
		}
		e := endpointsOf(s, "www.vo.example.org.")
		if len(e) != 1 || e[0].ID != model.MainEndpoint || e[0].Generation == 0 || seen[e[0].Generation] {
			t.Fatal(e)
		}
		seen[e[0].Generation] = true
	}
	gone, err := s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", ClearIpv4: true})
	if err != nil || len(gone.Host.Addresses) != 0 || len(endpointsOf(s, "www.vo.example.org.")) != 0 {
		t.Error(gone, err)
	}
}

func endpointsOf(s *controltest.Server, name model.Name) (out []model.Endpoint) {
	s.T.Helper()
	err := s.Store.Read(context.Background(), func(tx *store.Tx) error {
		z, err := tx.ZoneAbove(name)
		if err != nil {
			return err
		}
		path, err := tx.Path(z, name)
		out = path[0].Data.Host.Endpoints
		return err
	})
	if err != nil {
		s.T.Fatal(err)
	}
	return out
}

// A call that took the caller's own rights away is answered again, to them alone and as
// long as their credential holds.
func TestWhatTookOnesRightsAwayIsAnsweredAgain(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	alice, token := controltest.Person("egi/alice"), s.TokenOf(controltest.Person("egi/alice"), &pb.CreateTokenRequest{})
	s.HostOf(alice, "a.vo.example.org", "192.0.2.1")
	s.HostOf(alice, "b.vo.example.org", "192.0.2.1")
	id := func(who context.Context, id string) context.Context {
		return metadata.AppendToOutgoingContext(who, "request-id", id)
	}
	del := func(who context.Context, fqdn, etag string) (*pb.DeleteHostResponse, error) {
		return s.Hosts.DeleteHost(who, &pb.DeleteHostRequest{Fqdn: fqdn, Etag: etag})
	}
	for fqdn, who := range map[string]context.Context{"a.vo.example.org": alice, "b.vo.example.org": controltest.Bearer(token)} {
		first, err := del(id(who, fqdn), fqdn, "")
		if err != nil || !first.Change.Changed {
			t.Fatal(first, err)
		}
		again, err := del(id(who, fqdn), fqdn, "")
		if err != nil || !proto.Equal(first, again) {
			t.Errorf("%v, %v, want %v", again, err, first)
		}
	}
	leave := &pb.UpdateZonePolicyRequest{Name: "vo.example.org", Admins: &pb.Words{}}
	first, err := s.Zones.UpdateZonePolicy(id(controltest.Person("egi/zoe"), "leave"), leave)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.Zones.UpdateZonePolicy(id(controltest.Person("egi/zoe"), "leave"), leave); err != nil || !proto.Equal(first, again) {
		t.Errorf("%v, %v, want %v", again, err, first)
	}
	for what, err := range map[string]error{
		"another person": second(del(id(controltest.Person("egi/mallory"), "a.vo.example.org"), "a.vo.example.org", "")),
		"their token":    second(del(id(controltest.Bearer(token), "a.vo.example.org"), "a.vo.example.org", "")),
		"another id":     second(del(id(alice, "x"), "a.vo.example.org", "")),
		"another call":   second(del(id(alice, "a.vo.example.org"), "a.vo.example.org", "1")),
	} {
		if status.Code(err) != codes.NotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := s.People.DisablePrincipal(s.Admin(), &pb.DisablePrincipalRequest{Name: "egi/alice"}); err != nil {
		t.Fatal(err)
	}
	_, err = del(id(alice, "a.vo.example.org"), "a.vo.example.org", "")
	controltest.WantErr(t, err, codes.PermissionDenied, "")
}

// A host that is made anew answers nothing that the one before it was answered.
func TestALaterHostOfTheNameRepeatsNothing(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	set := func(secret string) *pb.SetAddressesResponse {
		t.Helper()
		out, err := s.Hosts.SetAddresses(controltest.As("web.vo.example.org", secret, "request-id", "boot"), &pb.SetAddressesRequest{Fqdn: "web.vo.example.org", Addresses: []string{"192.0.2.1"}})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	first := set(s.HostOf(controltest.Person("egi/alice"), "web.vo.example.org"))
	if _, err := s.Hosts.DeleteHost(s.Admin(), &pb.DeleteHostRequest{Fqdn: "web.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	if out := set(s.HostOf(controltest.Person("egi/zoe"), "web.vo.example.org")); out.Host.Owner != "egi/zoe" || out.Change.Revision == first.Change.Revision {
		t.Errorf("it is answered what another's host was: %v", out)
	}
}

func second[T any](_ T, err error) error { return err }
