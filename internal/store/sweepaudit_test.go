package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// leftOver is the audit records that there are, the oldest first.
func leftOver(t *testing.T, s *Store) (out []string, size int) {
	t.Helper()
	resp, err := s.client.Get(t.Context(), s.keys.audits(), clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range resp.Kvs {
		records, err := decodeAudits("", kv)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range records {
			out = append(out, fmt.Sprint(rec.Time.Unix(), " ", rec.Action, " ", rec.Name))
		}
		size += auditSize(kv)
	}
	return out, size
}

// trimmed sweeps the audit to bounds, and is how many records it took away.
func trimmed(t *testing.T, s *Store, oldest string, most int) int {
	t.Helper()
	c, err := s.countedAudit(t.Context())
	must(t)(Result{}, err)
	n, err := s.cutAudit(t.Context(), c, oldest, most)
	must(t)(Result{}, err)
	left, err := s.countedAudit(t.Context())
	must(t)(Result{}, err)
	if left.size != c.size {
		t.Errorf("%d octets are left, not %d", left.size, c.size)
	}
	return n
}

func TestTheAuditIsBounded(t *testing.T) {
	s := freshStore(t)
	now := time.Unix(2e9, 0)
	ago := func(d time.Duration, action string, names ...model.Name) {
		t.Helper()
		audited(t, s, now.Add(-d), action, names...)
	}
	sweep := func(at time.Time, want int) {
		t.Helper()
		if n, err := s.sweepAudit(t.Context(), at); err != nil || n != want {
			t.Errorf("swept %d, %v; want %d", n, err, want)
		}
	}
	sweep(now, 0)
	ago(31*24*time.Hour, "zone.create", "")
	ago(29*24*time.Hour, "zone.update", "")
	for i := range 150 {
		ago(time.Hour+time.Duration(150-i)*time.Second, "host.set-addresses", "a.example.org.")
	}
	for i := range 16 {
		ago(time.Hour-time.Duration(i)*time.Second, "host.set-addresses", "b.example.org.")
		ago(time.Hour-time.Duration(i)*time.Second, "host.update", "a.example.org.")
	}
	sweep(now, 1+150-16)
	got, size := leftOver(t, s)
	if len(got) != 1+16+16+16 || !slices.Contains(got, fmt.Sprint(now.Add(-time.Hour-time.Second).Unix(), " host.set-addresses a.example.org.")) {
		t.Errorf("%d records: %q", len(got), got)
	}
	sweep(now, 0)
	ago(30*24*time.Hour, "zone.update", "")
	sweep(now, 0) // not for one in fifty
	sweep(now.Add(25*time.Hour), 2)
	got = got[1:] // the one of 29 days is too old now

	// Too many octets: the oldest go, and no more than must.
	n := trimmed(t, s, "", size/2)
	rest, now2 := leftOver(t, s)
	if !slices.Equal(rest, got[n:]) || now2 > size/2 || now2 < size/2-200 {
		t.Errorf("%d octets of %d are left; the first is %s", now2, size, rest[0])
	}
	// The newest stays, whatever its age and size.
	sweep(now.Add(365*24*time.Hour), len(rest)-1)
	if n := trimmed(t, s, "", 0); n != 0 {
		t.Errorf("then swept %d", n)
	}
	if last, _ := leftOver(t, s); !slices.Equal(last, got[len(got)-1:]) {
		t.Errorf("%q", last)
	}
}

// The ids of audit records sort by time, then by revision.
func TestAuditIDsSort(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_123)
	var ids []string
	for _, later := range []time.Duration{0, time.Millisecond, 877 * time.Millisecond} {
		for _, rev := range []int64{0, 1, 255, 256, 1 << 43} {
			id := newAuditID(at.Add(later), rev)
			if want := fmt.Sprintf("%013d-%011x-", at.Add(later).UnixMilli(), rev); !IsAuditID(id) || !strings.HasPrefix(id, want) {
				t.Errorf("%s, want %s and random digits", id, want)
			}
			ids = append(ids, id)
		}
	}
	if !slices.IsSorted(ids) {
		t.Errorf("they are not sorted: %q", ids)
	}
}
