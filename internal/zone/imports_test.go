package zone_test

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The same view gives the same answer, at once and everywhere: what could make it
// wait, or differ between replicas, is not imported.
func TestNoClockNoLockNoStore(t *testing.T) {
	allowed := map[string]bool{
		"bytes": true, "cmp": true, "encoding/binary": true, "hash/maphash": true, "iter": true, "math/bits": true,
		"net/netip": true, "slices": true, "strings": true, "unsafe": true, "github.com/miekg/dns": true, "signpost/internal/model": true,
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range tree.Imports {
			if path, _ := strconv.Unquote(i.Path.Value); !allowed[path] {
				t.Errorf("%s imports %s: an answer is a pure function of the view and the question", f, path)
			}
		}
	}
}
