package access

import (
	"strings"
	"testing"
)

// What changes nothing has a pace: no action that reads is left out of it.
func TestWhatReadsLooks(t *testing.T) {
	for _, a := range Actions() {
		reads := strings.HasSuffix(string(a), ".read") || strings.HasSuffix(string(a), ".list")
		if reads && !a.Looks() {
			t.Errorf("%s has no pace", a)
		}
		if a.Looks() && !reads && a != ZoneExport && a != WhoAmI && a != Watch {
			t.Errorf("%s is taken for one that changes nothing", a)
		}
	}
}
