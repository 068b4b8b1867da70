package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"signpost/internal/model"
)

var sampleHeader = Snapshot{Prefix: "/signpost", Cluster: 1<<63 + 5, Revision: 77}

// sample is a small state with a key of every kind, one of them bad.
func sample() []model.Change {
	name := encodeName(addressed("192.0.2.1", 9))
	return []model.Change{
		{Key: model.Key{Kind: model.ZoneKey, Zone: exampleOrg}, ModRevision: 12, Raw: []byte("garbage")},
		{Key: model.Key{Kind: model.NameKey, Zone: exampleOrg, Generation: 3, Name: "a.example.org."}, ModRevision: 70, Raw: name},
		{Key: model.Key{Kind: model.NameKey, Zone: exampleOrg, Generation: 3, Name: `\000\.\/.*.a.example.org.`}, ModRevision: 71, Raw: name},
		{Key: model.Key{Kind: model.ZoneRevKey, Zone: exampleOrg}, ModRevision: 71},
		{Key: model.Key{Kind: model.AllRevKey}, ModRevision: 1},
	}
}

func writeSample(t *testing.T, path string, h Snapshot, changes []model.Change) {
	t.Helper()
	if err := WriteSnapshot(path, h, slices.Values(changes)); err != nil {
		t.Fatal(err)
	}
}

// contents reads all of a snapshot in a form to compare.
func contents(t *testing.T, all iter.Seq2[model.Change, error]) map[string]string {
	t.Helper()
	got := map[string]string{}
	for c, err := range all {
		if err != nil {
			t.Fatal(err)
		}
		got[snapshotKeys.of(c.Key)] = fmt.Sprintf("%d %q bad=%t zone=%t name=%t", c.ModRevision, c.Raw, c.Bad != nil, c.Zone != nil, c.Name != nil)
	}
	return got
}

func TestSnapshotGivesBackWhatWasWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snap")
	writeSample(t, path, sampleHeader, append(sample(), model.Change{Key: model.Key{Kind: model.ZoneKey, Zone: "gone.example."}, Deleted: true}))
	l, err := ReadSnapshot(path, "/signpost/")
	if err != nil {
		t.Fatal(err)
	}
	if l.Snapshot != sampleHeader || l.Skipped != nil {
		t.Errorf("read %+v", l)
	}
	want := map[string]string{}
	for _, c := range sample() {
		want[snapshotKeys.of(c.Key)] = fmt.Sprintf("%d %q bad=%t zone=%t name=%t", c.ModRevision, c.Raw, c.Key.Kind == model.ZoneKey, false, c.Key.Kind == model.NameKey)
	}
	for range 2 { // it can be gone through again
		if got := contents(t, l.All); !maps.Equal(got, want) {
			t.Errorf("read %v, want %v", got, want)
		}
	}
	for range l.All {
		break
	}
}

// What a version before wrote is read still: a replica is upgraded while etcd is away.
func TestSnapshotOfFormat1IsRead(t *testing.T) {
	old := []byte(snapshotMagic)
	text := func(b []byte) { old = append(binary.AppendUvarint(old, uint64(len(b))), b...) }
	old = binary.AppendUvarint(old, 1)
	text([]byte(sampleHeader.Prefix))
	old = binary.AppendUvarint(old, sampleHeader.Cluster)
	old = binary.AppendUvarint(old, uint64(sampleHeader.Revision))
	for _, c := range sample() {
		text([]byte(snapshotKeys.of(c.Key)))
		old = binary.AppendUvarint(old, uint64(c.ModRevision))
		text(c.Raw)
	}
	text(nil)
	old = binary.AppendUvarint(old, uint64(len(sample())))
	sum := sha256.Sum256(old)
	l, err := parseSnapshot("old", append(old, sum[:]...), sampleHeader.Prefix)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "snap")
	writeSample(t, path, sampleHeader, sample())
	now, err := ReadSnapshot(path, sampleHeader.Prefix)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := contents(t, l.All), contents(t, now.All); l.Snapshot != sampleHeader || !maps.Equal(got, want) {
		t.Errorf("%+v: read %v, want %v", l.Snapshot, got, want)
	}
}

func TestEmptyStateIsASnapshotToo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snap")
	writeSample(t, path, sampleHeader, nil)
	l, err := ReadSnapshot(path, "/signpost")
	if err != nil || len(contents(t, l.All)) != 0 {
		t.Fatalf("%v, %v", l, err)
	}
}

// No damage to one octet and no cut may get through, wherever it is.
func TestDamagedSnapshotIsNeverUsed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "snap")
	writeSample(t, path, sampleHeader, sample()[:2])
	older := sampleHeader
	older.Revision--
	writeSample(t, path, older, sample())
	writeSample(t, path, sampleHeader, sample())
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damages := map[string][]byte{"a longer file": append(slices.Clone(whole), 0)}
	for i := range whole {
		damages[fmt.Sprintf("cut at %d", i)] = whole[:i]
		for _, bits := range []byte{0xff, 0x01, 0x80} {
			bad := slices.Clone(whole)
			bad[i] ^= bits
			damages[fmt.Sprintf("octet %d xor %#x", i, bits)] = bad
		}
	}
	for what, data := range damages {
		if _, err := parseSnapshot("snap", slices.Clone(data), "/signpost"); model.KindOf(err) != model.Invalid {
			t.Errorf("%s: %v", what, err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := ReadSnapshot(path, "/signpost")
		if err != nil || l.Revision != older.Revision || l.Skipped == nil {
			t.Fatalf("%s: got %+v, %v; want the older file", what, l, err)
		}
	}
	if err := os.Remove(path + ".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, whole[:50], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSnapshot(path, "/signpost"); model.KindOf(err) != model.Invalid {
		t.Errorf("a damaged file alone: %v", err)
	}
}

func TestWhichSnapshotsAreRefused(t *testing.T) {
	future := append([]byte(snapshotMagic), snapshotFormat+1, 'x')
	sum := sha256.Sum256(future)
	for _, c := range []struct {
		what   string
		make   func(path string)
		prefix string
		want   model.Kind
	}{
		{"none there", func(string) {}, "/signpost", model.NotFound},
		{"of another prefix", func(p string) { writeSample(t, p, sampleHeader, sample()) }, "/signpost2", model.Precondition},
		{"of a newer format", func(p string) { os.WriteFile(p, append(future, sum[:]...), 0o600) }, "/signpost", model.Precondition},
		{"no snapshot", func(p string) { os.WriteFile(p, []byte("hello"), 0o600) }, "/signpost", model.Invalid},
		{"empty", func(p string) { os.WriteFile(p, nil, 0o600) }, "/signpost", model.Invalid},
		{"a folder", func(p string) { os.Mkdir(p, 0o700) }, "/signpost", model.Unavailable},
	} {
		path := filepath.Join(t.TempDir(), "snap")
		c.make(path)
		if _, err := ReadSnapshot(path, c.prefix); err == nil || model.KindOf(err) != c.want {
			t.Errorf("%s: %v, want kind %v", c.what, err, c.want)
		}
	}
}

func TestInterruptedWriteLeavesWhatWas(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "snap")
	writeSample(t, path, sampleHeader, sample())
	func() {
		defer func() { _ = recover() }()
		WriteSnapshot(path, Snapshot{}, func(yield func(model.Change) bool) {
			yield(sample()[0])
			panic("killed in the middle")
		})
	}()
	if l, err := ReadSnapshot(path, "/signpost"); err != nil || l.Skipped != nil || len(contents(t, l.All)) != len(sample()) {
		t.Errorf("%+v, %v", l, err)
	}
	// Killed between the two renames: only the older name is there.
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if l, err := ReadSnapshot(path, "/signpost"); err != nil || model.KindOf(l.Skipped) != model.NotFound {
		t.Errorf("%+v, %v", l, err)
	}
	// What a killed writer left does not stay for ever.
	left := filepath.Join(dir, "snap.tmp-123")
	os.WriteFile(left, []byte("half"), 0o600)
	os.Chtimes(left, time.Time{}, time.Now().Add(-2*time.Hour))
	writeSample(t, path, sampleHeader, sample())
	files, _ := os.ReadDir(dir)
	if len(files) != 2 {
		t.Errorf("left in the folder: %v", files)
	}
}

type fullDisk struct{ room int }

func (d *fullDisk) Write(b []byte) (int, error) {
	if d.room -= len(b); d.room < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(b), nil
}

func TestFailedWriteIsReported(t *testing.T) {
	var whole bytes.Buffer
	if err := encodeSnapshot(&whole, sampleHeader, slices.Values(sample())); err != nil {
		t.Fatal(err)
	}
	for room := range whole.Len() {
		if err := encodeSnapshot(&fullDisk{room}, sampleHeader, slices.Values(sample())); err == nil {
			t.Fatalf("with room for %d of %d octets there was no error", room, whole.Len())
		}
	}
	path := filepath.Join(t.TempDir(), "missing", "snap")
	if err := WriteSnapshot(path, sampleHeader, slices.Values(sample())); model.KindOf(err) != model.Unavailable {
		t.Errorf("into a missing folder: %v", err)
	}
}

func TestWritingASnapshotHoldsLittle(t *testing.T) {
	c := sample()[1]
	var most uint64
	many := func(yield func(model.Change) bool) {
		for i := range 200_000 {
			if i%50_000 == 0 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
			if !yield(c) {
				return
			}
		}
	}
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	path := filepath.Join(t.TempDir(), "snap")
	if err := WriteSnapshot(path, sampleHeader, many); err != nil {
		t.Fatal(err)
	}
	i, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if grown := int64(most) - int64(before.HeapAlloc); grown > i.Size()/2 {
		t.Errorf("%d octets were held while %d were written", grown, i.Size())
	}
}

func FuzzReadSnapshot(f *testing.F) {
	var whole bytes.Buffer
	if err := encodeSnapshot(&whole, sampleHeader, slices.Values(sample())); err != nil {
		f.Fatal(err)
	}
	f.Add(whole.Bytes())
	f.Add(whole.Bytes()[:whole.Len()-sha256.Size])
	f.Add([]byte(snapshotMagic + "\x01\x09/signpost\x00\x00\x00\x00"))
	f.Add([]byte(snapshotMagic + "\x02\x09/signpost\x00\x00\x00\x00\x00"))
	f.Add([]byte(snapshotMagic + "\x02\x09/signpost\x00\x00\x00\x03dns\x01\x00\x09\x03dns\x01\x00"))
	f.Add([]byte(snapshotMagic + "\x01\x09/signpost\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		sum := sha256.Sum256(data)
		// As it is, and with a right checksum so that what is behind it is tried too.
		for _, d := range [][]byte{data, append(slices.Clone(data), sum[:]...)} {
			l, err := parseSnapshot("fuzz", d, "/signpost")
			if err != nil {
				continue
			}
			for c, err := range l.All {
				if err == nil && (c.Bad == nil) != (c.Zone != nil || c.Name != nil || c.Key.Kind >= model.ZoneRevKey) {
					t.Errorf("%+v is neither good nor bad", c)
				}
			}
		}
	})
}
