package health_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"signpost/internal/health"
	"signpost/internal/health/probe"
	"signpost/internal/health/reach"
	"signpost/internal/health/rounds"
	"signpost/internal/model"
)

// TestAServerThatFailsIsDownAndComesBack through all rooms, over real sockets.
func TestAServerThatFailsIsDownAndComesBack(t *testing.T) {
	var ill atomic.Bool
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ill.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})}
	defer server.Close()
	go func() { _ = server.Serve(l) }()
	at := netip.MustParseAddrPort(l.Addr().String())
	check := model.Check{Kind: model.CheckHTTP, Port: at.Port()}
	p, err := probe.Make(check, probe.Target{Name: "www.example.org.", Addr: at.Addr(), Rules: reach.Rules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	if err != nil {
		t.Fatal(err)
	}
	judge := health.NewJudge[string]()
	judge.Put("north", health.Target{Site: "north", Check: check})
	told := make(chan health.Change[string], 100)
	begin := time.Now()
	r := &rounds.Rounds[string]{Report: func(id string, a model.Attempt) {
		for _, change := range judge.See(id, a, time.Since(begin)) {
			told <- change
		}
	}}
	r.Set([]rounds.Target[string]{{ID: "north", Key: p.Key(), Every: 10 * time.Millisecond, Try: p.Try}}, nil)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); r.Run(ctx) }()
	defer func() { stop(); <-ended }()
	wants := func(verdicts ...string) {
		t.Helper()
		for _, want := range verdicts {
			select {
			case got := <-told:
				if is := fmt.Sprintf("%v, %v", got.Verdict, got.Reason); is != want {
					t.Fatalf("told %q, wanted %q", is, want)
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("nothing was told, wanted %q", want)
			}
		}
	}
	wants("up, as expected")
	ill.Store(true)
	wants("suspect, HTTP status not as expected", "down, HTTP status not as expected")
	ill.Store(false)
	wants("up, as expected")
	server.Close()
	wants("suspect, connection refused", "down, connection refused")
}
