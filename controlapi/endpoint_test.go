package controlapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "signpost/proto/signpost/v1"
)

// endpoint makes an endpoint for trials on a site of its name.
func (s *server) endpoint(fqdn, id string, addrs ...string) *pb.Endpoint {
	s.t.Helper()
	out, err := s.points.SetEndpoint(s.admin(), &pb.SetEndpointRequest{Fqdn: fqdn, Id: id, Site: new(id), Addresses: addrs})
	if err != nil {
		s.t.Fatal(err)
	}
	return out.Endpoint
}

func (s *server) endpointSecret(fqdn, id string) string {
	s.t.Helper()
	out, err := s.points.RotateEndpointSecret(s.admin(), &pb.RotateEndpointSecretRequest{Fqdn: fqdn, Id: id})
	if err != nil {
		s.t.Fatal(err)
	}
	return out.Secret
}

// stands is the endpoints of a host in one line: "a up*, b drained", with an asterisk at
// those that are answered.
func (s *server) stands(fqdn string) string {
	s.t.Helper()
	out, err := s.points.ListEndpoints(s.admin(), &pb.ListEndpointsRequest{Fqdn: fqdn})
	if err != nil {
		s.t.Fatal(err)
	}
	var words []string
	for _, e := range out.Endpoints {
		word := e.Id + " " + e.State
		if e.Answered {
			word += "*"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func (s *server) wantStands(fqdn, want string) {
	s.t.Helper()
	if got := s.stands(fqdn); got != want {
		s.t.Errorf("%s: %s, want %s", fqdn, got, want)
	}
}

// two is a zone with a host that has the endpoints a and b.
func two(t *testing.T) *server {
	t.Helper()
	s := start(t)
	s.zone("vo.example.org")
	s.policy("vo.example.org", &pb.UpdateZonePolicyRequest{Register: new("everyone"), Admins: &pb.Words{Values: []string{"egi/zoe"}}})
	s.hostOf(person("egi/alice"), "app.vo.example.org")
	s.endpoint("app.vo.example.org", "a", "192.0.2.1", "2001:db8::1")
	s.endpoint("app.vo.example.org", "b", "192.0.2.2")
	return s
}

const app = "app.vo.example.org"

func TestAnEndpointIsMadeChangedAndRemoved(t *testing.T) {
	s := two(t)
	get := func(id string) *pb.Endpoint {
		t.Helper()
		e, err := s.points.GetEndpoint(person("egi/alice"), &pb.GetEndpointRequest{Fqdn: app, Id: id})
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
		in.Fqdn = app
		out, err := s.points.SetEndpoint(person("egi/alice"), in)
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
	_, err := s.points.SetEndpoint(person("egi/alice"), &pb.SetEndpointRequest{Fqdn: app, Id: "a", Priority: new(uint32(6)), Etag: a.Etag})
	wantErr(t, err, codes.Aborted, "etag")
	// Other addresses are another generation.
	if out := set(&pb.SetEndpointRequest{Id: "a", Addresses: []string{"192.0.2.9"}}); out.Endpoint.Generation == a.Generation || len(out.Endpoint.Addresses) != 1 {
		t.Errorf("%v", out)
	}
	s.endpointSecret(app, "a")
	if _, err := s.points.RemoveEndpoint(person("egi/alice"), &pb.RemoveEndpointRequest{Fqdn: app, Id: "a"}); err != nil {
		t.Fatal(err)
	}
	_, err = s.points.GetEndpoint(person("egi/alice"), &pb.GetEndpointRequest{Fqdn: app, Id: "a"})
	wantErr(t, err, codes.NotFound, "id")
	// One of the same id is another one, without the secret.
	if e := set(&pb.SetEndpointRequest{Id: "a", Addresses: []string{"192.0.2.9"}}).Endpoint; e.SecretCreateTime != nil {
		t.Errorf("%v", e)
	}
	var audited []string
	records, err := s.audits.ListAuditRecords(s.admin(), &pb.ListAuditRecordsRequest{Fqdn: app, Action: "endpoint"})
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
	s := two(t)
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
		c.in.Fqdn = app
		_, err := s.points.SetEndpoint(s.admin(), c.in)
		wantErr(t, err, c.code, c.field)
	}
	for i := range 14 {
		s.endpoint(app, fmt.Sprint("n", i), "192.0.2.3")
	}
	_, err := s.points.SetEndpoint(s.admin(), &pb.SetEndpointRequest{Fqdn: app, Id: "one-more"})
	wantErr(t, err, codes.ResourceExhausted, "id")
	// A host with addresses stands beside no CNAME, wherever they are.
	s.host("alias.vo.example.org")
	s.record("alias.vo.example.org", "CNAME", "x.example.net.")
	_, err = s.points.SetEndpoint(s.admin(), &pb.SetEndpointRequest{Fqdn: "alias.vo.example.org", Id: "a", Addresses: []string{"192.0.2.1"}})
	wantErr(t, err, codes.FailedPrecondition, "addresses")
	_, err = s.points.SetEndpoint(s.admin(), &pb.SetEndpointRequest{Fqdn: "no.vo.example.org", Id: "a"})
	wantErr(t, err, codes.NotFound, "")
}

func TestAnEndpointsSecretIsForItsEndpointAlone(t *testing.T) {
	s := two(t)
	secret := s.endpointSecret(app, "a")
	bearers := with("authorization", "Bearer "+secret) // the request says whose it is
	for _, ctx := range []func() error{
		func() error {
			_, err := s.points.SetEndpointAddresses(as(app+"/a", secret), &pb.SetEndpointAddressesRequest{Fqdn: app, Id: "a", Addresses: []string{"192.0.2.7"}})
			return err
		},
		func() error {
			_, err := s.points.SetEndpointAddresses(bearers, &pb.SetEndpointAddressesRequest{Fqdn: app, Id: "a", Addresses: []string{"192.0.2.8"}})
			return err
		},
		func() error {
			_, err := s.points.GetEndpoint(bearers, &pb.GetEndpointRequest{Fqdn: app, Id: "a"})
			return err
		},
		func() error {
			_, err := s.points.SetEndpointWord(bearers, &pb.SetEndpointWordRequest{Fqdn: app, Id: "a", Say: "drain", Reason: "reboot"})
			return err
		},
	} {
		if err := ctx(); err != nil {
			t.Error(err)
		}
	}
	s.wantStands(app, "a drained, b up*")
	set := &pb.SetEndpointAddressesRequest{Fqdn: app, Id: "b", Addresses: []string{"192.0.2.7"}}
	_, err := s.points.SetEndpointAddresses(bearers, set)
	wantErr(t, err, un, "")
	_, err = s.points.SetEndpointAddresses(as(app+"/a", secret), set)
	wantErr(t, err, denied, "")
	_, err = s.hosts.SetAddresses(as(app+"/a", secret), &pb.SetAddressesRequest{Fqdn: app, Addresses: []string{"192.0.2.7"}})
	wantErr(t, err, denied, "")
	_, err = s.hosts.GetHost(bearers, &pb.GetHostRequest{Fqdn: app})
	wantErr(t, err, un, "")
	for _, say := range []string{"up", "down"} {
		_, err = s.points.SetEndpointWord(bearers, &pb.SetEndpointWordRequest{Fqdn: app, Id: "a", Say: say})
		wantErr(t, err, denied, "")
	}
	// Its own word it takes back; an operator's it does not.
	if _, err := s.points.SetEndpointWord(bearers, &pb.SetEndpointWordRequest{Fqdn: app, Id: "a", Say: "auto"}); err != nil {
		t.Error(err)
	}
	if _, err := s.points.SetEndpointWord(s.admin(), &pb.SetEndpointWordRequest{Fqdn: app, Id: "a", Say: "down", Reason: "ticket 7"}); err != nil {
		t.Error(err)
	}
	for _, say := range []string{"auto", "drain"} {
		_, err = s.points.SetEndpointWord(bearers, &pb.SetEndpointWordRequest{Fqdn: app, Id: "a", Say: say})
		wantErr(t, err, codes.FailedPrecondition, "say")
	}
	s.wantStands(app, "a down, b up*")
	// A new one takes the old one's place, and removing the endpoint ends it.
	next := s.endpointSecret(app, "a")
	_, err = s.points.GetEndpoint(bearers, &pb.GetEndpointRequest{Fqdn: app, Id: "a"})
	wantErr(t, err, un, "")
	if _, err := s.points.RemoveEndpoint(s.admin(), &pb.RemoveEndpointRequest{Fqdn: app, Id: "a"}); err != nil {
		t.Fatal(err)
	}
	s.endpoint(app, "a", "192.0.2.1")
	_, err = s.points.GetEndpoint(as(app+"/a", next), &pb.GetEndpointRequest{Fqdn: app, Id: "a"})
	wantErr(t, err, un, "")
	// Nor does it outlive a change of the owner.
	last := s.endpointSecret(app, "b")
	if _, err := s.hosts.TransferHost(person("egi/alice"), &pb.TransferHostRequest{Fqdn: app, To: "egi/bob"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.hosts.AcceptHost(person("egi/bob"), &pb.AcceptHostRequest{Fqdn: app}); err != nil {
		t.Fatal(err)
	}
	_, err = s.points.GetEndpoint(as(app+"/b", last), &pb.GetEndpointRequest{Fqdn: app, Id: "b"})
	wantErr(t, err, un, "")
}

func TestAHostsSecretIsNotForItsEndpoints(t *testing.T) {
	s := start(t)
	s.zone("vo.example.org")
	secret := s.host(app, "192.0.2.1")
	set := func() error {
		_, err := s.hosts.SetAddresses(as(app, secret), &pb.SetAddressesRequest{Fqdn: app, Addresses: []string{"192.0.2.5"}})
		return err
	}
	s.endpoint(app, "a", "192.0.2.2")
	if err := set(); err != nil { // there is main, too
		t.Error(err)
	}
	if _, err := s.points.RemoveEndpoint(s.admin(), &pb.RemoveEndpointRequest{Fqdn: app, Id: "main"}); err != nil {
		t.Fatal(err)
	}
	wantErr(t, set(), codes.NotFound, "fqdn")
	s.wantStands(app, "a up*")
}

func TestAHeartbeatIsKeptWhenTheCheckWantsIt(t *testing.T) {
	s := two(t)
	beat := func() *pb.SendHeartbeatResponse {
		t.Helper()
		out, err := s.points.SendHeartbeat(as(app+"/a", s.endpointSecret(app, "a")), &pb.SendHeartbeatRequest{Fqdn: app, Id: "a"})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if out := beat(); out.Interval != nil || out.State != "up" {
		t.Errorf("%v", out)
	}
	if _, err := s.health.SetCheck(s.admin(), &pb.SetCheckRequest{Fqdn: app, Kind: "heartbeat", Interval: durationpb.New(7e9)}); err != nil {
		t.Fatal(err)
	}
	if out := beat(); out.Interval.AsDuration().Seconds() != 7 {
		t.Errorf("%v", out)
	}
	if got := s.beats(); got != 1 {
		t.Errorf("%d signs of life", got)
	}
	// Who sends them all the time has no more of them written than are of use.
	before := s.revision()
	for range 20 {
		beat()
	}
	secrets := int64(20) // each beat of this test makes one
	if wrote := s.revision() - before - secrets; wrote != 3 {
		t.Errorf("20 signs of life in no time were written %d times, want 3", wrote)
	}
	s.clock.add(7 * time.Second)
	before = s.revision()
	if beat(); s.revision() != before+2 {
		t.Error("one of a later interval is not written")
	}
	_, err := s.points.SendHeartbeat(s.admin(), &pb.SendHeartbeatRequest{Fqdn: app, Id: "x"})
	wantErr(t, err, codes.NotFound, "id")
}

// What is said of endpoints comes as changes of their host.
func TestAStreamTellsOfEndpoints(t *testing.T) {
	s := two(t)
	w := s.watch(person("egi/alice"), &pb.WatchRequest{Fqdn: app, Kinds: []string{"host", "audit"}})
	for _, c := range []struct {
		want string
		do   func() error
	}{
		{"endpoint.set  -> addresses 192.0.2.3, site c, priority 0, weight 1", func() error { s.endpoint(app, "c", "192.0.2.3"); return nil }},
		{"endpoint.drain  -> drain", func() error { return s.say("c", "drain") }},
		{"endpoint.word drain -> up", func() error { return s.say("c", "up") }},
		{"host.word  -> down", func() error { return s.sayOfHost("down", true) }},
		{"policy.set all, min healthy 1, suspect ttl 5 -> weighted, min healthy 1, max answers 1, suspect ttl 5", func() error { s.setPolicy(&pb.SetPolicyRequest{Kind: "weighted"}); return nil }},
		{"check.set  -> tcp, port 22, every 5s, timeout 2s, fall 3, rise 3", func() error { s.setCheck(&pb.SetCheckRequest{Kind: "tcp", Port: new(uint32(22))}); return nil }},
		{"endpoint.remove addresses 192.0.2.3, site c, priority 0, weight 1 -> ", func() error {
			_, err := s.points.RemoveEndpoint(s.admin(), &pb.RemoveEndpointRequest{Fqdn: app, Id: "c", ConfirmLast: true})
			return err
		}},
	} {
		s.done(c.do())
		if _, got := w.next(); len(got) != 2 || got[0] != "host changed vo.example.org app.vo.example.org  = " || !strings.HasSuffix(got[1], " = "+c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestEndpointsOverREST(t *testing.T) {
	s := two(t)
	admin := "Bearer " + s.token
	code, body := s.call("PUT", "/v1/hosts/"+app+"/endpoints/c", admin, `{"site":"infn","addresses":["192.0.2.3"],"priority":1}`)
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
		code, body := s.call(c.method, c.path, admin, c.body)
		if body = strings.ReplaceAll(body, ": ", ":"); code != c.code || !strings.Contains(strings.ReplaceAll(body, " ", ""), strings.ReplaceAll(c.want, " ", "")) {
			t.Errorf("%s %s: %d %s", c.method, c.path, code, body)
		}
	}
}

// beats is how many signs of life of endpoints there are in etcd.
func (s *server) beats() int {
	s.t.Helper()
	got, err := s.etcd().Get(s.t.Context(), s.prefix+"/v1/beat/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		s.t.Fatal(err)
	}
	return int(got.Count)
}
