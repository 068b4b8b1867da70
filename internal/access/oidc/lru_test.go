package oidc

import "testing"

func TestWhatWasNotAskedForIsForgottenFirst(t *testing.T) {
	l := newLRU[int, string](2)
	l.put(1, "a")
	l.put(2, "b")
	l.get(1)
	l.put(3, "c")
	l.put(1, "A")
	if _, ok := l.get(2); ok {
		t.Error("2 is still there")
	}
	if v, ok := l.get(1); v != "A" || !ok {
		t.Error(v, ok)
	}
	if v, ok := l.get(3); v != "c" || !ok || l.order.Len() != 2 || len(l.at) != 2 {
		t.Error(v, ok, l.order.Len())
	}
}
