package controlapi_test

import (
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

func TestLastUsesAreNotedOnceADay(t *testing.T) {
	s := controltest.Start(t)
	other := s.Again(func(c *controlapi.Config) { c.Now = s.Clock.Read })
	s.Open("vo.example.org")
	secret := s.Host("web.vo.example.org", "192.0.2.1")
	s.Host("unused.vo.example.org", "192.0.2.1")
	token := s.TokenOf(controltest.Person("egi/alice"), &pb.CreateTokenRequest{})
	used := func() (string, int64) {
		h, err := s.Hosts.GetHost(s.Admin(), &pb.GetHostRequest{Fqdn: "web.vo.example.org"})
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.Hosts.ListHosts(s.Admin(), &pb.ListHostsRequest{})
		if err != nil || !list.Hosts[1].SecretUseTime.AsTime().Equal(h.SecretUseTime.AsTime()) || list.Hosts[0].SecretUseTime != nil {
			t.Errorf("list and get differ: %v, %v, %v", h, list, err)
		}
		resp, err := s.Etcd().Get(t.Context(), s.Prefix+"/v1/ctl/used/", clientv3.WithPrefix())
		if err != nil {
			t.Fatal(err)
		}
		versions := int64(0)
		for _, kv := range resp.Kvs {
			versions += kv.Version
		}
		if h.SecretUseTime == nil {
			return "never", versions
		}
		return h.SecretUseTime.AsTime().Format(time.DateOnly), versions
	}
	use := func() {
		t.Helper()
		for _, via := range []*controltest.Server{s, other} {
			if _, err := via.Hosts.GetHost(controltest.As("web.vo.example.org", secret), &pb.GetHostRequest{Fqdn: "web.vo.example.org"}); err != nil {
				t.Fatal(err)
			}
			if _, err := via.Hosts.ListHosts(controltest.Bearer(token), &pb.ListHostsRequest{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	rev := func() int64 {
		st, err := s.Servers.GetStatus(s.Admin(), &pb.GetStatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return st.Revision
	}
	etag := func() string {
		h, err := s.Hosts.GetHost(s.Admin(), &pb.GetHostRequest{Fqdn: "web.vo.example.org"})
		if err != nil {
			t.Fatal(err)
		}
		return h.Etag
	}
	was, tag := rev(), etag()
	for range 20 {
		use()
	}
	if now := rev(); now != was {
		t.Errorf("reading wrote: %d, %d", was, now)
	}
	for range 3 {
		s.Service.NoteUses(controltest.Done(t))
		other.Service.NoteUses(controltest.Done(t))
		use()
	}
	if day, n := used(); day != "2026-11-23" || n != 2 {
		t.Errorf("%s, written %d times", day, n)
	}
	if now := rev(); now != was+1 {
		t.Errorf("written in %d transactions", now-was)
	}
	s.Clock.Add(25 * time.Hour)
	use()
	s.Service.NoteUses(controltest.Done(t))
	if day, n := used(); day != "2026-11-24" || n != 4 {
		t.Errorf("%s, written %d times", day, n)
	}
	if etag() != tag {
		t.Error("the use of a secret changes the host's etag")
	}
	if _, err := s.Hosts.RotateSecret(s.Admin(), &pb.RotateSecretRequest{Fqdn: "web.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	if day, _ := used(); day != "never" {
		t.Errorf("a new secret was used %s", day)
	}
	if _, err := s.Hosts.DeleteHost(s.Admin(), &pb.DeleteHostRequest{Fqdn: "web.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	resp, err := s.Etcd().Get(t.Context(), s.Prefix+"/v1/ctl/used/host/", clientv3.WithPrefix())
	if err != nil || len(resp.Kvs) != 0 {
		t.Errorf("%v, %v", resp, err)
	}
}
