package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"

	"signpost/internal/proc/dev"
)

// at runs a command against a service in this process.
func at(ctx context.Context, d *dev.Dev, out, errOut io.Writer, args ...string) int {
	return run(ctx, &cli{in: strings.NewReader(""), out: out, errOut: errOut, getenv: func(name string) string {
		return map[string]string{"SIGNPOST_SERVER": d.Addresses.HTTP, "SIGNPOST_TOKEN_FILE": d.Addresses.AdminTokenFile}[name]
	}}, args)
}

func TestFollowingTheAuditGoesOnAfterARestart(t *testing.T) {
	o := dev.Options{DNSListen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0", Zone: "fedcloud.test", Replicas: 1, DataDir: t.TempDir()}
	begin := func() *dev.Dev {
		t.Helper()
		d, err := dev.Start(t.Context(), o, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := begin()
	do := func(args ...string) {
		t.Helper()
		var out bytes.Buffer
		if code := at(t.Context(), d, &out, &out, args...); code != done {
			t.Fatal(out.String())
		}
	}
	do("host", "create", "www.fedcloud.test", "--ip", "192.0.2.1")
	do("host", "set-address", "www.fedcloud.test", "192.0.2.2")

	follow := func(args ...string) (next func() string, stop func() int) {
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		code := make(chan int, 1)
		go func() {
			code <- at(ctx, d, w, io.Discard, append([]string{"audit", "--follow", "--host", "www.fedcloud.test"}, args...)...)
			w.Close()
		}()
		lines := bufio.NewScanner(r)
		next = func() string {
			if !lines.Scan() {
				t.Fatalf("following ended: %d", <-code)
			}
			return lines.Text()
		}
		return next, func() int {
			cancel()
			go io.Copy(io.Discard, r)
			return <-code
		}
	}
	text, stopText := follow("-n", "1")
	raw, stopRaw := follow("-o", "json")
	updates, stopUpdates := follow("-o", "json", "--action", "host.update", "--since", "1h")
	want := func(what string) {
		t.Helper()
		if got := text(); !strings.Contains(got, what) {
			t.Errorf("%q, want %q", got, what)
		}
		line := raw()
		var rec struct{ Before, After string }
		if err := json.Unmarshal([]byte(line), &rec); err != nil || rec.Before+" -> "+rec.After != what {
			t.Errorf("%s: %v, want %q", line, err, what)
		}
	}
	if title := text(); !strings.HasPrefix(title, "TIME ") {
		t.Errorf("%q", title)
	}
	if first := raw(); !strings.Contains(first, `"action":"host.create"`) {
		t.Errorf("%q", first)
	}
	want("192.0.2.1 -> 192.0.2.2")
	do("host", "set-address", "www.fedcloud.test", "192.0.2.3")
	want("192.0.2.2 -> 192.0.2.3")

	o.DNSListen, o.HTTPListen = d.Addresses.DNS[0], strings.TrimPrefix(d.Addresses.HTTP, "http://")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = begin()
	do("host", "set-address", "www.fedcloud.test", "192.0.2.4")
	want("192.0.2.3 -> 192.0.2.4")
	do("host", "set", "www.fedcloud.test", "--comment", "x")
	if line := updates(); !strings.Contains(line, `"action":"host.update"`) {
		t.Errorf("of host.update alone: %s", line)
	}
	if code := stopText() + stopRaw() + stopUpdates(); code != done {
		t.Errorf("interrupted: %d, want %d", code, done)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}
