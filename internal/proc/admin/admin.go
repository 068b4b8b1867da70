// Package admin answers one question: what do those who run a process see of it? Metrics,
// whether it is ready, and profiles, on an address that only they should reach.
package admin

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler serves /metrics, /readyz and /debug/pprof/. ready says why not, for logs; what
// those who ask are told is unready.
func Handler(metrics *prometheus.Registry, ready func(context.Context) error, unready string, log *slog.Logger) http.Handler {
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := ready(r.Context()); err != nil {
			log.Debug("not ready", "error", err)
			http.Error(w, unready, http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok\n")
	})
	for path, h := range map[string]http.HandlerFunc{
		"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
	} {
		mux.HandleFunc("/debug/pprof/"+path, onThisMachine(h))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
}

// onThisMachine keeps profiles, which show memory with the master key and the credentials
// of calls, to whoever is on this machine, wherever metrics are read from. A browser there,
// that was sent by a name which leads here, is not.
func onThisMachine(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		_, errHost := netip.ParseAddr(strings.Trim(host, "[]"))
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !peer.Addr().Unmap().IsLoopback() || errHost != nil && host != "localhost" {
			http.Error(w, "profiles are for this machine only: ask 127.0.0.1 there, as through ssh -L", http.StatusForbidden)
			return
		}
		next(w, r)
	}
}
