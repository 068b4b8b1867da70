package thrift

import (
	"runtime/debug"
	"testing"
)

// now is the setting as it is.
func now() int {
	p := debug.SetGCPercent(100)
	debug.SetGCPercent(p)
	return p
}

func TestTheSettingIsAsBeforeAfterwards(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	for before, want := range map[int]int{100: percent, 400: percent, -1: percent, 10: 10} {
		debug.SetGCPercent(before)
		Do(func() {
			Do(func() {})
			if got := now(); got != want {
				t.Errorf("of %d it is %d meanwhile, want %d", before, got, want)
			}
		})
		if got := now(); got != before {
			t.Errorf("it was %d and is %d", before, got)
		}
	}
	func() {
		defer func() { _ = recover() }()
		Do(func() { panic("in the middle") })
	}()
	if got := now(); got == percent {
		t.Error("a panic leaves it as it was meanwhile")
	}
}
