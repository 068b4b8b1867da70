package controlapi_test

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
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// numbered is a zone file with n names that have the address.
func numbered(n int, address string) string {
	var b strings.Builder
	b.WriteString("$TTL 60\n@ SOA ns.example.net. root.example.net. 1 7200 900 1209600 30\n@ NS ns.example.net.\n")
	for i := range n {
		fmt.Fprintf(&b, "n%d A %s\n", i, address)
	}
	return b.String()
}

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
			s := start(t)
			if _, err := s.load(s.admin(), &pb.ImportZoneRequest{Name: zone}, numbered(names, "192.0.2.1")); err != nil {
				t.Fatal(err)
			}
			s.host("kept.vo.example.org", "192.0.2.7")
			before := withoutSerial(s.export(zone))
			other := s.again()
			ctl := s.etcd()
			got, err := ctl.Get(t.Context(), s.prefix, clientv3.WithCountOnly())
			if err != nil {
				t.Fatal(err)
			}
			watch := ctl.Watch(t.Context(), s.prefix+when.key, clientv3.WithPrefix(), clientv3.WithRev(got.Header.Revision+1))
			killed := make(chan struct{})
			go func() {
				defer close(killed)
				for seen := 0; seen < when.n; {
					seen += len((<-watch).Events)
				}
				s.store.Close() // nothing of it reaches etcd any more
			}()
			_, loadErr := s.load(s.admin(), &pb.ImportZoneRequest{Name: zone, Replace: true}, numbered(names, "192.0.2.2"))
			<-killed
			after := withoutSerial(other.export(zone))
			renewed := strings.ReplaceAll(before, "192.0.2.1\n", "192.0.2.2\n")
			if after != before && after != renewed {
				t.Fatalf("the zone is neither the old one nor the new one:\n%.300s", after)
			}
			if loadErr == nil && after != renewed {
				t.Fatal("an acknowledged import is lost")
			}
			t.Logf("the new one is served: %t, acknowledged: %t", after == renewed, loadErr == nil)
			endLease(t, ctl, s.prefix+claimed+"org.example.vo.")
			if _, err := other.store.Sweep(t.Context(), time.Now()); err != nil {
				t.Fatal(err)
			}
			all, err := ctl.Get(t.Context(), s.prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
			if err != nil {
				t.Fatal(err)
			}
			generations, claims := map[string]int{}, 0
			for _, kv := range all.Kvs {
				rest := strings.TrimPrefix(string(kv.Key), s.prefix)
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
			if got := withoutSerial(other.export(zone)); got != after {
				t.Error("the sweep changed the zone")
			}
			if _, err := other.load(other.admin(), &pb.ImportZoneRequest{Name: zone, Replace: true}, numbered(3, "192.0.2.3")); err != nil {
				t.Errorf("the next import: %v", err)
			}
		})
	}
}

// endLease lets the time pass after which a dead holder's claim ends.
func endLease(t *testing.T, ctl *clientv3.Client, key string) {
	t.Helper()
	got, err := ctl.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range got.Kvs {
		if kv.Lease == 0 {
			t.Error("a claim does not end with its holder")
		}
		if _, err := ctl.Revoke(t.Context(), clientv3.LeaseID(kv.Lease)); err != nil {
			t.Fatal(err)
		}
	}
}

// No update acknowledged while a zone is imported is lost.
func TestNoUpdateDuringAnImportIsLost(t *testing.T) {
	const zone, hosts, imports = "vo.example.org", 8, 6
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := start(t)
	s.zone(zone)
	for i := range hosts {
		s.host(fmt.Sprintf("h%d.%s", i, zone), "192.0.2.1")
	}
	ctx, stop := context.WithCancel(s.admin())
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
					_, _ = s.hosts.CreateHost(ctx, &pb.CreateHostRequest{Fqdn: extra, Addresses: []string{"192.0.2.9"}})
					_, _ = s.hosts.DeleteHost(ctx, &pb.DeleteHostRequest{Fqdn: extra})
				}
				addr := fmt.Sprintf("10.%d.%d.%d", i, n>>8&255, n&255)
				_, err := s.hosts.SetAddresses(ctx, &pb.SetAddressesRequest{Fqdn: fqdn, Addresses: []string{addr}})
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
		text := numbered(400, fmt.Sprintf("192.0.2.%d", n+1)) + fmt.Sprintf("h%d TXT \"the file's\"\nx0-%d TXT \"and this\"\n", n%hosts, n)
		if _, err := s.load(s.admin(), &pb.ImportZoneRequest{Name: zone, Replace: true}, text); err != nil {
			t.Errorf("import %d: %v", n, err)
		}
	}
	stop()
	writing.Wait()
	t.Logf("%d updates during %d imports, %d refused", made.Load(), imports, refused.Load())
	for i, want := range last {
		fqdn := fmt.Sprintf("h%d.%s", i, zone)
		if got := s.sets(fqdn); !strings.HasSuffix(want, "?") && got != "A 60 "+want {
			t.Errorf("%s has %q, want %q", fqdn, got, want)
		}
	}
	text := s.export(zone)
	if n := strings.Count(text, "\n"); n < 402+hosts || strings.Contains(text, "the file's") {
		t.Errorf("the zone has %d lines", n)
	}
}

// The third try closes the zone: changes are refused with ABORTED, and none is lost.
func TestTheThirdTryClosesTheZone(t *testing.T) {
	const zone = "vo.example.org"
	var s *server
	var importing, inside atomic.Bool
	var answers []error
	s = start(t, func(c *controlapi.Config) {
		c.Now = func() time.Time {
			// The clock is read where the switch is decided on.
			if importing.Load() && inside.CompareAndSwap(false, true) {
				_, err := s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: "h.vo.example.org", Addresses: []string{fmt.Sprintf("192.0.2.%d", 100+len(answers))}})
				answers = append(answers, err)
				inside.Store(false)
			}
			return time.Unix(1_800_000_000, 0)
		}
	})
	s.zone(zone)
	s.host("h.vo.example.org", "192.0.2.1")
	importing.Store(true)
	out, err := s.load(s.admin(), &pb.ImportZoneRequest{Name: zone, Replace: true}, numbered(150, "192.0.2.2"))
	importing.Store(false)
	if err != nil || out.HostsKept != 1 {
		t.Fatal(out, err)
	}
	last, refused := "", 0
	for i, err := range answers {
		switch {
		case err == nil:
			last = fmt.Sprintf("A 60 192.0.2.%d", 100+i)
		case status.Code(err) == codes.Aborted && strings.Contains(err.Error(), "being imported"):
			refused++
		default:
			t.Error(err)
		}
	}
	if got := s.sets("h.vo.example.org"); got != last || refused == 0 {
		t.Errorf("the host has %q, want %q; %d of %d changes were refused", got, last, refused, len(answers))
	}
	if _, err := s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: "h.vo.example.org", Addresses: []string{"192.0.2.99"}}); err != nil {
		t.Errorf("after the import: %v", err)
	}
}

// An import that was not told to replace takes nothing away that came meanwhile.
func TestAnImportTakesNothingAwayUntold(t *testing.T) {
	var s *server
	var importing, done atomic.Bool
	s = start(t, func(c *controlapi.Config) {
		c.Now = func() time.Time {
			if importing.Load() && done.CompareAndSwap(false, true) {
				s.record("mine.vo.example.org", "TXT", "mine")
			}
			return time.Unix(1_800_000_000, 0)
		}
	})
	s.zone("vo.example.org")
	importing.Store(true)
	_, err := s.load(s.admin(), &pb.ImportZoneRequest{Name: "vo.example.org"}, numbered(5, "192.0.2.2"))
	wantErr(t, err, codes.FailedPrecondition, "replace")
	if got := s.sets("mine.vo.example.org"); got != `TXT 60 "mine"` {
		t.Errorf("the record set is now %q", got)
	}
	if got := s.export("vo.example.org"); strings.Contains(got, "192.0.2.2") {
		t.Errorf("a refused import is served:\n%s", got)
	}
}

// A closed zone opens by itself when its importer dies.
func TestAClosedZoneOpensWhenItsImporterDies(t *testing.T) {
	s := start(t)
	s.zone("vo.example.org")
	s.host("h.vo.example.org", "192.0.2.1")
	s.zone("other.example.org")
	claim, err := s.store.ClaimImport(t.Context(), "vo.example.org.", "somebody", time.Now())
	if err == nil {
		err = claim.CloseZone()
	}
	if err != nil {
		t.Fatal(err)
	}
	in := &pb.SetAddressesRequest{Fqdn: "h.vo.example.org", Addresses: []string{"192.0.2.2"}}
	same := &pb.SetAddressesRequest{Fqdn: "h.vo.example.org", Addresses: []string{"192.0.2.1"}}
	changes := map[string]func() error{
		"address": func() error { _, err := s.hosts.SetAddresses(s.admin(), in); return err },
		"record": func() error {
			_, err := s.records.SetRecordSet(s.admin(), &pb.SetRecordSetRequest{Fqdn: "x.vo.example.org", Type: "TXT", Rdata: []string{"x"}})
			return err
		},
		"apex": func() error {
			_, err := s.records.SetRecordSet(s.admin(), &pb.SetRecordSetRequest{Fqdn: "vo.example.org", Type: "TXT", Rdata: []string{"x"}})
			return err
		},
		"settings": func() error {
			ttl := uint32(90)
			_, err := s.zones.UpdateZone(s.admin(), &pb.UpdateZoneRequest{Name: "vo.example.org", Ttl: &ttl})
			return err
		},
		"zone below": func() error {
			_, err := s.zones.CreateZone(s.admin(), &pb.CreateZoneRequest{Name: "sub.vo.example.org", NameServers: []*pb.NameServer{{Name: "ns.example.net"}}})
			return err
		},
		"zone": func() error {
			_, err := s.zones.DeleteZone(s.admin(), &pb.DeleteZoneRequest{Name: "vo.example.org", Force: true})
			return err
		},
	}
	for what, change := range changes {
		if err := change(); status.Code(err) != codes.Aborted || !strings.Contains(err.Error(), "being imported") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := s.hosts.SetAddresses(s.admin(), same); err != nil {
		t.Errorf("what changes nothing: %v", err)
	}
	s.record("x.other.example.org", "TXT", "another zone")
	endLease(t, s.etcd(), s.prefix+"/v1/ctl/import/org.example.vo.")
	if err := changes["address"](); err != nil {
		t.Errorf("after the importer's end: %v", err)
	}
	if err := claim.Load(func(yield func(model.Name, *model.NameData) bool) { yield("y.vo.example.org.", nil) }, func(int) {}); err == nil {
		t.Error("who has lost the claim writes on")
	}
}

// Two imports of one zone at once: one is refused, and told who is at it.
func TestOneImportOfAZoneAtATime(t *testing.T) {
	s := start(t)
	s.zone("vo.example.org")
	claim, err := s.store.ClaimImport(t.Context(), "vo.example.org.", "somebody", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.load(s.admin(), &pb.ImportZoneRequest{Name: "vo.example.org", Replace: true}, numbered(3, "192.0.2.1"))
	wantErr(t, err, codes.Aborted, "")
	if err == nil || !strings.Contains(err.Error(), "begun by somebody") {
		t.Error(err)
	}
	if _, err := s.load(s.admin(), &pb.ImportZoneRequest{Name: "vo.example.org", Replace: true, DryRun: true}, numbered(3, "192.0.2.1")); err != nil {
		t.Errorf("a dry run: %v", err)
	}
	z, err := s.zones.GetZone(s.admin(), &pb.GetZoneRequest{Name: "vo.example.org"})
	if err != nil || z.Import.GetPrincipal() != "somebody" || z.Import.Closed {
		t.Error(z.GetImport(), err)
	}
	if _, err := claim.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	var won atomic.Int64
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			_, err := s.load(s.admin(), &pb.ImportZoneRequest{Name: "vo.example.org", Replace: true}, numbered(300, "192.0.2.1"))
			if err == nil {
				won.Add(1)
			} else if status.Code(err) != codes.Aborted {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if won.Load() == 0 {
		t.Error("both were refused")
	}
	if z, err := s.zones.GetZone(s.admin(), &pb.GetZoneRequest{Name: "vo.example.org"}); err != nil || z.Import != nil {
		t.Error(z.GetImport(), err)
	}
}

// A file that is too large, and one that stops coming, change nothing.
func TestWhatIsTooLargeOrStallsChangesNothing(t *testing.T) {
	s := start(t, func(c *controlapi.Config) { c.ImportSize, c.ImportIdle = 1<<20, 200*time.Millisecond })
	s.zone("vo.example.org")
	before := s.export("vo.example.org")
	_, err := s.load(s.admin(), &pb.ImportZoneRequest{Name: "vo.example.org", Replace: true}, numbered(60_000, "192.0.2.1"))
	wantErr(t, err, codes.InvalidArgument, "data")
	if err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Error(err)
	}
	stream, err := s.zones.ImportZone(s.admin())
	if err == nil {
		err = stream.Send(&pb.ImportZoneRequest{Name: "vo.example.org", Replace: true, Data: []byte(numbered(3, "192.0.2.1"))})
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = lastOf(stream, nil)
	wantErr(t, err, codes.InvalidArgument, "data")
	if stream, err = s.zones.ImportZone(s.admin()); err != nil {
		t.Fatal(err)
	}
	if _, err = lastOf(stream, nil); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a stream without a first message: %v", err)
	}
	if got := s.export("vo.example.org"); got != before {
		t.Errorf("the zone is now\n%s", got)
	}
}

// A merge of few names, in place, and one of many, by a generation, make the same zone,
// and a dry run tells what each then does.
func TestAMergeIsTheSameInPlaceAndByAGeneration(t *testing.T) {
	s := start(t)
	const names = 150
	first, second := numbered(names, "192.0.2.1"), numbered(names, "192.0.2.2")+"extra TXT \"x\"\n"
	head, lines := strings.Join(strings.SplitAfter(second, "\n")[:3], ""), strings.SplitAfter(second, "\n")[3:]
	for _, zone := range []string{"whole.example.org", "parts.example.org"} {
		if _, err := s.load(s.admin(), &pb.ImportZoneRequest{Name: zone}, first+"stays TXT \"y\"\n"); err != nil {
			t.Fatal(err)
		}
		s.host("h."+zone, "192.0.2.7")
	}
	generation := func(zone string) string {
		got, err := s.etcd().Get(t.Context(), s.prefix+"/v1/dns/name/org.example."+zone+"./", clientv3.WithPrefix(), clientv3.WithKeysOnly())
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]bool{}
		for _, kv := range got.Kvs {
			all[strings.Split(strings.TrimPrefix(string(kv.Key), s.prefix), "/")[5]] = true
		}
		return fmt.Sprint(len(all))
	}
	merge := func(zone, text string) {
		t.Helper()
		stream, err := s.zones.ImportZone(s.admin())
		if err == nil {
			err = errors.Join(stream.Send(&pb.ImportZoneRequest{Name: zone, Merge: true, DryRun: true, Differences: true, Data: []byte(text)}), stream.CloseSend())
		}
		if err != nil {
			t.Fatal(err)
		}
		differences := 0
		dry, err := lastOf(stream, func(m *pb.ImportZoneResponse) { differences += len(m.Differences) })
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.load(s.admin(), &pb.ImportZoneRequest{Name: zone, Merge: true}, text)
		if err != nil || out.Removed != 0 || out.HostsKept != 1 || !out.Change.Changed {
			t.Fatal(out, err)
		}
		if int64(differences) != out.Added+out.Changed || dry.Added != out.Added || dry.Changed != out.Changed || dry.Unchanged != out.Unchanged {
			t.Errorf("%d differences, %v were announced, and done was %v", differences, dry, out)
		}
		again, err := s.load(s.admin(), &pb.ImportZoneRequest{Name: zone, Merge: true}, text)
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
	a := withoutSerial(s.export("whole.example.org"))
	b := strings.ReplaceAll(withoutSerial(s.export("parts.example.org")), "parts.example.org", "whole.example.org")
	if a != b || !strings.Contains(a, `"y"`) {
		t.Errorf("one is\n%.500s\nthe other\n%.500s", a, b)
	}
}
