package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func sample() *Document {
	round := func(cpu, qps float64) Round {
		l := Load{Asked: 10, Right: 10, PerSecond: qps, ServerMicros: cpu, ClientMicros: 4, P50: 50, P99: 90, P999: 95}
		return Round{StartSeconds: 1, Closed: l, Open: l, ShareMiB: 10, PeakMiB: 11}
	}
	d := &Document{Names: 1000, Rounds: 3, Peers: []Peer{
		{Name: "nsd", Reference: true, Rounds: []Round{round(8, 100), round(10, 90), {Failure: "it has ended"}}},
		{Name: "knot", Reference: true, Rounds: []Round{round(9, 120), round(9, 80), round(9, 100)}},
		{Name: "signpost", Rounds: []Round{round(12, 60), round(18, 45), round(18, 50)}},
		{Name: "bind", Skipped: "it is not installed"},
	}, Spread: []Propagation{{Name: "signpost", Updates: 10, Watched: 10, Replicas: []Delays{{1, 2, 3, 4}}, Last: Delays{1, 2, 3, 4}, Within5: 1}}}
	d.Summarize()
	return d
}

// Each round is compared with the best reference of that round, whichever it is; a
// round that failed counts nowhere.
func TestSummaries(t *testing.T) {
	d := sample()
	got := d.Peers[2].Summary["cpu"]
	want := Summary{Min: 12, Median: 18, Max: 18, RatioMin: 1.5, RatioMedian: 2, RatioMax: 2}
	if got != want {
		t.Errorf("processor time: %+v, want %+v", got, want)
	}
	got = d.Peers[2].Summary["qps"]
	for i, r := range []struct{ got, want float64 }{{got.RatioMin, 0.5}, {got.RatioMedian, 0.5}, {got.RatioMax, 0.5}, {got.Median, 50}} {
		if math.Abs(r.got-r.want) > 1e-9 {
			t.Errorf("answers a second, %d: %v, want %v", i, r.got, r.want)
		}
	}
	if s := d.Peers[0].Summary["cpu"]; s.Median != 9 || s.RatioMax != 10.0/9 {
		t.Errorf("nsd: %+v", s)
	}
	if err := d.Failures(); err == nil || !strings.Contains(err.Error(), "nsd, round 3: it has ended") {
		t.Errorf("failures: %v", err)
	}
}

func TestTextAndPicture(t *testing.T) {
	d := sample()
	var b bytes.Buffer
	if err := d.Text(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"18.0 (12.0 to 18.0)", "2.00 (1.50 to 2.00)", "skipped: it is not installed", "best of nsd and knot"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, &b)
		}
	}
	for dec := xml.NewDecoder(strings.NewReader(d.Picture())); ; {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the picture is no XML: %v", err)
		}
	}
}

// The page keeps what others have written, and writing twice changes nothing.
func TestWriteDocs(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "benchmarks.md")
	if err := os.Mkdir(filepath.Join(dir, "bench"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := sample().Save(filepath.Join(dir, "bench", "1000.json")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(page, []byte("# before\n"+begin+"old\n"+end+"after\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for range 2 {
		if err := WriteDocs(page); err != nil {
			t.Fatal(err)
		}
		raw, _ := os.ReadFile(page)
		texts = append(texts, string(raw))
	}
	s := texts[0]
	if !strings.HasPrefix(s, "# before\n") || !strings.HasSuffix(s, "after\n") || strings.Contains(s, "old") || !strings.Contains(s, "| signpost | 18.0 (12.0 to 18.0) | 2.00 (1.50 to 2.00) |") {
		t.Errorf("the page:\n%s", s)
	}
	if texts[0] != texts[1] {
		t.Error("writing twice changes the page")
	}
	if _, err := os.Stat(filepath.Join(dir, "bench", "1000.svg")); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(page, []byte("nothing\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := WriteDocs(page); err == nil {
		t.Error("a page without the two lines is written")
	}
}
