package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/encoding/protowire"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

// busyAt and rareAt are records of two rings.
func busyAt(at time.Time) []byte { return recordOf("host.set-addresses", "a.example.org.", at, "") }
func rareAt(at time.Time) []byte { return recordOf("host.set-addresses", "b.example.org.", at, "") }

func recordOf(action string, name model.Name, at time.Time, detail string) []byte {
	return encodeAudit(&model.AuditRecord{Action: action, Name: name, Time: at, Detail: detail})
}

// putShared puts records under the key of a time.
func putShared(t *testing.T, s *Store, at time.Time, records ...[]byte) (key string) {
	t.Helper()
	key = s.keys.audit(newAuditID(at, 1))
	_, err := s.client.Put(t.Context(), key, string(bytes.Join(records, nil)))
	must(t)(Result{}, err)
	return key
}

// audits is the records that are shown, the newest first.
func audits(t *testing.T, s *Store) (out []*model.AuditRecord) {
	t.Helper()
	must(t)(Result{}, s.Read(t.Context(), func(tx *Tx) (err error) {
		out, _, err = tx.AuditRecords("", time.Time{}, 100_000, func(*model.AuditRecord) bool { return true })
		return err
	}))
	return out
}

// news is what is followed after a revision up to another.
func news(t *testing.T, s *Store, after, last int64) (out []News) {
	t.Helper()
	err := s.FollowNews(t.Context(), &NewsPosition{Revision: after}, 10*time.Millisecond, func(n News) error {
		if out = append(out, n); n.Revision >= last {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	return out
}

// Of records that share a key those go that are past their rings, and the others keep
// their ids. Who follows does not hear of that, and of the records once, as they were made.
func TestRecordsThatShareAKeyAreCutOneByOne(t *testing.T) {
	s := freshStore(t)
	start, err := s.Revision(t.Context())
	must(t)(Result{}, err)
	at := time.Now().Truncate(time.Millisecond)
	for i := range auditRing + 4 {
		then := at.Add(time.Duration(i) * time.Second)
		if i%2 == 1 && i < 4 {
			putShared(t, s, then, busyAt(then), rareAt(then))
		} else {
			putShared(t, s, then, busyAt(then))
		}
	}
	was := audits(t, s)
	rev, err := s.Revision(t.Context())
	must(t)(Result{}, err)
	if n := trimmed(t, s, "", 1<<30); n != 4 {
		t.Errorf("swept %d, want 4", n)
	}
	is := audits(t, s)
	if len(is) != auditRing+2 || !strings.HasSuffix(is[auditRing].ID, "-01") || !strings.HasSuffix(is[auditRing+1].ID, "-01") {
		t.Errorf("%d are left, want %d", len(is), auditRing+2)
	}
	for _, r := range is {
		if !slices.ContainsFunc(was, func(o *model.AuditRecord) bool { return *o == *r }) {
			t.Errorf("a record that was not cut is %v", r)
		}
	}
	if n := trimmed(t, s, "", 1<<30); n != 0 {
		t.Errorf("then swept %d, want 0", n)
	}

	last := audited(t, s, at, "zone.update", "")
	for _, n := range news(t, s, rev, last) {
		if n.Revision > rev && n.Revision < last {
			t.Errorf("a cut is news: %+v", n)
		}
	}
	told := map[string]bool{}
	for _, n := range news(t, s, start, last-1) {
		for _, r := range n.Records {
			if n.Revision == last {
				continue
			}
			if told[r.ID] || r.Revision != n.Revision || !slices.ContainsFunc(was, func(o *model.AuditRecord) bool { return *o == *r }) {
				t.Errorf("at revision %d came %v", n.Revision, r)
			}
			told[r.ID] = true
		}
	}
	if len(told) != len(was) {
		t.Errorf("%d records came to who follows from before a cut, want %d", len(told), len(was))
	}
}

// What is put again of keys that are cut may be large: etcd takes so much in a transaction.
func TestLargeKeysAreCut(t *testing.T) {
	s := freshStore(t)
	at := time.Now().Truncate(time.Millisecond)
	large := recordOf("zone.update", "", at, strings.Repeat("x", 30_000))
	const n = 2 * chunk
	for i := range n {
		then := at.Add(time.Duration(i) * time.Second)
		putShared(t, s, then, busyAt(then), large)
	}
	if got := trimmed(t, s, "", 1<<30); got != n-auditRing {
		t.Errorf("swept %d, want %d", got, n-auditRing)
	}
	if left, _ := leftOver(t, s); len(left) != n+auditRing {
		t.Errorf("%d are left, want %d", len(left), n+auditRing)
	}
}

// Two who sweep at once take away no more than one.
func TestSweepersAtOnceTakeNoMoreThanOne(t *testing.T) {
	s := freshStore(t)
	at := time.Now().Truncate(time.Millisecond)
	for i := range 3 * auditRing {
		then := at.Add(time.Duration(i) * time.Second)
		putShared(t, s, then, busyAt(then), rareAt(then))
		putShared(t, s, then, busyAt(then))
	}
	for range 10 {
		at = at.Add(time.Hour)
		putShared(t, s, at, recordOf("zone.update", "", at, "x"))
	}
	other, err := s.countedAudit(t.Context())
	must(t)(Result{}, err)
	trimmed(t, s, "", 1<<30)
	want, size := leftOver(t, s)
	if _, err := s.cutAudit(t.Context(), other, "", size); err != nil {
		t.Fatal(err)
	}
	if got, _ := leftOver(t, s); !slices.Equal(got, want) {
		t.Errorf("rings: %d are left, one by itself leaves %d", len(got), len(want))
	}

	other, err = s.countedAudit(t.Context())
	must(t)(Result{}, err)
	trimmed(t, s, "", size/2)
	want, _ = leftOver(t, s)
	if _, err := s.cutAudit(t.Context(), other, "", size/2); err != nil {
		t.Fatal(err)
	}
	if got, _ := leftOver(t, s); !slices.Equal(got, want) {
		t.Errorf("octets: %d are left, one by itself leaves %d", len(got), len(want))
	}
}

// Few keys may have much of the audit.
func TestTheAuditIsSweptWhenItsOctetsHaveGrown(t *testing.T) {
	s := freshStore(t)
	s.kept.octets = 100_000
	now := time.Now().Truncate(time.Millisecond)
	sweep := func() (octets int) {
		t.Helper()
		now = now.Add(10 * time.Minute)
		_, err := s.sweepAudit(t.Context(), now)
		must(t)(Result{}, err)
		_, octets = leftOver(t, s)
		return octets
	}
	small := recordOf("zone.update", "", now, strings.Repeat("x", 400))
	for range 150 {
		putShared(t, s, now, small)
	}
	before := sweep()
	putShared(t, s, now.Add(time.Second), bytes.Repeat(small, 4))
	if s.audited.Load().grown != 0 || sweep() <= before || s.audited.Load().grown == 0 {
		t.Error("a little more is swept")
	}
	putShared(t, s, now.Add(time.Second), bytes.Repeat(small, 200))
	putShared(t, s, now.Add(2*time.Second), small)
	if after := sweep(); after > s.kept.octets || s.audited.Load().grown != 0 {
		t.Errorf("%d octets are left, want at most %d", after, s.kept.octets)
	}
}

// Who does not know a record does not take it away with the others of its key.
func TestARecordOfALaterSchemaStaysInItsKey(t *testing.T) {
	s := freshStore(t)
	at := time.Now().Truncate(time.Millisecond)
	raw := encode(&storepb.AuditRecord{Schema: Schema + 1, TimeMs: 1, Action: "later"})
	later := protowire.AppendBytes(protowire.AppendTag(nil, auditRecords, protowire.BytesType), raw)
	key := putShared(t, s, at, later, busyAt(at))
	for i := range auditRing {
		then := at.Add(time.Duration(i+1) * time.Second)
		putShared(t, s, then, busyAt(then))
	}
	if n := trimmed(t, s, "", 1<<30); n != 1 {
		t.Errorf("swept %d, want 1", n)
	}
	resp, err := s.client.Get(t.Context(), key)
	must(t)(Result{}, err)
	if len(resp.Kvs) != 1 || !bytes.Contains(resp.Kvs[0].Value, raw) {
		t.Error("the record that nobody here can read is gone")
	}
}

// A call looks at so many records, however many share a key, and says where to go on.
func TestALookAtTheAuditIsBoundedInRecords(t *testing.T) {
	s := freshStore(t)
	at := time.Now().Truncate(time.Millisecond)
	const keys, each = 1000, 64
	for i := range keys {
		then := at.Add(-time.Duration(i) * time.Second)
		putShared(t, s, then, bytes.Repeat(busyAt(then), each))
	}
	all, before := 0, ""
	for calls := 0; calls == 0 || before != ""; calls++ {
		looked := 0
		must(t)(Result{}, s.Read(t.Context(), func(tx *Tx) (err error) {
			_, before, err = tx.AuditRecords(before, time.Time{}, 10, func(*model.AuditRecord) bool { looked++; return false })
			return err
		}))
		if all += looked; looked > 2*auditLook {
			t.Errorf("a call looks at %d records", looked)
		}
	}
	if all != keys*each {
		t.Errorf("looked at %d records of %d", all, keys*each)
	}
}

// What later versions put beside records is passed over.
func TestValuesOfTheAuditAreSplit(t *testing.T) {
	a, b := recordOf("a", "", time.UnixMilli(1), ""), recordOf("b", "", time.UnixMilli(2), "")
	more := protowire.AppendBytes(protowire.AppendTag(nil, 17, protowire.BytesType), []byte("more"))
	alone := encode(&storepb.AuditRecord{Schema: 1, TimeMs: 1, Action: "alone"})
	for _, c := range []struct {
		value []byte
		want  string
	}{
		{nil, ""},
		{a, "i a"},
		{alone, "i alone"},
		{slices.Concat(a, b), "i-00 a i-01 b"},
		{slices.Concat(a, more, b), "i-00 a i-01 b"},
		{withoutAudits(&mvccpb.KeyValue{Value: slices.Concat(a, b)}, map[int]bool{0: true}), "i-01 b"},
		{a[:len(a)-1], "garbage"},
		{slices.Concat(a, []byte{0x82}), "garbage"},
		{[]byte("\x82\x01\xff"), "garbage"},
		{[]byte("\x82\x01\x01\xff"), "garbage"},
	} {
		got, err := decodeAudits("i", &mvccpb.KeyValue{Value: c.value, CreateRevision: 3, ModRevision: 4})
		var is []string
		for _, r := range got {
			is = append(is, r.ID+" "+r.Action)
			if r.Revision != 3 {
				t.Errorf("%x: of revision %d", c.value, r.Revision)
			}
		}
		if err != nil {
			is = append(is, "garbage")
		}
		if got := strings.Join(is, " "); got != c.want {
			t.Errorf("%x: %s, want %s", c.value, got, c.want)
		}
	}
}

// An id says of which key a record is, and which of its records.
func TestIDsSayTheKeyAndThePlace(t *testing.T) {
	key := newAuditID(time.Now(), 1)
	for place := range 256 {
		id := auditIDAt(key, place)
		if k, p := splitAuditID(id); k != key || p != place || !IsAuditID(id) {
			t.Fatalf("%s: %s %d", id, k, p)
		}
	}
	if k, p := splitAuditID(key); k != key || p != -1 {
		t.Error(k, p)
	}
	for _, bad := range []string{key + "-", key + "-0", key + "-000", key + "-0G", key + "-FF", key + "00", fmt.Sprint(key, "-00\n")} {
		if IsAuditID(bad) {
			t.Errorf("%q could be an id", bad)
		}
	}
}
