package signpost

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"signpost/internal/zone"
)

func TestASnapshotThatTakesLongIsWrittenLessOften(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		3 * time.Millisecond: 90 * time.Millisecond, // then snapshotEvery is what counts
		time.Second:          30 * time.Second,
		time.Minute:          5 * time.Minute,
	} {
		if got := restAfter(took); got != want {
			t.Errorf("after one that took %s there is none for %s, want %s", took, got, want)
		}
	}
	r := &replica{settings: settings{prefix: "/signpost", snapshot: filepath.Join(t.TempDir(), "s")}, troubles: map[string]uint64{}}
	written := func() int64 {
		if i, err := os.Stat(r.settings.snapshot); err == nil {
			return i.ModTime().Unix()
		}
		return 0
	}
	now := time.Now()
	r.view, r.confirmed, r.disk.next = zone.Empty(1), now, now.Add(time.Hour)
	if r.save(now); written() != 0 {
		t.Error("it is written before its time")
	}
	if r.save(time.Time{}); written() != now.Unix() { // as when it ends
		t.Error("it is not written at once when it must be")
	}
	later := now.Add(time.Minute)
	r.confirmed = later // what has not changed is true for longer, which costs nothing
	if r.save(now); written() != later.Unix() {
		t.Error("it is not said that the state is still true")
	}
	r.view = zone.Empty(2)
	if r.save(r.disk.next); r.disk.view != r.view {
		t.Error("it is not written when it is time")
	}
}
