package controlapi_test

import (
	"bytes"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// Promise 9: secrets are shown once and stored so that a stolen etcd backup reveals
// none, also while a repeated call would be given them again.
func TestNoSecretStandsInEtcd(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	made, err := s.Hosts.CreateHost(s.Admin("request-id", "create"), &pb.CreateHostRequest{Fqdn: "www.vo.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := s.Hosts.RotateSecret(s.Admin("request-id", "rotate"), &pb.RotateSecretRequest{Fqdn: "www.vo.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Hosts.RotateSecret(s.Admin("request-id", "rotate"), &pb.RotateSecretRequest{Fqdn: "www.vo.example.org"})
	if err != nil || again.Secret != rotated.Secret {
		t.Fatalf("the repeated call: %q, %v; want the secret again", again.GetSecret(), err)
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{controltest.Etcd.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	all, err := c.Get(t.Context(), "/", clientv3.WithPrefix())
	if err != nil || len(all.Kvs) == 0 {
		t.Fatal(len(all.Kvs), err)
	}
	for _, secret := range []string{made.Secret, rotated.Secret, s.Token} {
		for _, kv := range all.Kvs {
			if bytes.Contains(kv.Value, []byte(secret)) || bytes.Contains(kv.Value, []byte(secret[4:26])) || bytes.Contains(kv.Key, []byte(secret)) {
				t.Errorf("%s holds a secret", kv.Key)
			}
		}
		if bytes.Contains([]byte(s.Log.String()), []byte(secret)) {
			t.Error("the log holds a secret")
		}
	}
}

// A credential that is taken back while a change is decided on it commits nothing.
func TestARevokedSecretCommitsNothing(t *testing.T) {
	var s *controltest.Server
	var between func()
	s = controltest.Start(t, func(c *controlapi.Config) {
		c.Now = func() time.Time {
			if f := between; f != nil {
				between = nil
				f()
			}
			return time.Unix(1_800_000_000, 0)
		}
	})
	s.Zone("vo.example.org")
	secret := s.Host("www.vo.example.org", "192.0.2.1")
	var once sync.Once
	between = func() { // the clock is read when the new addresses have been decided on
		once.Do(func() {
			if _, err := s.Hosts.RotateSecret(s.Admin(), &pb.RotateSecretRequest{Fqdn: "www.vo.example.org"}); err != nil {
				t.Error(err)
			}
		})
	}
	_, err := s.Hosts.SetAddresses(controltest.As("www.vo.example.org", secret), &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{"192.0.2.66"}})
	controltest.WantErr(t, err, codes.Unauthenticated, "")
	got, err := s.Hosts.GetHost(s.Admin(), &pb.GetHostRequest{Fqdn: "www.vo.example.org"})
	if err != nil || len(got.Addresses) != 1 || got.Addresses[0] != "192.0.2.1" {
		t.Errorf("the host has %v, %v; want its old address", got.GetAddresses(), err)
	}
}

// A request id is its principal's: another one's call with the same id is another call.
func TestARequestIDIsItsPrincipals(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	secret := s.Host("www.vo.example.org", "192.0.2.9")
	in := &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{"192.0.2.1"}}
	if _, err := s.Hosts.SetAddresses(s.Admin("request-id", "same"), in); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{"192.0.2.9"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hosts.SetAddresses(controltest.As("www.vo.example.org", secret, "request-id", "same"), in); err != nil {
		t.Fatal(err)
	}
	got, err := s.Hosts.GetHost(s.Admin(), &pb.GetHostRequest{Fqdn: "www.vo.example.org"})
	if err != nil || got.Addresses[0] != "192.0.2.1" {
		t.Errorf("the host has %v, %v; want what the second principal's call says", got.GetAddresses(), err)
	}
}

// A secret that was taken back through one service is wrong for the other at once, in
// calls that change nothing, too: not when its copy of the state comes to hear of it.
func TestARevokedSecretIsWrongAtOnceElsewhere(t *testing.T) {
	s := controltest.Start(t)
	other := s.Again()
	s.Zone("vo.example.org")
	secret := s.Host("www.vo.example.org")
	for i := range 90 {
		who, err := other.Servers.WhoAmI(controltest.As("www.vo.example.org", secret), &pb.WhoAmIRequest{})
		if err != nil || who.Kind != "host" {
			t.Fatalf("%d: %v, %v", i, who, err)
		}
		out, err := s.Hosts.RotateSecret(s.Admin(), &pb.RotateSecretRequest{Fqdn: "www.vo.example.org"})
		if err != nil {
			t.Fatal(err)
		}
		if who, err := other.Servers.WhoAmI(controltest.As("www.vo.example.org", secret), &pb.WhoAmIRequest{}); err == nil {
			t.Fatalf("%d: the old secret is still %v", i, who)
		}
		secret = out.Secret
	}
}
