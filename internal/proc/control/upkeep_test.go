package control

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/store"
	"signpost/internal/store/localetcd"
	"signpost/internal/store/rights"
)

func TestUpkeepWarnsWhenNothingIsCompacted(t *testing.T) {
	at := time.Unix(1e9, 0)
	var log bytes.Buffer
	u := newUpkeep(prometheus.NewRegistry(), slog.New(slog.NewTextHandler(&log, nil)), at)
	for _, c := range []struct {
		what  string
		after time.Duration
		h     store.History
		warns bool
	}{
		{"at the start", 0, store.History{Revision: 100}, false},
		{"an hour without", time.Hour, store.History{Revision: 200}, false},
		{"two hours without", time.Hour, store.History{Revision: 300}, true},
		{"said already", time.Minute, store.History{Revision: 300}, false},
		{"said an hour ago", time.Hour, store.History{Revision: 300}, true},
		{"compacted", time.Minute, store.History{Revision: 400, Compacted: 300}, false},
		{"not since", 119 * time.Minute, store.History{Revision: 500, Compacted: 300}, false},
		{"two hours since", time.Minute, store.History{Revision: 500, Compacted: 300}, true},
		{"all is compacted", time.Minute, store.History{Revision: 500, Compacted: 500}, false},
		{"and nothing is new", 9 * time.Hour, store.History{Revision: 500, Compacted: 500}, false},
		{"new and not compacted yet", time.Minute, store.History{Revision: 501, Compacted: 500}, false},
	} {
		at = at.Add(c.after)
		log.Reset()
		u.history(c.h, at)
		if warned := strings.Contains(log.String(), "not compacted for long"); warned != c.warns {
			t.Errorf("%s: warned %t: %s", c.what, warned, log.String())
		}
	}
}

func TestUpkeepWarnsWhenADatabaseIsNearlyFull(t *testing.T) {
	at := time.Unix(1e9, 0)
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	u := newUpkeep(reg, slog.New(slog.NewTextHandler(&log, nil)), at)
	for _, c := range []struct {
		what  string
		after time.Duration
		st    store.Status
		warns bool
	}{
		{"no quota known", 0, store.Status{Bytes: 1 << 40}, false},
		{"under", 0, store.Status{Bytes: 799, QuotaBytes: 1000}, false},
		{"at 80 %", 0, store.Status{Bytes: 800, QuotaBytes: 1000}, true},
		{"said already", 59 * time.Minute, store.Status{Bytes: 900, QuotaBytes: 1000}, false},
		{"said an hour ago", time.Minute, store.Status{Bytes: 900, QuotaBytes: 1000}, true},
	} {
		at = at.Add(c.after)
		log.Reset()
		u.members(map[string]store.Status{"http://a": {Bytes: 1, QuotaBytes: 1000}, "http://b": c.st}, at)
		if warned := strings.Contains(log.String(), "nearly full"); warned != c.warns {
			t.Errorf("%s: warned %t: %s", c.what, warned, log.String())
		}
	}
	if got := values(t, reg, "signpost_etcd_database_bytes"); len(got) != 2 {
		t.Error("there is not one size for each member")
	}
	u.members(map[string]store.Status{"http://a": {Bytes: 1}}, at)
	if got := values(t, reg, "signpost_etcd_database_bytes"); len(got) != 1 {
		t.Error("a member that says nothing keeps its size")
	}
}

func TestUpkeepSeesARealEtcdCompact(t *testing.T) {
	etcd := localetcd.New(t)
	st, err := store.Open(store.Config{Endpoints: []string{etcd.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	reg := prometheus.NewRegistry()
	start := time.Now().Add(-3 * time.Hour)
	u := newUpkeep(reg, slog.New(slog.DiscardHandler), start)
	age := func() float64 { return values(t, reg, "signpost_etcd_compaction_age_seconds")[0] }
	look := func() {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		by, err := st.Members(ctx)
		if err != nil {
			t.Fatal(err)
		}
		u.members(by, time.Now())
		h, err := st.History(ctx)
		if err != nil {
			t.Fatal(err)
		}
		u.history(h, time.Now())
	}
	for range 3 {
		if _, err := client.Put(t.Context(), "k", "v"); err != nil {
			t.Fatal(err)
		}
	}
	look()
	if a := age(); a < 3600 {
		t.Errorf("age %f before any compaction", a)
	}
	if _, err := client.Compact(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	look()
	if a := age(); a > 60 {
		t.Errorf("age %f after a compaction", a)
	}
	size, inUse := values(t, reg, "signpost_etcd_database_bytes")[0], values(t, reg, "signpost_etcd_database_in_use_bytes")[0]
	if quota := values(t, reg, "signpost_etcd_database_quota_bytes")[0]; inUse <= 0 || inUse > size || quota != 8<<30 {
		t.Errorf("size %f, in use %f, quota %f", size, inUse, quota)
	}
}

// values is what a gauge has under each of its labels.
func values(t *testing.T, reg *prometheus.Registry, name string) (out []float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				out = append(out, m.GetGauge().GetValue())
			}
		}
	}
	return out
}

// A user that etcd does not know is refused even a look, and that is told once.
func TestUpkeepTellsOnceThatEtcdRefuses(t *testing.T) {
	etcd := localetcd.New(t)
	where := store.Config{Endpoints: []string{etcd.Endpoint()}}
	password := func(string) (string, error) { return "x", nil }
	if err := rights.Apply(t.Context(), where, rights.Options{Prefix: "/signpost"}, rights.How{Password: password, EnableAuth: true, Out: io.Discard}); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(where)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var log bytes.Buffer
	u := newUpkeep(prometheus.NewRegistry(), slog.New(slog.NewTextHandler(&log, nil)), time.Now())
	for range 3 {
		by, err := st.Members(t.Context())
		if len(by) > 0 || !store.Refused(err) {
			t.Fatalf("%v, %v", by, err)
		}
		u.unanswered(err)
	}
	u.unanswered(context.DeadlineExceeded)
	if n := strings.Count(log.String(), "etcd does not let us look"); n != 1 || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("told: %s", &log)
	}
}
