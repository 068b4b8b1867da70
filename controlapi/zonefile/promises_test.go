package zonefile_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// withoutSerial is an export without its first line, the SOA.
func withoutSerial(text string) string {
	_, rest, _ := strings.Cut(text, "\n")
	return rest
}

// A control service killed half way leaves nothing that is served and nothing that is
// not cleaned up: the zone is the old one or the new one, whole.
func TestAKilledImportIsWholeOrNotAtAll(t *testing.T) {
	const zone, names = "vo.example.org", 1000
	const claimed, switched = "/v1/ctl/import/", "/v1/dns/zone/"
	for _, when := range []struct {
		name, key string // kill at the n-th event of a key that starts so
		n         int
	}{
		{"claimed", claimed, 1}, {"first names", "/v1/dns/name/", 1}, {"half loaded", "/v1/dns/name/", names / 2},
		{"before the switch", "/v1/dns/name/", names}, {"after the switch", switched, 1},
	} {
		t.Run(when.name, func(t *testing.T) {
			s := controltest.Start(t)
			if _, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: zone}, controltest.Numbered(names, "192.0.2.1")); err != nil {
				t.Fatal(err)
			}
			s.Host("kept.vo.example.org", "192.0.2.7")
			before := withoutSerial(s.Export(zone))
			other := s.Again()
			ctl := s.Etcd()
			got, err := ctl.Get(t.Context(), s.Prefix, clientv3.WithCountOnly())
			if err != nil {
				t.Fatal(err)
			}
			watch := ctl.Watch(t.Context(), s.Prefix+when.key, clientv3.WithPrefix(), clientv3.WithRev(got.Header.Revision+1))
			killed := make(chan struct{})
			go func() {
				defer close(killed)
				for seen := 0; seen < when.n; {
					seen += len((<-watch).Events)
				}
				s.Store.Close() // nothing of it reaches etcd any more
			}()
			_, loadErr := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: zone, Replace: true}, controltest.Numbered(names, "192.0.2.2"))
			<-killed
			after := withoutSerial(other.Export(zone))
			renewed := strings.ReplaceAll(before, "192.0.2.1\n", "192.0.2.2\n")
			if after != before && after != renewed {
				t.Fatalf("the zone is neither the old one nor the new one:\n%.300s", after)
			}
			if loadErr == nil && after != renewed {
				t.Fatal("an acknowledged import is lost")
			}
			t.Logf("the new one is served: %t, acknowledged: %t", after == renewed, loadErr == nil)
			endLease(t, ctl, s.Prefix+claimed+"org.example.vo.")
			if _, err := other.Store.Sweep(t.Context(), time.Now()); err != nil {
				t.Fatal(err)
			}
			all, err := ctl.Get(t.Context(), s.Prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
			if err != nil {
				t.Fatal(err)
			}
			generations, claims := map[string]int{}, 0
			for _, kv := range all.Kvs {
				rest := strings.TrimPrefix(string(kv.Key), s.Prefix)
				if parts := strings.Split(rest, "/"); strings.HasPrefix(rest, "/v1/dns/name/") {
					generations[parts[5]]++
				}
				if strings.HasPrefix(rest, claimed) { // what it has reported ends with its lease
					claims++
				}
			}
			if len(generations) != 1 || claims != 0 {
				t.Errorf("names by generation after the sweep: %v; claims: %d", generations, claims)
			}
			if got := withoutSerial(other.Export(zone)); got != after {
				t.Error("the sweep changed the zone")
			}
			if _, err := other.Load(other.Admin(), &pb.ImportZoneRequest{Name: zone, Replace: true}, controltest.Numbered(3, "192.0.2.3")); err != nil {
				t.Errorf("the next import: %v", err)
			}
		})
	}
}

// No update acknowledged while a zone is imported is lost.
func TestNoUpdateDuringAnImportIsLost(t *testing.T) {
	const zone, hosts, imports = "vo.example.org", 8, 6
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := controltest.Start(t)
	s.Zone(zone)
	for i := range hosts {
		s.Host(fmt.Sprintf("h%d.%s", i, zone), "192.0.2.1")
	}
	ctx, stop := context.WithCancel(s.Admin())
	defer stop()
	last := make([]string, hosts)
	var made, refused atomic.Int64
	var writing sync.WaitGroup
	for i := range hosts {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		writing.Go(func() {
			fqdn := fmt.Sprintf("h%d.%s", i, zone)
			for n := 0; ctx.Err() == nil; n++ {
				if random.IntN(4) == 0 { // a host that comes and goes is noticed too
					extra := fmt.Sprintf("x%d-%d.%s", i, n, zone)
					_, _ = s.Hosts.CreateHost(ctx, &pb.CreateHostRequest{Fqdn: extra, Addresses: []string{"192.0.2.9"}})
					_, _ = s.Hosts.DeleteHost(ctx, &pb.DeleteHostRequest{Fqdn: extra})
				}
				addr := fmt.Sprintf("10.%d.%d.%d", i, n>>8&255, n&255)
				_, err := s.Hosts.SetAddresses(ctx, &pb.SetAddressesRequest{Fqdn: fqdn, Addresses: []string{addr}})
				switch {
				case err == nil:
					last[i] = addr
					made.Add(1)
				case status.Code(err) == codes.Aborted:
					refused.Add(1)
				case ctx.Err() == nil:
					t.Errorf("%s: %v", fqdn, err)
					return
				default:
					last[i] += "?" // given up in the middle: it may have been made
				}
			}
		})
	}
	for n := range imports {
		text := controltest.Numbered(400, fmt.Sprintf("192.0.2.%d", n+1)) + fmt.Sprintf("h%d TXT \"the file's\"\nx0-%d TXT \"and this\"\n", n%hosts, n)
		if _, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: zone, Replace: true}, text); err != nil {
			t.Errorf("import %d: %v", n, err)
		}
	}
	stop()
	writing.Wait()
	t.Logf("%d updates during %d imports, %d refused", made.Load(), imports, refused.Load())
	for i, want := range last {
		fqdn := fmt.Sprintf("h%d.%s", i, zone)
		if got := s.Sets(fqdn); !strings.HasSuffix(want, "?") && got != "A 60 "+want {
			t.Errorf("%s has %q, want %q", fqdn, got, want)
		}
	}
	text := s.Export(zone)
	if n := strings.Count(text, "\n"); n < 402+hosts || strings.Contains(text, "the file's") {
		t.Errorf("the zone has %d lines", n)
	}
}

// An import that was not told to replace takes nothing away that came meanwhile.
func TestAnImportTakesNothingAwayUntold(t *testing.T) {
	var s *controltest.Server
	var importing, done atomic.Bool
	s = controltest.Start(t, func(c *controlapi.Config) {
		c.Now = func() time.Time {
			if importing.Load() && done.CompareAndSwap(false, true) {
				s.Record("mine.vo.example.org", "TXT", "mine")
			}
			return time.Unix(1_800_000_000, 0)
		}
	})
	s.Zone("vo.example.org")
	importing.Store(true)
	_, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: "vo.example.org"}, controltest.Numbered(5, "192.0.2.2"))
	controltest.WantErr(t, err, codes.FailedPrecondition, "replace")
	if got := s.Sets("mine.vo.example.org"); got != `TXT 60 "mine"` {
		t.Errorf("the record set is now %q", got)
	}
	if got := s.Export("vo.example.org"); strings.Contains(got, "192.0.2.2") {
		t.Errorf("a refused import is served:\n%s", got)
	}
}

// A file that is too large, and one that stops coming, change nothing.
func TestWhatIsTooLargeOrStallsChangesNothing(t *testing.T) {
	s := controltest.Start(t, func(c *controlapi.Config) { c.ImportSize, c.ImportIdle = 1<<20, 200*time.Millisecond })
	s.Zone("vo.example.org")
	before := s.Export("vo.example.org")
	_, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: "vo.example.org", Replace: true}, controltest.Numbered(60_000, "192.0.2.1"))
	controltest.WantErr(t, err, codes.InvalidArgument, "data")
	if err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Error(err)
	}
	stream, err := s.Zones.ImportZone(s.Admin())
	if err == nil {
		err = stream.Send(&pb.ImportZoneRequest{Name: "vo.example.org", Replace: true, Data: []byte(controltest.Numbered(3, "192.0.2.1"))})
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = controltest.LastOf(stream, nil)
	controltest.WantErr(t, err, codes.InvalidArgument, "data")
	if stream, err = s.Zones.ImportZone(s.Admin()); err != nil {
		t.Fatal(err)
	}
	if _, err = controltest.LastOf(stream, nil); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a stream without a first message: %v", err)
	}
	if got := s.Export("vo.example.org"); got != before {
		t.Errorf("the zone is now\n%s", got)
	}
}

// A merge of few names, in place, and one of many, by a generation, make the same zone,
// and a dry run tells what each then does.
func TestAMergeIsTheSameInPlaceAndByAGeneration(t *testing.T) {
	s := controltest.Start(t)
	const names = 150
	first, second := controltest.Numbered(names, "192.0.2.1"), controltest.Numbered(names, "192.0.2.2")+"extra TXT \"x\"\n"
	head, lines := strings.Join(strings.SplitAfter(second, "\n")[:3], ""), strings.SplitAfter(second, "\n")[3:]
	for _, zone := range []string{"whole.example.org", "parts.example.org"} {
		if _, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: zone}, first+"stays TXT \"y\"\n"); err != nil {
			t.Fatal(err)
		}
		s.Host("h."+zone, "192.0.2.7")
	}
	generation := func(zone string) string {
		got, err := s.Etcd().Get(t.Context(), s.Prefix+"/v1/dns/name/org.example."+zone+"./", clientv3.WithPrefix(), clientv3.WithKeysOnly())
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]bool{}
		for _, kv := range got.Kvs {
			all[strings.Split(strings.TrimPrefix(string(kv.Key), s.Prefix), "/")[5]] = true
		}
		return fmt.Sprint(len(all))
	}
	merge := func(zone, text string) {
		t.Helper()
		stream, err := s.Zones.ImportZone(s.Admin())
		if err == nil {
			err = errors.Join(stream.Send(&pb.ImportZoneRequest{Name: zone, Merge: true, DryRun: true, Differences: true, Data: []byte(text)}), stream.CloseSend())
		}
		if err != nil {
			t.Fatal(err)
		}
		differences := 0
		dry, err := controltest.LastOf(stream, func(m *pb.ImportZoneResponse) { differences += len(m.Differences) })
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: zone, Merge: true}, text)
		if err != nil || out.Removed != 0 || out.HostsKept != 1 || !out.Change.Changed {
			t.Fatal(out, err)
		}
		if int64(differences) != out.Added+out.Changed || dry.Added != out.Added || dry.Changed != out.Changed || dry.Unchanged != out.Unchanged {
			t.Errorf("%d differences, %v were announced, and done was %v", differences, dry, out)
		}
		again, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: zone, Merge: true}, text)
		if err != nil || again.Change.Changed || again.Change.Revision < out.Change.Revision {
			t.Errorf("once more: %v, %v", again, err)
		}
	}
	merge("whole.example.org", second)
	for i := 0; i < len(lines); i += 50 {
		merge("parts.example.org", head+strings.Join(lines[i:min(i+50, len(lines))], ""))
	}
	if a, b := generation("whole"), generation("parts"); a != "2" || b != "1" {
		t.Errorf("there are %s and %s generations, want 2 and 1", a, b)
	}
	a := withoutSerial(s.Export("whole.example.org"))
	b := strings.ReplaceAll(withoutSerial(s.Export("parts.example.org")), "parts.example.org", "whole.example.org")
	if a != b || !strings.Contains(a, `"y"`) {
		t.Errorf("one is\n%.500s\nthe other\n%.500s", a, b)
	}
}
