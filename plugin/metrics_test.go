package signpost_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"signpost/internal/certs/certstest"
	signpost "signpost/plugin"
)

func TestMetrics(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	w.zone("example.net")
	page := httpAddr(t)
	s := start(t, block("endpoint "+w.etcd.Endpoint()+"\nsnapshot "+t.TempDir()+"/s", "prometheus "+page))
	has := func(name, labels, value string) {
		t.Helper()
		labels = strings.Trim(`server="dns://`+s.addr+`",`+labels, ",")
		var got string
		eventually(t, func() bool { got = series(t, page, name, labels); return got == value || value == "*" && got != "" }, func() string {
			return fmt.Sprintf("%s{%s} is %q, not %q", name, labels, got, value)
		})
	}
	s.says(t, "ns1.example.net", "A", "NOERROR 192.0.2.53")
	for range 3 {
		s.ask(t, "udp", "ns1.example.org", "A")
	}
	s.ask(t, "tcp", "x.example.org", "A")
	has("answers_total", `rcode="NOERROR",zone="example.org."`, "3")
	has("answers_total", `rcode="NXDOMAIN",zone="example.org."`, "1")
	has("names", "", "2")
	has("chosen_hosts", "", "0")
	has("fail_open_hosts", "", "0")
	has("bad_values", "", "0")
	has("guarded_zones", "", "0")
	has("ready", "", "1")
	has("revision", "", "*")
	has("view_age_seconds", "", "*")
	has("snapshot_age_seconds", "", "*")
	for _, what := range []string{"read", "watch", "compacted", "probe", "restored", "value", "differs", "schema", "snapshot"} {
		has("follow_errors_total", `what="`+what+`"`, "0")
	}

	// What a question names does not make series, and those of a zone go with it.
	for i := range 50 {
		s.ask(t, "udp", fmt.Sprintf("x%d.example.com", i), "A")
	}
	w.remove("example.org")
	has("answers_total", `rcode="NOERROR",zone="example.org."`, "")
	if _, body := get(t, "http://"+page+"/metrics"); strings.Contains(body, `zone="example.com`) {
		t.Error("there are series of zones that we do not have")
	}
}

// Of two certificates behind one series that one is shown which ends first, and a renewed
// one at once. Neither needs etcd to be there.
func TestTheEndOfTheCertificateIsShown(t *testing.T) {
	dir := t.TempDir()
	a := certstest.New(t, dir)
	a.Serial("long", "", 1, 3*time.Hour)
	a.Serial("short", "", 1, time.Hour)
	page := httpAddr(t)
	tls := func(name string) string {
		return fmt.Sprintf("endpoint https://127.0.0.1:9\ntls %s/%s.crt %[1]s/%[2]s.key %[1]s/ca.crt", dir, name)
	}
	s := start(t, block(tls("long"), "prometheus "+page)+strings.Replace(block(tls("short"), "prometheus "+page), ".:{port}", "example.org:{port}", 1))
	left := func() time.Duration {
		t.Helper()
		v, err := strconv.ParseFloat(series(t, page, "certificate_expiry_timestamp_seconds", `server="dns://`+s.addr+`"`), 64)
		if err != nil {
			t.Fatal(err)
		}
		return time.Until(time.Unix(int64(v), 0)).Round(time.Hour)
	}
	if d := left(); d != time.Hour {
		t.Errorf("%s are left, want an hour", d)
	}
	a.Serial("short", "", 2, 2*time.Hour)
	if d := left(); d != 2*time.Hour {
		t.Errorf("after it was renewed %s are left, want two hours", d)
	}
}

func TestTroublesAreCounted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(path, []byte("this is no snapshot"), 0o600); err != nil {
		t.Fatal(err)
	}
	page := httpAddr(t)
	s := start(t, block("endpoint "+nowhere+"\nsnapshot "+path, "prometheus "+page))
	if got := series(t, page, "follow_errors_total", `server="dns://`+s.addr+`",what="snapshot"`); got != "1" {
		t.Errorf("a snapshot that cannot be read is counted %q times", got)
	}
}

func TestAReplicaWithoutAStateSaysSoInMetrics(t *testing.T) {
	page := httpAddr(t)
	s := start(t, block("endpoint "+nowhere, "prometheus "+page))
	s.ask(t, "udp", "www.example.org", "A")
	server := `server="dns://` + s.addr + `"`
	if got := series(t, page, "ready", server); got != "0" {
		t.Errorf("ready is %q", got)
	}
	if got := series(t, page, "answers_total", `rcode="SERVFAIL",`+server+`,zone="."`); got != "1" {
		t.Errorf("SERVFAIL was counted %q times", got)
	}
	if got := series(t, page, "revision", server); got != "" {
		t.Errorf("there is a revision: %s", got)
	}
}

// Server blocks on one address have one series of each kind.
func TestBlocksOnOneAddressShareSeries(t *testing.T) {
	page := httpAddr(t)
	one := block("endpoint "+nowhere, "prometheus "+page)
	s := start(t, one+strings.Replace(strings.Replace(one, ".:{port}", "example.org:{port}", 1), nowhere, "http://127.0.0.1:10", 1))
	if got := series(t, page, "ready", `server="dns://`+s.addr+`"`); got != "0" {
		t.Errorf("ready is %q", got)
	}
}

// series is the value of one series, "" when there is none.
func series(t *testing.T, page, name, labels string) string {
	t.Helper()
	code, body := get(t, "http://"+page+"/metrics")
	if code != 200 {
		t.Fatalf("metrics: %d %s", code, body)
	}
	want := map[string]bool{}
	for _, l := range strings.Split(labels, ",") {
		want[l] = true
	}
lines:
	for line := range strings.Lines(body) {
		rest, ok := strings.CutPrefix(line, "coredns_signpost_"+name+"{")
		if !ok {
			continue
		}
		got, value, _ := strings.Cut(strings.TrimSpace(rest), "} ")
		have := strings.Split(strings.Replace(got, `cluster="",`, "", 1), ",") // an empty label is none
		for _, l := range have {
			if !want[l] {
				continue lines
			}
		}
		if len(have) == len(want) {
			return value
		}
	}
	return ""
}

type discard struct{ dns.ResponseWriter }

func (discard) WriteMsg(*dns.Msg) error { return nil }

func BenchmarkServeDNS(b *testing.B) {
	h := signpost.Over(largeView(b, 10_000))
	m := new(dns.Msg)
	m.SetQuestion("h77.example.org.", dns.TypeA)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if code, err := h.ServeDNS(ctx, discard{}, m); code != 0 || err != nil {
			b.Fatal(code, err)
		}
	}
}
