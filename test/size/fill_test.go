package size

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/test/proctest"
)

const (
	zoneName   = model.Name("dyn.example.org.")
	loaders    = 8
	perChange  = 30 // hosts in one transaction
	fillWithin = 20 * time.Minute
)

// world is an etcd process with one zone of n names.
type world struct {
	t        *testing.T
	n        int
	dir      string
	etcd     *proctest.Proc
	endpoint string
	store    *store.Store
}

func newWorld(t *testing.T, n int) *world {
	t.Helper()
	w := &world{t: t, n: n, dir: t.TempDir(), endpoint: "http://" + proctest.Addr(proctest.Port(t))}
	peer := "http://" + proctest.Addr(proctest.Port(t))
	// What is measured reads only, so that filling need not wait for the disk.
	w.etcd = proctest.Start(t, w.dir, "etcd", "etcd", "--data-dir", "data", "--log-level", "error", "--unsafe-no-fsync",
		"--quota-backend-bytes", "8589934592", "--listen-client-urls", w.endpoint, "--advertise-client-urls", w.endpoint,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)
	var err error
	if w.store, err = store.Open(store.Config{Endpoints: []string{w.endpoint}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	return w
}

// hostName is a name of the zone and its address.
func hostName(i int) model.Name { return model.Name(fmt.Sprintf("host%07d.%s", i, zoneName)) }

func address4(i int) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 10<<24|uint32(i))))
}

func address6(i int) netip.Addr {
	a := netip.MustParseAddr("2001:db8::").As16()
	binary.BigEndian.PutUint32(a[12:], uint32(i))
	return netip.AddrFrom16(a)
}

// addresses is one IPv4 address of every name and an IPv6 one of every fourth.
func addresses(i int) []netip.Addr {
	if i%4 == 0 {
		return []netip.Addr{address4(i), address6(i)}
	}
	return []netip.Addr{address4(i)}
}

// importNames leaves what an import does: record sets, nobody's hosts.
func (w *world) importNames() {
	w.fill(func(i int) *model.NameData {
		sets := []model.RRset{{Type: dns.TypeA, TTL: 3600, Data: [][]byte{address4(i).AsSlice()}}}
		if i%4 == 0 {
			sets = append(sets, model.RRset{Type: dns.TypeAAAA, TTL: 3600, Data: [][]byte{address6(i).AsSlice()}})
		}
		return &model.NameData{RRsets: sets}
	}, nil)
}

// makeHosts leaves what the creation of n hosts does, but for the audit.
func (w *world) makeHosts() {
	now := time.Unix(1_800_000_000, 0)
	w.fill(func(i int) *model.NameData {
		return &model.NameData{Host: &model.Host{Endpoints: []model.Endpoint{{ID: model.MainEndpoint, Addresses: addresses(i), Generation: 1<<40 + uint64(i)}}}}
	}, func(i int) *model.HostControl {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
		return &model.HostControl{Owner: fmt.Sprintf("egi/user%04d@example.org", i%5000), SecretHash: sum[:], CreateTime: now, UpdateTime4: now}
	})
}

func (w *world) fill(data func(int) *model.NameData, host func(int) *model.HostControl) {
	w.t.Helper()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(w.t.Context(), fillWithin)
	defer cancel()
	s := w.store
	proctest.Until(w.t, "etcd", func() error {
		return s.Read(ctx, func(tx *store.Tx) error { _, err := tx.Revision(); return err })
	})
	ns, err := model.ParseRRset(dns.TypeNS, 3600, []string{"ns1.example.net."})
	if err != nil {
		w.t.Fatal(err)
	}
	claim, err := s.ClaimImport(ctx, zoneName, "size", begin)
	if err != nil {
		w.t.Fatal(err)
	}
	z := &model.Zone{
		Name: zoneName, Incarnation: 1, Generation: claim.Generation, Apex: []model.RRset{ns}, CreateTime: time.Now(),
		SOA: model.SOA{MName: "ns1.example.net.", RName: "hostmaster.example.org.", Refresh: 7200, Retry: 900, Expire: 1209600, Minimum: 30, TTL: 3600},
	}
	if err := claim.Load(func(yield func(model.Name, *model.NameData) bool) {
		for i := range w.n {
			if !yield(hostName(i), data(i)) {
				return
			}
		}
	}, func(int) {}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := s.Update(ctx, func(tx *store.Tx) error {
		if _, err := tx.Zone(z.Name); model.KindOf(err) != model.NotFound {
			return err
		}
		tx.PutZone(z)
		return tx.EndImport(claim)
	}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := claim.Release(ctx); err != nil {
		w.t.Fatal(err)
	}
	if host != nil {
		w.fillHosts(ctx, s, z, host)
	}
	w.t.Logf("%d names are in etcd after %s, %d octets each", w.n, time.Since(begin).Round(time.Second/10), w.inUse()/int64(w.n))
}

// fillHosts decides on a copy, or every host would be a question to etcd.
func (w *world) fillHosts(ctx context.Context, s *store.Store, z *model.Zone, host func(int) *model.HostControl) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	var copying sync.WaitGroup
	copying.Go(func() { _ = s.KeepCopy(ctx) })
	defer copying.Wait()
	defer cancel()
	w.apart(func(of iter.Seq[int]) error {
		for some := range slices.Chunk(slices.Collect(of), perChange) {
			_, err := s.Update(ctx, func(tx *store.Tx) error {
				for _, i := range some {
					if _, err := tx.Path(z, hostName(i)); err != nil {
						return err
					}
					tx.PutHost(z, hostName(i), nil, host(i))
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// apart has several at once do a part of all numbers each.
func (w *world) apart(do func(iter.Seq[int]) error) {
	w.t.Helper()
	var running sync.WaitGroup
	errs := make([]error, loaders)
	for l := range loaders {
		running.Go(func() {
			errs[l] = do(func(yield func(int) bool) {
				for i := l; i < w.n; i += loaders {
					if !yield(i) {
						return
					}
				}
			})
		})
	}
	running.Wait()
	for _, err := range errs {
		if err != nil {
			w.t.Fatal(err)
		}
	}
}
