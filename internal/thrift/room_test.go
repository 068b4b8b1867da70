package thrift

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

var sink, held []byte

const large = 64 << 20

// The room is there however little is in use, is the usual when much is, and gives way
// while somebody is thrifty.
func TestRoom(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer func() { held = nil }()
	release, second := Room(large), Room(large/2)
	settle := func(what string, ok func(percent int) bool) {
		t.Helper()
		for began := time.Now(); !ok(now()); time.Sleep(time.Millisecond) {
			if time.Since(began) > 10*time.Second {
				t.Fatalf("%s: it is %d", what, now())
			}
			runtime.GC()
		}
	}
	settle("little in use", func(p int) bool { return p >= 800 })
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 60 {
		sink = make([]byte, 1<<20)
	}
	if runtime.ReadMemStats(&after); after.NumGC > before.NumGC+1 {
		t.Errorf("60 MiB of garbage were collected %d times", after.NumGC-before.NumGC)
	}
	Do(func() {
		runtime.GC()
		if got := now(); got != percent {
			t.Errorf("it is %d for who is thrifty", got)
		}
	})
	held = make([]byte, 2*large)
	settle("much in use", func(p int) bool { return p == 100 })
	runtime.KeepAlive(held)
	held = nil
	settle("little again", func(p int) bool { return p >= 800 })
	with := now()
	release()
	release()
	if got := now(); got <= 100 || got > with {
		t.Errorf("with the other one's room it is %d, was %d", got, with)
	}
	second()
	if now() != 100 {
		t.Errorf("afterwards it is %d", now())
	}
}

func TestRoomIsTheOperators(t *testing.T) {
	t.Setenv("GOGC", "100")
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer Room(large)()
	runtime.GC()
	if got := now(); got != 100 {
		t.Errorf("GOGC of 100 became %d", got)
	}
}

func TestPercentFor(t *testing.T) {
	for live, want := range map[uint64]int{0: 1600, 1 << 20: 1600, large / 4: 400, 40 << 20: 150, large: 100, 100 * large: 100} {
		if got := percentFor(live, large); got != want {
			t.Errorf("of %d: %d, want %d", live, got, want)
		}
	}
}
