package controlapi_test

import (
	"maps"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

func barring(t *testing.T, hosts, principals, agents, addresses string) func(*controlapi.Config) {
	t.Helper()
	b, err := controlapi.ParseBarred(strings.Fields(hosts), strings.Fields(principals), strings.Fields(agents), strings.Fields(addresses))
	if err != nil {
		t.Fatal(err)
	}
	return func(c *controlapi.Config) { c.Barred = b }
}

func TestWhoIsBarredIsRefused(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	secret := s.HostOf(controltest.Person("egi/alice"), "login-1.vo.example.org", "192.0.2.1")
	s.HostOf(controltest.Person("egi/alice"), "good.vo.example.org", "192.0.2.1")
	barred := s.Again(barring(t, "LOGIN-*.vo.example.org.", "egi/mallory group:egi/bad", "BadClient/1", "198.51.100.0/24 2001:db8::1"))
	listing := func(headers ...string) int {
		t.Helper()
		status, _ := barred.Call("GET", "/v1/hosts?zone=vo.example.org", "Bearer "+s.Token, "", headers...)
		return status
	}
	for want, headers := range map[int][][]string{
		200: {{}, {"User-Agent", "GoodClient/1"}, {"X-Forwarded-For", "192.0.2.1"}, {"X-Forwarded-For", "2001:db8::2"}},
		403: {{"User-Agent", "x bADcLIENT/1.7"}, {"X-Forwarded-For", "198.51.100.9"}, {"X-Forwarded-For", "2001:db8::1"}, {"X-Forwarded-For", "::ffff:198.51.100.9"}, {"X-Forwarded-For", "192.0.2.1", "Forwarded", "for=192.0.2.2"}},
	} {
		for _, h := range headers {
			if got := listing(h...); got != want {
				t.Errorf("%q is answered %d, want %d", h, got, want)
			}
		}
	}
	if status, body := barred.Call("GET", "/v1/whoami", "", "", "X-Forwarded-For", "198.51.100.9"); status != 403 || !strings.Contains(body, "calls from your address are not taken; ask those who run this service") {
		t.Errorf("nobody from there is answered %d %s", status, body)
	}

	in := &pb.GetHostRequest{Fqdn: "login-1.vo.example.org"}
	_, err := barred.Hosts.GetHost(controltest.Person("egi/alice"), in)
	controltest.WantErr(t, err, codes.PermissionDenied, "")
	_, err = barred.Hosts.GetHost(controltest.Person("egi/zoe"), in)
	controltest.WantErr(t, err, codes.PermissionDenied, "")
	_, err = barred.Hosts.GetHost(controltest.As("login-1.vo.example.org", secret), in)
	controltest.WantErr(t, err, codes.PermissionDenied, "")
	_, err = barred.Hosts.CreateHost(controltest.Person("egi/alice"), &pb.CreateHostRequest{Fqdn: "login-2.vo.example.org"})
	controltest.WantErr(t, err, codes.PermissionDenied, "")
	_, err = barred.Records.SetRecordSet(controltest.Person("egi/alice"), &pb.SetRecordSetRequest{Fqdn: "x.login-1.vo.example.org", Type: "TXT", Rdata: []string{"x"}})
	controltest.WantErr(t, err, codes.PermissionDenied, "")
	for _, ok := range []string{"egi/olga group:egi/operators", "egi/zoe group:egi/operators"} {
		who, groups, _ := strings.Cut(ok, " ")
		if _, err := barred.Hosts.GetHost(controltest.Person(who, groups), in); err != nil {
			t.Errorf("an operator: %v", err)
		}
	}
	if _, err := barred.Hosts.GetHost(controltest.Person("egi/alice"), &pb.GetHostRequest{Fqdn: "good.vo.example.org"}); err != nil {
		t.Error(err)
	}

	_, err = barred.Hosts.ListHosts(controltest.Person("egi/mallory"), &pb.ListHostsRequest{})
	controltest.WantErr(t, err, codes.PermissionDenied, "")
	_, err = barred.Hosts.ListHosts(controltest.Person("egi/x", "group:egi/bad"), &pb.ListHostsRequest{})
	controltest.WantErr(t, err, codes.PermissionDenied, "")
	if _, err := barred.Hosts.ListHosts(controltest.Person("other/mallory", "group:egi/badder"), &pb.ListHostsRequest{}); err != nil {
		t.Error(err)
	}
	families, err := barred.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "signpost_api_barred_total" {
				counted[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	if want := map[string]float64{"address": 5, "agent": 1, "host": 5, "principal": 2}; !maps.Equal(counted, want) {
		t.Errorf("counted are %v, want %v", counted, want)
	}
}
