package auditlog

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"signpost/internal/model"
)

// lines is what a file holds, one object a line.
func lines(t *testing.T, path string) (out []map[string]any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n") {
		var m map[string]any
		if err := json.Unmarshal([]byte(l), &m); err != nil {
			t.Fatalf("%q: %v", l, err)
		}
		out = append(out, m)
	}
	return out
}

// running is a file that is written until stop has returned.
func running(t *testing.T, path string, log *slog.Logger) (f *File, stop func()) {
	t.Helper()
	f, err := Open(path, log, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { f.Run(ctx) })
	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	return f, stop
}

// count is how many lines have had a fate.
func (f *File) count(fate string) (n int) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(f.lines)
	families, err := reg.Gather()
	if err != nil {
		panic(err)
	}
	for _, m := range families[0].GetMetric() {
		if m.GetLabel()[0].GetValue() == fate {
			n = int(m.GetCounter().GetValue())
		}
	}
	return n
}

// until waits for so many lines of a fate.
func (f *File) until(t *testing.T, fate string, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); f.count(fate) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d %s, want %d", f.count(fate), fate, n)
		}
	}
}

func TestARecordIsOneLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit")
	if err := os.WriteFile(path, []byte("{\"torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, stop := running(t, path, nil)
	at := time.Date(2026, 11, 23, 8, 0, 0, 5e6, time.UTC)
	f.Add(Record{Time: at, Outcome: Changed, Request: "r", Principal: "egi/a b", Issuer: "egi", Subject: "a b", Source: "192.0.2.1",
		Agent: strings.Repeat("x", 1000), Action: "record.set", Zone: "example.org", Name: "a.example.org", Detail: "TXT", Before: "\"a\nb\"", After: "\xff", Revision: 7})
	f.Add(Record{Time: at, Outcome: AdminTokenUsed, Admin: true, Token: "id"})
	stop()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := "{\"torn\n" + `{"time":"2026-11-23T08:00:00.005Z","outcome":"changed","request":"r","principal":"egi/a b","issuer":"egi","subject":"a b","source":"192.0.2.1","agent":"` +
		strings.Repeat("x", 256) + `","action":"record.set","zone":"example.org","name":"a.example.org","detail":"TXT","before":"\"a\nb\"","after":"\ufffd","revision":7}` + "\n" +
		`{"time":"2026-11-23T08:00:00.005Z","outcome":"admin token used","token":"id","admin_token":true}` + "\n"
	if string(raw) != want {
		t.Errorf("got\n%s\nwant\n%s", raw, want)
	}
	(*File)(nil).Add(Record{}) // where there is no file
}

func TestAFileThatIsMovedAwayIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit")
	f, stop := running(t, path, nil)
	add := func(name string) {
		t.Helper()
		n := f.count(written)
		f.Add(Record{Outcome: Changed, Name: name})
		f.until(t, written, n+1)
	}
	add("first")
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; want mode 0600", st, err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	add("second") // nobody has said so
	if err := os.Rename(path, path+".2"); err != nil {
		t.Fatal(err)
	}
	f.Reopen()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) { // without any line
		if _, err := os.Stat(path); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	add("third")
	if err := os.Truncate(path, 0); err != nil { // logrotate's copytruncate
		t.Fatal(err)
	}
	add("fourth")
	stop()
	for file, want := range map[string]string{path + ".1": "first", path + ".2": "second", path: "fourth"} {
		if got := lines(t, file); len(got) != 1 || got[0]["name"] != want {
			t.Errorf("%s: %v, want %s", file, got, want)
		}
	}
}

func TestWhatCannotBeWrittenIsCountedAndToldOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sub")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "audit")
	var log bytes.Buffer
	f, stop := running(t, path, slog.New(slog.NewTextHandler(&log, nil)))
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		f.Add(Record{Outcome: Changed})
		f.until(t, failed, i+1)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	f.Add(Record{Outcome: Changed, Name: "x"})
	f.until(t, written, 1)
	stop()
	got := lines(t, path)
	if len(got) != 2 || got[0]["outcome"] != "lost" || got[0]["lines"] != 3.0 || got[1]["name"] != "x" {
		t.Errorf("%v", got)
	}
	if text := log.String(); strings.Count(text, "cannot be written") != 1 || strings.Count(text, "is written again") != 1 {
		t.Errorf("told: %s", text)
	}
}

// A disk that hangs costs memory up to a bound, and no call any time; what can be refused
// at will does not push changes out; and the file says what is missing.
func TestADiskThatHangsHoldsNobodyUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit")
	f, err := Open(path, nil, nil) // nobody writes yet
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * mostWaiting {
		f.Add(Record{Outcome: WrongCredential})
	}
	if n := f.count(dropped); n != 2*mostWaiting-mostWaiting/2 {
		t.Errorf("%d refusals were dropped", n)
	}
	for range mostWaiting / 4 {
		f.Add(Record{Outcome: Changed})
	}
	before := f.count(dropped)
	if before != 2*mostWaiting-mostWaiting/2 {
		t.Errorf("%d changes were dropped while there was room", before)
	}
	big := strings.Repeat("x", 1<<20)
	for range 20 {
		f.Add(Record{Outcome: Changed, After: big})
	}
	if n := f.count(dropped) - before; n < 5 || f.waiting.Load() > mostOctets {
		t.Errorf("%d large ones were dropped, %d octets wait", n, f.waiting.Load())
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f.Run(ctx)
	got := lines(t, path)
	if got[0]["outcome"] != "lost" || got[0]["lines"] != float64(f.count(dropped)) || len(got) != 1+f.count(written) || f.waiting.Load() != 0 {
		t.Errorf("%v; %d lines, %d written, %d octets wait", got[0], len(got), f.count(written), f.waiting.Load())
	}
}

func TestWhatIsNoFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "none", "audit")} {
		if _, err := Open(path, nil, nil); model.KindOf(err) != model.Precondition || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestLinesGoToStandardOutput(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	real := os.Stdout
	os.Stdout = w
	f, stop := running(t, Stdout, nil)
	os.Stdout = real
	f.Add(Record{Outcome: Changed, Name: "x"})
	f.Reopen() // there is nothing to open anew
	f.until(t, written, 1)
	stop()
	if _, err := w.WriteString("still open\n"); err != nil {
		t.Error(err)
	}
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil || !strings.Contains(string(text), `"outcome":"changed","name":"x"}`+"\nstill open\n") {
		t.Errorf("%q, %v", text, err)
	}
}
