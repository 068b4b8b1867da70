package controlapi_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

func TestARepeatedCallHasOneEffectAndOneAnswer(t *testing.T) {
	s := start(t)
	s.zone("vo.example.org")
	in := &pb.CreateHostRequest{Fqdn: "www.vo.example.org", Addresses: []string{"192.0.2.1"}}
	first, err := s.hosts.CreateHost(s.admin("request-id", "one"), in)
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.hosts.CreateHost(s.admin("request-id", "one"), in)
	if err != nil || !proto.Equal(first, second) {
		t.Errorf("%v, want %v: %v", second, first, err)
	}
	_, err = s.hosts.CreateHost(s.admin("request-id", "one"), &pb.CreateHostRequest{Fqdn: "x.vo.example.org"})
	wantErr(t, err, codes.FailedPrecondition, "request_id")
	_, err = s.hosts.CreateHost(s.admin("request-id", "two"), in)
	wantErr(t, err, codes.AlreadyExists, "fqdn")
	s.clock.add(11 * time.Minute)
	third, err := s.hosts.CreateHost(s.admin("request-id", "one"), in)
	if err != nil || third.Secret != "" || !proto.Equal(third.Host, first.Host) {
		t.Errorf("the secret is told for longer than 10 minutes: %v, %v", third, err)
	}
	s.clock.add(24 * time.Hour)
	_, err = s.hosts.CreateHost(s.admin("request-id", "one"), in)
	wantErr(t, err, codes.AlreadyExists, "fqdn")
	_, err = s.hosts.CreateHost(s.admin("request-id", strings.Repeat("x", 129)), in)
	wantErr(t, err, codes.InvalidArgument, "request_id")
}

func TestACallThatChangedNothingIsRepeatedAsSuch(t *testing.T) {
	s := start(t)
	s.zone("vo.example.org")
	s.host("www.vo.example.org", "192.0.2.1")
	in := &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{"192.0.2.1"}}
	first, err := s.hosts.SetAddresses(s.admin("request-id", "one"), in)
	if err != nil || first.Change.Changed {
		t.Fatal(first, err)
	}
	second, err := s.hosts.SetAddresses(s.admin("request-id", "one"), in)
	if err != nil || !proto.Equal(first, second) {
		t.Errorf("%v, want %v: %v", second, first, err)
	}
}

func TestOneOfManyRegistrationsWins(t *testing.T) {
	s := start(t)
	s.zone("vo.example.org")
	const n = 8
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			_, errs[i] = s.hosts.CreateHost(s.admin(), &pb.CreateHostRequest{Fqdn: "www.vo.example.org"})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		wantErr(t, err, codes.AlreadyExists, "fqdn")
	}
	if won != 1 {
		t.Errorf("%d won", won)
	}
}

func TestAnEndpointsGenerationIsNewWheneverItsAddressesChange(t *testing.T) {
	s := start(t)
	s.zone("vo.example.org")
	s.host("www.vo.example.org")
	seen := map[uint64]bool{}
	for _, a := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.1"} {
		if _, err := s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{a}}); err != nil {
			t.Fatal(err)
		}
		e := s.endpoints("www.vo.example.org.")
		if len(e) != 1 || e[0].ID != model.MainEndpoint || e[0].Generation == 0 || seen[e[0].Generation] {
			t.Fatal(e)
		}
		seen[e[0].Generation] = true
	}
	gone, err := s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", ClearIpv4: true})
	if err != nil || len(gone.Host.Addresses) != 0 || len(s.endpoints("www.vo.example.org.")) != 0 {
		t.Error(gone, err)
	}
}

func (s *server) endpoints(name model.Name) (out []model.Endpoint) {
	s.t.Helper()
	err := s.store.Read(context.Background(), func(tx *store.Tx) error {
		z, err := tx.ZoneAbove(name)
		if err != nil {
			return err
		}
		path, err := tx.Path(z, name)
		out = path[0].Data.Host.Endpoints
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}
