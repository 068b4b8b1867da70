package controlapi_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	"signpost/internal/access"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
	"signpost/test/proctest"
)

func retryOf(err error) time.Duration {
	for _, d := range status.Convert(err).Details() {
		if r, ok := d.(*errdetails.RetryInfo); ok {
			return r.GetRetryDelay().AsDuration()
		}
	}
	return 0
}

// A wrong credential is told to wait after a while; the right one never is, from the
// same place and for the same host.
func TestGuessingIsSlowedAndTheRightSecretIsNot(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	right, wrong := s.Host("www.vo.example.org"), access.NewHostSecret()
	get := func(secret string) error {
		_, err := s.Hosts.GetHost(controltest.As("www.vo.example.org", secret), &pb.GetHostRequest{Fqdn: "www.vo.example.org"})
		return err
	}
	for range 4 {
		controltest.WantErr(t, get(wrong), codes.Unauthenticated, "")
	}
	for range 5 {
		controltest.WantErr(t, get(wrong), codes.Unauthenticated, "")
		if err := get(right); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		err := get(wrong)
		controltest.WantErr(t, err, codes.ResourceExhausted, "")
		if r := retryOf(err); r != time.Minute {
			t.Errorf("try again in %v, want a minute", r)
		}
	}
	if err := get(right); err != nil {
		t.Error(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/v1/whoami", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("www.vo.example.org", wrong)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "60" {
		t.Errorf("%s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
	}
	if counted(s, "signpost_wrong_credentials_total") != 13 {
		t.Errorf("%v wrong credentials were counted, want 13", counted(s, "signpost_wrong_credentials_total"))
	}
	s.Clock.Add(time.Minute)
	if controltest.WantErr(t, get(wrong), codes.ResourceExhausted, ""); retryOf(get(wrong)) != 2*time.Minute {
		t.Error("the second lock is not twice as long")
	}
}

func TestAPaceOfChanges(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	secret := s.Host("www.vo.example.org")
	set := func(i int) error {
		_, err := s.Hosts.SetAddresses(controltest.As("www.vo.example.org", secret), &pb.SetAddressesRequest{
			Fqdn: "www.vo.example.org", Addresses: []string{fmt.Sprintf("2001:db8::%x", i+1)},
		})
		return err
	}
	for i := range 120 {
		if err := set(i); err != nil {
			t.Fatalf("change %d: %v", i, err)
		}
	}
	err := set(120)
	controltest.WantErr(t, err, codes.ResourceExhausted, "")
	if r := retryOf(err); r <= 0 || r > time.Second {
		t.Errorf("try again in %v, want a second at most", r)
	}
	if err := set(119); err != nil {
		t.Errorf("what changes nothing is refused: %v", err)
	}
	if _, err := s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{"192.0.2.1"}}); err != nil {
		t.Errorf("an operator is refused: %v", err)
	}
	s.Clock.Add(time.Second)
	if err := set(121); err != nil {
		t.Error(err)
	}
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{MaxChanges: new(uint32(6000))})
	next := 200
	proctest.Until(t, "a greater pace", func() error { // the policy is looked at a little late
		s.Clock.Add(time.Second)
		for range 50 {
			next++
			if err := set(next); err != nil {
				return err
			}
		}
		return nil
	})
	if n := counted(s, "signpost_paced_changes_total"); n == 0 {
		t.Error("the refused change is not counted")
	}
}

// A timed word has a lease in etcd before it is said: who has said too much gets none.
func TestTimedWordsHaveAPace(t *testing.T) {
	s := controltest.Two(t)
	secret := s.EndpointSecret(controltest.App, "a")
	say := func(word string, span time.Duration) error {
		in := &pb.SetEndpointWordRequest{Fqdn: controltest.App, Id: "a", Say: word}
		if span != 0 {
			in.For = durationpb.New(span)
		}
		_, err := s.Points.SetEndpointWord(controltest.As(controltest.App+"/a", secret), in)
		return err
	}
	for i := range 120 {
		if err := say([]string{"drain", "auto"}[i%2], 0); err != nil {
			t.Fatal(err)
		}
	}
	leases := func() int {
		t.Helper()
		all, err := s.Etcd().Leases(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(all.Leases)
	}
	before := s.Revision()
	was := leases()
	for range 10 {
		controltest.WantErr(t, say("drain", time.Hour), codes.ResourceExhausted, "")
	}
	if now := s.Revision(); now != before || leases() != was {
		t.Errorf("what was refused has written %d times and left %d leases", now-before, leases()-was)
	}
}

// closedPort is an address at which nothing answers, and says so at once.
func closedPort(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().String()
}

// counted is the sum of a metric's counters, or a gauge.
func counted(s *controltest.Server, name string) (n float64) {
	s.T.Helper()
	families, err := s.Metrics.Gather()
	if err != nil {
		s.T.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == name {
				n += m.Counter.GetValue() + m.Gauge.GetValue()
			}
		}
	}
	return n
}

// Who asks all the time is told to wait, and nobody else is.
func TestAPaceOfReads(t *testing.T) {
	controltest.Bulk(t)
	s := controltest.Start(t, func(c *controlapi.Config) { c.NameServers = []string{closedPort(t)} })
	s.Open("vo.example.org")
	secret := s.Host("www.vo.example.org", "192.0.2.1")
	s.Endpoint("www.vo.example.org", "a")
	ask := func(authorization, from string, look func(ctx context.Context) error) error {
		return look(controlapi.WithCaller(t.Context(), controlapi.Caller{Authorization: authorization, Source: netip.MustParseAddr(from)}))
	}
	get := func(ctx context.Context) error {
		_, err := s.Service.GetHost(ctx, &pb.GetHostRequest{Fqdn: "www.vo.example.org"})
		return err
	}
	issuers := func(ctx context.Context) error {
		_, err := s.Service.ListIssuers(ctx, &pb.ListIssuersRequest{})
		return err
	}
	status := func(ctx context.Context) error {
		_, err := s.Service.GetStatus(ctx, &pb.GetStatusRequest{Fqdn: "www.vo.example.org"})
		return err
	}
	beat := func(ctx context.Context) error {
		_, err := s.Service.SendHeartbeat(ctx, &pb.SendHeartbeatRequest{Fqdn: "www.vo.example.org", Id: "a"})
		return err
	}
	endpoint := func(ctx context.Context) error {
		_, err := s.Service.GetEndpoint(ctx, &pb.GetEndpointRequest{Fqdn: "www.vo.example.org", Id: "a"})
		return err
	}
	machine := "Bearer " + s.EndpointSecret("www.vo.example.org", "a")
	host := "Basic " + base64.StdEncoding.EncodeToString([]byte("www.vo.example.org:"+secret))
	zoe, admin := "Bearer a."+base64.RawURLEncoding.EncodeToString([]byte("egi/zoe"))+".b", "Bearer "+s.Token
	for _, c := range []struct {
		what, authorization, from string
		look                      func(ctx context.Context) error
		most                      int // at once; 0: any number
	}{
		{"host", host, "192.0.2.1", get, 6000},
		{"person's status", zoe, "192.0.2.1", status, 240},
		{"machine's signs of life", machine, "192.0.2.1", beat, 6000},
		{"nobody", "", "192.0.2.1", issuers, 1200},
		{"admin", admin, "192.0.2.1", get, 0},
	} {
		var err error
		n := 0
		for ; n < 6100 && err == nil; n++ {
			err = ask(c.authorization, c.from, c.look)
		}
		switch {
		case c.most == 0 && err != nil:
			t.Errorf("%s: %v", c.what, err)
		case c.most > 0 && (n != c.most+1 || model.KindOf(err) != model.Exhausted):
			t.Errorf("%s: refused at call %d: %v", c.what, n, err)
		}
	}
	for what, err := range map[string]error{
		"another principal": ask(zoe, "192.0.2.1", get),
		"another network":   ask("", "192.0.2.2", issuers),
		"an update":         s.UpdateAs(controltest.As("www.vo.example.org", secret), "www.vo.example.org", "192.0.2.9"),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := ask(machine, "192.0.2.1", endpoint); model.KindOf(err) != model.Exhausted {
		t.Errorf("a machine's reads are not counted with its signs of life: %v", err)
	}
	s.Clock.Add(time.Second)
	if err := ask(host, "192.0.2.1", get); err != nil {
		t.Error(err)
	}
	if n := counted(s, "signpost_paced_reads_total"); n != 5 {
		t.Errorf("%v are counted", n)
	}
}

// Who tries all the time is told to wait, also when nothing comes of it: refused, failed and
// changing nothing. What they ask is counted apart.
func TestAPaceOfWhatChangesNothing(t *testing.T) {
	controltest.Bulk(t)
	s := controltest.Start(t)
	s.Open("vo.example.org")
	const fqdn = "www.vo.example.org"
	secret := s.Host(fqdn, "192.0.2.1")
	ctx := func(authorization string) context.Context {
		return controlapi.WithCaller(t.Context(), controlapi.Caller{Authorization: authorization, Source: netip.MustParseAddr("192.0.2.1")})
	}
	host, admin := ctx("Basic "+base64.StdEncoding.EncodeToString([]byte(fqdn+":"+secret))), ctx("Bearer "+s.Token)
	zoe := ctx("Bearer a." + base64.RawURLEncoding.EncodeToString([]byte("egi/zoe")) + ".b")
	same := func(ctx context.Context) error {
		_, err := s.Service.SetAddresses(ctx, &pb.SetAddressesRequest{Fqdn: fqdn, Addresses: []string{"192.0.2.1"}})
		return err
	}
	denied := func(ctx context.Context) error {
		_, err := s.Service.UpdateHost(ctx, &pb.UpdateHostRequest{Fqdn: fqdn, Comment: new("mine")})
		return err
	}
	failed := func(ctx context.Context) error {
		_, err := s.Service.SetRecordSet(ctx, &pb.SetRecordSetRequest{Fqdn: "_acme-challenge." + fqdn, Type: "TXT", Rdata: []string{"x"}, Etag: `"1"`})
		return err
	}
	foreign := func(ctx context.Context) error {
		_, err := s.Service.GetHost(ctx, &pb.GetHostRequest{Fqdn: "other.vo.example.org"})
		return err
	}
	before := s.Revision()
	for i := range 6000 {
		try, want := same, model.Kind(-1)
		switch i % 4 {
		case 1:
			try, want = denied, model.Denied
		case 2:
			try, want = failed, model.KindOf(failed(admin))
		}
		if err := try(host); (err == nil) != (want == -1) || err != nil && model.KindOf(err) != want {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	for what, try := range map[string]func(context.Context) error{"the same": same, "refused": denied, "failed": failed} {
		if err := try(host); model.KindOf(err) != model.Exhausted || err == nil {
			t.Errorf("%s, once too often: %v", what, err)
		}
		if err := try(zoe); err != nil && model.KindOf(err) == model.Exhausted {
			t.Errorf("%s, of another: %v", what, err)
		}
	}
	if n := counted(s, "signpost_paced_changes_total"); n != 3 {
		t.Errorf("%v are counted", n)
	}
	for i := range 6000 {
		if err := foreign(host); model.KindOf(err) != model.NotFound || err == nil {
			t.Fatalf("a look that is refused, %d: %v", i, err)
		}
	}
	if err := foreign(host); model.KindOf(err) != model.Exhausted || err == nil {
		t.Errorf("a look that is refused, once too often: %v", err)
	}
	for range 6100 {
		if err := same(admin); err != nil {
			t.Fatalf("an operator: %v", err)
		}
	}
	s.Clock.Add(time.Second)
	if err := same(host); err != nil {
		t.Error(err)
	}
	if now := s.Revision(); now > before+2 { // zoe's comment and her record
		t.Errorf("etcd was written to %d times", now-before)
	}
}

// What etcd keeps of a call with a request id counts by its size.
func TestLargeRepliesThatAreKeptCountMore(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	alice := controltest.Person("egi/alice")
	s.HostOf(alice, "app.vo.example.org")
	set := func(n int, id ...string) error {
		_, err := s.Hosts.UpdateHost(metadata.AppendToOutgoingContext(alice, id...), &pb.UpdateHostRequest{Fqdn: "app.vo.example.org", Comment: new(fmt.Sprint(id, n))})
		return err
	}
	var editors []string
	for i := range 20 {
		editors = append(editors, fmt.Sprintf("egi/%0200d", i))
	}
	if _, err := s.Hosts.ShareHost(alice, &pb.ShareHostRequest{Fqdn: "app.vo.example.org", Add: editors}); err != nil {
		t.Fatal(err)
	}
	most := func(id func(int) []string) (n int) {
		t.Helper()
		s.Clock.Add(time.Hour)
		for ; n < 200; n++ {
			if err := set(n, id(n)...); err != nil {
				controltest.WantErr(t, err, codes.ResourceExhausted, "")
				break
			}
		}
		return n
	}
	if n := most(func(int) []string { return nil }); n != 120 {
		t.Errorf("%d changes without an id", n)
	}
	if n := most(func(n int) []string { return []string{"request-id", fmt.Sprint(n)} }); n < 20 || n > 30 { // each of more than 4 KiB
		t.Errorf("%d changes whose large replies are kept", n)
	}
}
