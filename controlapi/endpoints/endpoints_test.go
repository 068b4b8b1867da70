package endpoints_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

func TestAnEndpointIsMadeChangedAndRemoved(t *testing.T) {
	s := controltest.Two(t)
	get := func(id string) *pb.Endpoint {
		t.Helper()
		e, err := s.Points.GetEndpoint(controltest.Person("egi/alice"), &pb.GetEndpointRequest{Fqdn: controltest.App, Id: id})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	a := get("a")
	if a.Site != "a" || fmt.Sprint(a.Addresses) != "[192.0.2.1 2001:db8::1]" || a.Weight != 1 || a.State != "up" || !a.Answered || a.Why != "there is no check" {
		t.Errorf("%v", a)
	}
	set := func(in *pb.SetEndpointRequest) *pb.SetEndpointResponse {
		t.Helper()
		in.Fqdn = controltest.App
		out, err := s.Points.SetEndpoint(controltest.Person("egi/alice"), in)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	// The same is not written, and what is not given stays.
	if out := set(&pb.SetEndpointRequest{Id: "a", Site: new("a"), Addresses: []string{"2001:db8::1", "192.0.2.1"}, Weight: new(uint32(1))}); out.Change.Changed || out.Endpoint.Etag != a.Etag {
		t.Errorf("%v", out)
	}
	out := set(&pb.SetEndpointRequest{Id: "a", Priority: new(uint32(5)), Weight: new(uint32(0)), Etag: a.Etag})
	if e := out.Endpoint; !out.Change.Changed || e.Priority != 5 || e.Weight != 0 || e.Site != "a" || len(e.Addresses) != 2 || e.Generation != a.Generation {
		t.Errorf("%v", out)
	}
	if got := get("a"); got.Etag != out.Endpoint.Etag {
		t.Errorf("etag %s, %s", got.Etag, out.Endpoint.Etag)
	}
	_, err := s.Points.SetEndpoint(controltest.Person("egi/alice"), &pb.SetEndpointRequest{Fqdn: controltest.App, Id: "a", Priority: new(uint32(6)), Etag: a.Etag})
	controltest.WantErr(t, err, codes.Aborted, "etag")
	// Other addresses are another generation.
	if out := set(&pb.SetEndpointRequest{Id: "a", Addresses: []string{"192.0.2.9"}}); out.Endpoint.Generation == a.Generation || len(out.Endpoint.Addresses) != 1 {
		t.Errorf("%v", out)
	}
	s.EndpointSecret(controltest.App, "a")
	if _, err := s.Points.RemoveEndpoint(controltest.Person("egi/alice"), &pb.RemoveEndpointRequest{Fqdn: controltest.App, Id: "a"}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Points.GetEndpoint(controltest.Person("egi/alice"), &pb.GetEndpointRequest{Fqdn: controltest.App, Id: "a"})
	controltest.WantErr(t, err, codes.NotFound, "id")
	// One of the same id is another one, without the secret.
	if e := set(&pb.SetEndpointRequest{Id: "a", Addresses: []string{"192.0.2.9"}}).Endpoint; e.SecretCreateTime != nil {
		t.Errorf("%v", e)
	}
	var audited []string
	records, err := s.Audits.ListAuditRecords(s.Admin(), &pb.ListAuditRecordsRequest{Fqdn: controltest.App, Action: "endpoint"})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records.Records {
		audited = append(audited, strings.TrimPrefix(r.Action, "endpoint.")+" "+r.Detail+": "+r.Before+" -> "+r.After)
	}
	if got := strings.Join(audited[1:3], "\n"); got != "remove a: addresses 192.0.2.9, site a, priority 5, weight 0 -> \nrotate-secret a:  -> " {
		t.Errorf("%s", got)
	}
}

func TestBadEndpointsAreRefusedByField(t *testing.T) {
	s := controltest.Two(t)
	for _, c := range []struct {
		in    *pb.SetEndpointRequest
		code  codes.Code
		field string
	}{
		{&pb.SetEndpointRequest{Id: "main", Addresses: []string{"192.0.2.1"}}, codes.InvalidArgument, "id"},
		{&pb.SetEndpointRequest{Id: "A"}, codes.InvalidArgument, "id"},
		{&pb.SetEndpointRequest{Id: "a/b"}, codes.InvalidArgument, "id"},
		{&pb.SetEndpointRequest{Id: "-a"}, codes.InvalidArgument, "id"},
		{&pb.SetEndpointRequest{Id: ""}, codes.InvalidArgument, "id"},
		{&pb.SetEndpointRequest{Id: strings.Repeat("a", 64)}, codes.InvalidArgument, "id"},
		{&pb.SetEndpointRequest{Id: "a", Site: new("Prague 1")}, codes.InvalidArgument, "site"},
		{&pb.SetEndpointRequest{Id: "a", Priority: new(uint32(65536))}, codes.InvalidArgument, "priority"},
		{&pb.SetEndpointRequest{Id: "a", Weight: new(uint32(65536))}, codes.InvalidArgument, "weight"},
		{&pb.SetEndpointRequest{Id: "a", Addresses: []string{"192.0.2.1", "x"}}, codes.InvalidArgument, "addresses[1]"},
		{&pb.SetEndpointRequest{Id: "a", Addresses: []string{"127.0.0.1"}}, codes.InvalidArgument, "addresses[0]"},
	} {
		c.in.Fqdn = controltest.App
		_, err := s.Points.SetEndpoint(s.Admin(), c.in)
		controltest.WantErr(t, err, c.code, c.field)
	}
	for i := range 14 {
		s.Endpoint(controltest.App, fmt.Sprint("n", i), "192.0.2.3")
	}
	_, err := s.Points.SetEndpoint(s.Admin(), &pb.SetEndpointRequest{Fqdn: controltest.App, Id: "one-more"})
	controltest.WantErr(t, err, codes.ResourceExhausted, "id")
	// A host with addresses stands beside no CNAME, wherever they are.
	s.Host("alias.vo.example.org")
	s.Record("alias.vo.example.org", "CNAME", "x.example.net.")
	_, err = s.Points.SetEndpoint(s.Admin(), &pb.SetEndpointRequest{Fqdn: "alias.vo.example.org", Id: "a", Addresses: []string{"192.0.2.1"}})
	controltest.WantErr(t, err, codes.FailedPrecondition, "addresses")
	_, err = s.Points.SetEndpoint(s.Admin(), &pb.SetEndpointRequest{Fqdn: "no.vo.example.org", Id: "a"})
	controltest.WantErr(t, err, codes.NotFound, "")
}

func TestAnEndpointsSecretIsForItsEndpointAlone(t *testing.T) {
	s := controltest.Two(t)
	secret := s.EndpointSecret(controltest.App, "a")
	bearers := controltest.With("authorization", "Bearer "+secret) // the request says whose it is
	for _, ctx := range []func() error{
		func() error {
			_, err := s.Points.SetEndpointAddresses(controltest.As(controltest.App+"/a", secret), &pb.SetEndpointAddressesRequest{Fqdn: controltest.App, Id: "a", Addresses: []string{"192.0.2.7"}})
			return err
		},
		func() error {
			_, err := s.Points.SetEndpointAddresses(bearers, &pb.SetEndpointAddressesRequest{Fqdn: controltest.App, Id: "a", Addresses: []string{"192.0.2.8"}})
			return err
		},
		func() error {
			_, err := s.Points.GetEndpoint(bearers, &pb.GetEndpointRequest{Fqdn: controltest.App, Id: "a"})
			return err
		},
		func() error {
			_, err := s.Points.SetEndpointWord(bearers, &pb.SetEndpointWordRequest{Fqdn: controltest.App, Id: "a", Say: "drain", Reason: "reboot"})
			return err
		},
	} {
		if err := ctx(); err != nil {
			t.Error(err)
		}
	}
	s.WantStands(controltest.App, "a drained, b up*")
	set := &pb.SetEndpointAddressesRequest{Fqdn: controltest.App, Id: "b", Addresses: []string{"192.0.2.7"}}
	_, err := s.Points.SetEndpointAddresses(bearers, set)
	controltest.WantErr(t, err, codes.Unauthenticated, "")
	_, err = s.Points.SetEndpointAddresses(controltest.As(controltest.App+"/a", secret), set)
	controltest.WantErr(t, err, codes.PermissionDenied, "")
	_, err = s.Hosts.SetAddresses(controltest.As(controltest.App+"/a", secret), &pb.SetAddressesRequest{Fqdn: controltest.App, Addresses: []string{"192.0.2.7"}})
	controltest.WantErr(t, err, codes.PermissionDenied, "")
	_, err = s.Hosts.GetHost(bearers, &pb.GetHostRequest{Fqdn: controltest.App})
	controltest.WantErr(t, err, codes.Unauthenticated, "")
	for _, say := range []string{"up", "down"} {
		_, err = s.Points.SetEndpointWord(bearers, &pb.SetEndpointWordRequest{Fqdn: controltest.App, Id: "a", Say: say})
		controltest.WantErr(t, err, codes.PermissionDenied, "")
	}
	// Its own word it takes back; an operator's it does not.
	if _, err := s.Points.SetEndpointWord(bearers, &pb.SetEndpointWordRequest{Fqdn: controltest.App, Id: "a", Say: "auto"}); err != nil {
		t.Error(err)
	}
	if _, err := s.Points.SetEndpointWord(s.Admin(), &pb.SetEndpointWordRequest{Fqdn: controltest.App, Id: "a", Say: "down", Reason: "ticket 7"}); err != nil {
		t.Error(err)
	}
	for _, say := range []string{"auto", "drain"} {
		_, err = s.Points.SetEndpointWord(bearers, &pb.SetEndpointWordRequest{Fqdn: controltest.App, Id: "a", Say: say})
		controltest.WantErr(t, err, codes.FailedPrecondition, "say")
	}
	s.WantStands(controltest.App, "a down, b up*")
	// A new one takes the old one's place, and removing the endpoint ends it.
	next := s.EndpointSecret(controltest.App, "a")
	_, err = s.Points.GetEndpoint(bearers, &pb.GetEndpointRequest{Fqdn: controltest.App, Id: "a"})
	controltest.WantErr(t, err, codes.Unauthenticated, "")
	if _, err := s.Points.RemoveEndpoint(s.Admin(), &pb.RemoveEndpointRequest{Fqdn: controltest.App, Id: "a"}); err != nil {
		t.Fatal(err)
	}
	s.Endpoint(controltest.App, "a", "192.0.2.1")
	_, err = s.Points.GetEndpoint(controltest.As(controltest.App+"/a", next), &pb.GetEndpointRequest{Fqdn: controltest.App, Id: "a"})
	controltest.WantErr(t, err, codes.Unauthenticated, "")
	// Nor does it outlive a change of the owner.
	last := s.EndpointSecret(controltest.App, "b")
	if _, err := s.Hosts.TransferHost(controltest.Person("egi/alice"), &pb.TransferHostRequest{Fqdn: controltest.App, To: "egi/bob"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hosts.AcceptHost(controltest.Person("egi/bob"), &pb.AcceptHostRequest{Fqdn: controltest.App}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Points.GetEndpoint(controltest.As(controltest.App+"/b", last), &pb.GetEndpointRequest{Fqdn: controltest.App, Id: "b"})
	controltest.WantErr(t, err, codes.Unauthenticated, "")
}

func TestAHostsSecretIsNotForItsEndpoints(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	secret := s.Host(controltest.App, "192.0.2.1")
	set := func() error {
		_, err := s.Hosts.SetAddresses(controltest.As(controltest.App, secret), &pb.SetAddressesRequest{Fqdn: controltest.App, Addresses: []string{"192.0.2.5"}})
		return err
	}
	s.Endpoint(controltest.App, "a", "192.0.2.2")
	if err := set(); err != nil { // there is main, too
		t.Error(err)
	}
	if _, err := s.Points.RemoveEndpoint(s.Admin(), &pb.RemoveEndpointRequest{Fqdn: controltest.App, Id: "main"}); err != nil {
		t.Fatal(err)
	}
	controltest.WantErr(t, set(), codes.NotFound, "fqdn")
	s.WantStands(controltest.App, "a up*")
}

func TestAHeartbeatIsKeptWhenTheCheckWantsIt(t *testing.T) {
	s := controltest.Two(t)
	beat := func() *pb.SendHeartbeatResponse {
		t.Helper()
		out, err := s.Points.SendHeartbeat(controltest.As(controltest.App+"/a", s.EndpointSecret(controltest.App, "a")), &pb.SendHeartbeatRequest{Fqdn: controltest.App, Id: "a"})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if out := beat(); out.Interval != nil || out.State != "up" {
		t.Errorf("%v", out)
	}
	if _, err := s.Health.SetCheck(s.Admin(), &pb.SetCheckRequest{Fqdn: controltest.App, Kind: "heartbeat", Interval: durationpb.New(7e9)}); err != nil {
		t.Fatal(err)
	}
	if out := beat(); out.Interval.AsDuration().Seconds() != 7 {
		t.Errorf("%v", out)
	}
	if got := beats(s); got != 1 {
		t.Errorf("%d signs of life", got)
	}
	// Who sends them all the time has no more of them written than are of use.
	before := s.Revision()
	for range 20 {
		beat()
	}
	secrets := int64(20) // each beat of this test makes one
	if wrote := s.Revision() - before - secrets; wrote != 3 {
		t.Errorf("20 signs of life in no time were written %d times, want 3", wrote)
	}
	s.Clock.Add(7 * time.Second)
	before = s.Revision()
	if beat(); s.Revision() != before+2 {
		t.Error("one of a later interval is not written")
	}
	_, err := s.Points.SendHeartbeat(s.Admin(), &pb.SendHeartbeatRequest{Fqdn: controltest.App, Id: "x"})
	controltest.WantErr(t, err, codes.NotFound, "id")
}

// What is said of endpoints comes as changes of their host.
func TestAStreamTellsOfEndpoints(t *testing.T) {
	s := controltest.Two(t)
	w := s.Watch(controltest.Person("egi/alice"), &pb.WatchRequest{Fqdn: controltest.App, Kinds: []string{"host", "audit"}})
	for _, c := range []struct {
		want string
		do   func() error
	}{
		{"endpoint.set  -> addresses 192.0.2.3, site c, priority 0, weight 1", func() error { s.Endpoint(controltest.App, "c", "192.0.2.3"); return nil }},
		{"endpoint.drain  -> drain", func() error { return s.Say("c", "drain") }},
		{"endpoint.word drain -> up", func() error { return s.Say("c", "up") }},
		{"host.word  -> down", func() error { return s.SayOfHost("down", true) }},
		{"policy.set all, min healthy 1, suspect ttl 5 -> weighted, min healthy 1, max answers 1, suspect ttl 5", func() error { s.SetPolicy(&pb.SetPolicyRequest{Kind: "weighted"}); return nil }},
		{"check.set  -> tcp, port 22, every 5s, timeout 2s, fall 3, rise 3", func() error { s.SetCheck(&pb.SetCheckRequest{Kind: "tcp", Port: new(uint32(22))}); return nil }},
		{"endpoint.remove addresses 192.0.2.3, site c, priority 0, weight 1 -> ", func() error {
			_, err := s.Points.RemoveEndpoint(s.Admin(), &pb.RemoveEndpointRequest{Fqdn: controltest.App, Id: "c", ConfirmLast: true})
			return err
		}},
	} {
		s.Done(c.do())
		if _, got := w.Next(); len(got) != 2 || got[0] != "host changed vo.example.org app.vo.example.org  = " || !strings.HasSuffix(got[1], " = "+c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestEndpointsOverREST(t *testing.T) {
	s := controltest.Two(t)
	admin := "Bearer " + s.Token
	code, body := s.Call("PUT", "/v1/hosts/"+controltest.App+"/endpoints/c", admin, `{"site":"infn","addresses":["192.0.2.3"],"priority":1}`)
	var out struct {
		Endpoint struct{ Etag, Site string }
		Change   struct{ Changed bool }
	}
	if err := json.Unmarshal([]byte(body), &out); err != nil || code != 200 || out.Endpoint.Site != "infn" || !out.Change.Changed {
		t.Fatal(code, body, err)
	}
	for _, c := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"GET", "/v1/hosts/app.vo.example.org/endpoints", "", 200, `"id":"c"`},
		{"GET", "/v1/hosts/app.vo.example.org/endpoints/c", "", 200, `"priority":1`},
		{"POST", "/v1/hosts/app.vo.example.org/endpoints/c:setWord", `{"say":"drain","for":"3600s"}`, 200, `"say":"drain"`},
		{"POST", "/v1/hosts/app.vo.example.org/endpoints/c:setAddresses", `{"addresses":["192.0.2.4"]}`, 200, `192.0.2.4`},
		{"POST", "/v1/hosts/app.vo.example.org/endpoints/c:beat", `{}`, 200, `"state":"drained"`},
		{"POST", "/v1/hosts/app.vo.example.org/endpoints/c:rotateSecret", `{}`, 200, `"secret":"spe_`},
		{"POST", "/v1/hosts/app.vo.example.org:setWord", `{"say":"up"}`, 200, `"say":"up"`},
		{"PUT", "/v1/hosts/app.vo.example.org/policy", `{"kind":"failover"}`, 200, `"failback":"auto"`},
		{"PUT", "/v1/hosts/app.vo.example.org/policy", `{"kind":"random"}`, 400, `kind`},
		{"PUT", "/v1/hosts/app.vo.example.org/check", `{"kind":"tcp","port":22,"interval":"10s"}`, 200, `"interval":"10s"`},
		{"GET", "/v1/hosts/app.vo.example.org/check", "", 200, `"timeout":"2s"`},
		{"GET", "/v1/hosts/app.vo.example.org/health", "", 200, `"why":"`},
		{"POST", "/v1/sites/infn:setWord", `{"say":"drain","confirmLast":true}`, 200, `"say":"drain"`},
		{"GET", "/v1/sites", "", 200, `"site":"infn"`},
		{"PUT", "/v1/freeze", `{"on":true,"reason":"x"}`, 200, `"on":true`},
		{"GET", "/v1/freeze", "", 200, `"on":true`},
		{"GET", "/v1/checkers", "", 200, `"checkers":[]`},
		{"DELETE", "/v1/checkers/infn", "", 404, `registered`},
		{"DELETE", "/v1/hosts/app.vo.example.org/check", "", 200, `"changed":true`},
		{"DELETE", "/v1/hosts/app.vo.example.org/endpoints/c?confirmLast=true", "", 200, `"changed":true`},
	} {
		code, body := s.Call(c.method, c.path, admin, c.body)
		if body = strings.ReplaceAll(body, ": ", ":"); code != c.code || !strings.Contains(strings.ReplaceAll(body, " ", ""), strings.ReplaceAll(c.want, " ", "")) {
			t.Errorf("%s %s: %d %s", c.method, c.path, code, body)
		}
	}
}

// beats is how many signs of life of endpoints there are in etcd.
func beats(s *controltest.Server) int {
	s.T.Helper()
	got, err := s.Etcd().Get(s.T.Context(), s.Prefix+"/v1/beat/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		s.T.Fatal(err)
	}
	return int(got.Count)
}
