package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
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
	n, err := s.trimAudit(t.Context(), "", size/2)
	if err != nil {
		t.Fatal(err)
	}
	rest, now2 := leftOver(t, s)
	if !slices.Equal(rest, got[n:]) || now2 > size/2 || now2 < size/2-200 {
		t.Errorf("%d octets of %d are left; the first is %s", now2, size, rest[0])
	}
	// The newest stays, whatever its age and size.
	sweep(now.Add(365*24*time.Hour), len(rest)-1)
	if n, err := s.trimAudit(t.Context(), "", 0); n != 0 || err != nil {
		t.Error(n, err)
	}
	if last, _ := leftOver(t, s); !slices.Equal(last, got[len(got)-1:]) {
		t.Errorf("%q", last)
	}
}

// Of records that share a key those go that are past their rings, which is no news, and the
// others keep their ids.
func TestRecordsThatShareAKeyAreCutOneByOne(t *testing.T) {
	s := freshStore(t)
	at := time.Now().Truncate(time.Millisecond)
	busy, rare := model.AuditRecord{Action: "host.set-addresses", Name: "a.example.org."}, model.AuditRecord{Action: "host.set-addresses", Name: "b.example.org."}
	for i := range auditRing + 4 {
		busy.Time, rare.Time = at.Add(time.Duration(i)*time.Second), at.Add(time.Duration(i)*time.Second)
		value := encodeAudit(&busy)
		if i == 1 {
			value = append(value, encodeAudit(&rare)...)
		}
		if _, err := s.client.Put(t.Context(), s.keys.audit(newAuditID(busy.Time, 1)), string(value)); err != nil {
			t.Fatal(err)
		}
	}
	read := func() (out []*model.AuditRecord) {
		t.Helper()
		must(t)(Result{}, s.Read(t.Context(), func(tx *Tx) (err error) {
			out, _, err = tx.AuditRecords("", time.Time{}, 1000, func(r *model.AuditRecord) bool { return r.Name == rare.Name })
			return err
		}))
		return out
	}
	was := read()
	rev, err := s.Revision(t.Context())
	must(t)(Result{}, err)
	if n, err := s.trimAudit(t.Context(), "", 1<<30); n != 4 || err != nil {
		t.Errorf("swept %d, %v; want 4", n, err)
	}
	if left, _ := leftOver(t, s); len(left) != auditRing+1 {
		t.Errorf("%d are left, want %d: %q", len(left), auditRing+1, left)
	}
	if is := read(); len(is) != 1 || len(was) != 1 || *is[0] != *was[0] || !strings.HasSuffix(is[0].ID, "-01") {
		t.Errorf("the other record of a key that was cut is %v, want %v", is, was)
	}
	if n, err := s.trimAudit(t.Context(), "", 1<<30); n != 0 || err != nil {
		t.Errorf("then swept %d, %v; want 0", n, err)
	}
	pos := NewsPosition{Revision: rev}
	last := audited(t, s, at, "zone.update", "")
	err = s.FollowNews(t.Context(), &pos, 10*time.Millisecond, func(n News) error {
		for _, r := range n.Records {
			if r.Action != "zone.update" {
				t.Errorf("what was cut is news: %v", r)
			}
		}
		if n.Revision >= last {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Error(err)
	}
}

// A record as it was written before records shared keys.
func TestARecordByItselfIsRead(t *testing.T) {
	raw := encode(&storepb.AuditRecord{Schema: 1, TimeMs: 1, Action: "zone.create"})
	got, err := decodeAudits("i", &mvccpb.KeyValue{Value: raw, CreateRevision: 3})
	if err != nil || len(got) != 1 || got[0].ID != "i" || got[0].Action != "zone.create" || got[0].Revision != 3 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := decodeAudits("i", &mvccpb.KeyValue{Value: []byte("\x82\x01\xff")}); err == nil {
		t.Error("garbage is read")
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
