package watch_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	"signpost/internal/access"
	"signpost/internal/store"
	"signpost/internal/store/localetcd"
	pb "signpost/proto/signpost/v1"
)

func TestAStreamEndsWithinASecondOfItsCredentialsRevocation(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	secret := s.Host("mine.vo.example.org", "192.0.2.1")
	parsed, err := access.ParseSecret(s.Token)
	if err != nil {
		t.Fatal(err)
	}
	ends := func(w *controltest.Stream, since time.Time) time.Duration {
		t.Helper()
		if err := w.End(); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%v, want Unauthenticated", err)
		}
		return time.Since(since)
	}
	controltest.WithinASecond(t, func() time.Duration {
		host := s.Watch(controltest.As("mine.vo.example.org", secret), &pb.WatchRequest{Fqdn: "mine.vo.example.org"})
		out, err := s.Hosts.RotateSecret(s.Admin(), &pb.RotateSecretRequest{Fqdn: "mine.vo.example.org"})
		if err != nil {
			t.Fatal(err)
		}
		secret = out.Secret
		return ends(host, time.Now())
	})
	etcd, key := s.Etcd(), fmt.Sprintf("%s/v1/ctl/token/%s", s.Prefix, hex.EncodeToString(parsed.Sum[:]))
	token, err := etcd.Get(t.Context(), key)
	if err != nil || len(token.Kvs) != 1 {
		t.Fatal(token, err)
	}
	controltest.WithinASecond(t, func() time.Duration {
		if _, err := etcd.Put(t.Context(), key, string(token.Kvs[0].Value)); err != nil {
			t.Fatal(err)
		}
		admin := s.Watch(s.Admin(), &pb.WatchRequest{})
		resp, err := etcd.Delete(t.Context(), key)
		if err != nil || resp.Deleted != 1 {
			t.Fatal(resp, err)
		}
		return ends(admin, time.Now())
	})
}

func TestAStreamIsResumedAtAnotherServerWithoutLossOrRepetition(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Host("www.vo.example.org", "192.0.2.1")
	w := s.Watch(s.Admin(), &pb.WatchRequest{Kinds: []string{"host"}})
	var want []int64
	for i := range 40 {
		want = append(want, s.SetAddress("www.vo.example.org", fmt.Sprintf("192.0.2.%d", 10+i)))
	}
	var got []int64
	for range 15 {
		rev, _ := w.Next()
		got = append(got, rev)
	}
	s.Service.EndStreams()
	err := w.End()
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "resume from revision ") {
		t.Errorf("%v", err)
	}
	_, err = s.Watch(s.Admin(), &pb.WatchRequest{FromRevision: 1}).From.Recv()
	controltest.WantErr(t, err, codes.Unavailable, "")

	// Another control service on the same etcd; changes go on meanwhile.
	next := s.Again()
	for i := range 10 {
		want = append(want, next.SetAddress("www.vo.example.org", fmt.Sprintf("192.0.2.%d", 60+i)))
	}
	w = next.Watch(next.Admin(), &pb.WatchRequest{Kinds: []string{"host"}, FromRevision: got[len(got)-1]})
	for i := range 10 {
		want = append(want, next.SetAddress("www.vo.example.org", fmt.Sprintf("192.0.2.%d", 80+i)))
	}
	for len(got) < len(want) {
		rev, _ := w.Next()
		got = append(got, rev)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v\nwant\n%v", got, want)
	}
}

func TestASlowReaderIsCutOffAndMayResume(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Host("www.vo.example.org", "192.0.2.1")
	w := s.Watch(s.Admin(), &pb.WatchRequest{Kinds: []string{"record"}})
	fast := s.Watch(s.Admin(), &pb.WatchRequest{Kinds: []string{"record"}})
	big := strings.Repeat("x", 250)
	var last int64
	for i := range 700 { // of over 2 kB each: more than the windows and buffers between them hold
		out, err := s.Records.SetRecordSet(s.Admin(), &pb.SetRecordSetRequest{Fqdn: "big.vo.example.org", Type: "TXT", Rdata: []string{
			fmt.Sprint(i), big + "1", big + "2", big + "3", big + "4", big + "5", big + "6", big + "7", big + "8"}})
		if err != nil {
			t.Fatal(err)
		}
		last = out.GetChange().GetRevision()
		if rev, _ := fast.Next(); rev != last {
			t.Fatalf("revision %d, want %d", rev, last)
		}
	}
	n := 0
	for {
		m, err := w.From.Recv()
		if err == nil {
			n += len(m.GetEvents())
			w.Since = m.GetRevision()
			continue
		}
		want := fmt.Sprintf("you read too slowly; resume from revision %d", w.Since)
		if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), want) {
			t.Fatalf("%v, want %s", err, want)
		}
		break
	}
	t.Logf("cut off after %d of 700 events", n)
	w = s.Watch(s.Admin(), &pb.WatchRequest{Kinds: []string{"record"}, FromRevision: w.Since})
	for ; n < 700; n++ {
		w.Next()
	}
	if w.Since != last {
		t.Errorf("the last event is of revision %d, want %d", w.Since, last)
	}
}

func TestWhatIsCompactedCannotBeResumed(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	live := s.Watch(s.Admin(), &pb.WatchRequest{})
	rev := live.Since
	s.Host("www.vo.example.org", "192.0.2.1")
	now := s.SetAddress("www.vo.example.org", "192.0.2.2")
	for live.Since < now { // the relay has come past the revision
		live.Next()
	}
	if _, err := s.Etcd().Compact(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	_, err := s.Watch(s.Admin(), &pb.WatchRequest{FromRevision: rev}).From.Recv()
	if status.Code(err) != codes.OutOfRange || !strings.Contains(err.Error(), fmt.Sprintf("the oldest revision that can be followed from is %d", now)) {
		t.Error(err)
	}
	code, body := s.Call("GET", fmt.Sprintf("/v1/watch?from_revision=%d", rev), "Bearer "+s.Token, "")
	if code != 410 || !strings.Contains(body, `"COMPACTED"`) {
		t.Error(code, body)
	}
	w := s.Watch(s.Admin(), &pb.WatchRequest{FromRevision: now, Kinds: []string{"host"}})
	s.SetAddress("www.vo.example.org", "192.0.2.3")
	w.Want("host changed vo.example.org www.vo.example.org  = 192.0.2.3")
}

func TestAStreamOutlivesAnOutageOfEtcd(t *testing.T) {
	own := localetcd.New(t)
	st, err := store.Open(store.Config{Endpoints: []string{own.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	s := controltest.Start(t, func(c *controlapi.Config) { c.Store = st })
	s.Token, s.Key = controltest.SetUp(t, st)
	s.Zone("vo.example.org")
	s.Host("www.vo.example.org", "192.0.2.1")
	w := s.Watch(s.Admin(), &pb.WatchRequest{Kinds: []string{"host"}})
	s.SetAddress("www.vo.example.org", "192.0.2.2")
	w.Want("host changed vo.example.org www.vo.example.org  = 192.0.2.2")
	own.Stop()
	if err := own.Restart(); err != nil {
		t.Fatal(err)
	}
	for { // what is not certain is tried again
		_, err := s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{"192.0.2.3"}})
		if err == nil {
			break
		}
		controltest.WantErr(t, err, codes.Unavailable, "")
	}
	w.Want("host changed vo.example.org www.vo.example.org  = 192.0.2.3")
}
