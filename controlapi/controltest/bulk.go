package controltest

import "testing"

// Bulk is for tests that do one thing many thousand times, one after the other, for the
// number of it. With the race detector they would take minutes and show it nothing that
// the others do not: they are skipped.
func Bulk(t *testing.T) {
	t.Helper()
	if race {
		t.Skip("with the race detector it takes minutes: run it without -race, as make test does")
	}
}
