package test

import (
	"bufio"
	"crypto/sha256"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"signpost/controlapi"
	"signpost/test/proctest"
)

var atLimit = flag.Bool("limit", false, "import zone files as large as they may be and print what it takes (TestAFileAtTheLimit)")

// TestAFileAtTheLimit sends files of as many octets as are allowed, and of one more,
// through the real programs. It prints what they cost; each begins with a service that
// has just started, so that its peak is of this file alone.
func TestAFileAtTheLimit(t *testing.T) {
	if !*atLimit {
		t.Skip("it takes minutes; run it with -args -limit")
	}
	m := startMeasured(t)
	again := func(t *testing.T) {
		t.Helper()
		m.control.Kill()
		m.control.Restart()
		m.untilReady(t)
	}
	const zone = "limit.example.org"
	text, comments, over := filepath.Join(m.dir, "text.zone"), filepath.Join(m.dir, "comments.zone"), filepath.Join(m.dir, "over.zone")
	writeLimit(t, comments, 0, 10_000)
	t.Run("comments", func(t *testing.T) { m.must(t, "import", "comments.example.org", comments, "--progress") })
	again(t)
	writeLimit(t, text, 2000, 0)
	t.Run("long TXT", func(t *testing.T) { m.must(t, "import", zone, text, "--progress") })
	exported := filepath.Join(m.dir, "before.zone")
	t.Run("export", func(t *testing.T) { m.must(t, "export", zone, exported) })
	before := digest(t, exported)

	t.Run("one octet more", func(t *testing.T) {
		again(t)
		f, err := os.OpenFile(text, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("\n"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(text, over); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"--replace"}, {"--replace", "--dry-run"}} {
			err := m.run(t, append([]string{"import", zone, over, "--progress"}, args...)...)
			if err == nil || !strings.Contains(err.Error(), "the zone file is larger than 256 MiB") {
				t.Errorf("import %v: %v", args, err)
			}
		}
		if status := postFile(t, m, zone, over); status != http.StatusRequestEntityTooLarge {
			t.Errorf("over REST: %d", status)
		}
		after := filepath.Join(m.dir, "after.zone")
		m.must(t, "export", zone, after)
		if digest(t, after) != before {
			t.Error("a refused import has changed the zone")
		}
	})
}

// writeLimit writes a zone file of exactly as many octets as are allowed: names with a
// TXT of text octets each, or a thousand names and lines of comment octets.
func writeLimit(t *testing.T, name string, text, comment int) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	n, _ := fmt.Fprint(w, "$TTL 300\n@ SOA ns.example.net. hostmaster 1 7200 900 1209600 60\n@ NS ns.example.net.\n")
	names := 0
	for {
		var b strings.Builder
		if comment == 0 || names < 1000 {
			fmt.Fprintf(&b, "node%07d TXT", names)
			for at := 0; at <= text; at += 250 { // as long as a string may be, about; no two alike
				fmt.Fprintf(&b, " \"%07d.%07d.%s\"", names, at, strings.Repeat("x", min(max(text-at, 1), 250-16)))
			}
			b.WriteByte('\n')
		} else {
			b.WriteString(";" + strings.Repeat("-", comment) + "\n")
		}
		if n+b.Len()+2 > controlapi.MaxImport {
			break
		}
		names++
		w.WriteString(b.String())
		n += b.Len()
	}
	w.WriteString(";" + strings.Repeat("-", controlapi.MaxImport-n-2) + "\n")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got := size(t, name); got != controlapi.MaxImport {
		t.Fatalf("a file of %d octets", got)
	}
	t.Logf("a file of 256 MiB, %d lines", names)
}

func postFile(t *testing.T, m *measured, zone, file string) int {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.url+"/v1/zones/"+zone+":import?replace=true", f)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = size(t, file)
	token, err := os.ReadFile(filepath.Join(m.dir, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := (&http.Client{Timeout: proctest.Patience}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func digest(t *testing.T, file string) [sha256.Size]byte {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(raw)
}
