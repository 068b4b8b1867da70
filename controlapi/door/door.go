// Package door answers one question: what holds for every connection and every answer,
// whatever is asked? How long a peer may take, how many connections it may have, and the
// headers that keep browsers from doing more with an answer than they should.
package door

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"signpost/controlapi/clientaddr"
)

// Limits bound what a peer can hold. Zero in any: no limit.
type Limits struct {
	Header     time.Duration // until a request's header is there
	Body       time.Duration // until its body is there, or one piece of a long one
	Idle       time.Duration // a connection without a request
	Stalled    time.Duration // one write of an answer that the peer does not take
	PerAddress int           // connections of one IPv4 address or IPv6 /64; listed proxies may have any number
	Bodies     int           // octets that calls of such an address, or of such a client of a listed proxy, keep of their bodies, all together
}

// Default is how it is in production.
func Default() Limits {
	return Limits{Header: 5 * time.Second, Body: 30 * time.Second, Idle: 120 * time.Second, Stalled: 30 * time.Second, PerAddress: 256, Bodies: 64 << 20}
}

const (
	maxHeader = 64 << 10 // octets of a request's header
	// What one HTTP/2 connection may hold. gRPC clients share one among many calls.
	maxStreams   = 250
	maxFrame     = 1 << 20
	alive        = 30 * time.Second // without a frame, until the peer is asked whether it is there
	aliveAnswer  = 15 * time.Second // until it has to answer
	sayAgain     = time.Minute      // between lines of the log about the same
	strictFor    = "max-age=31536000"
	refusedName  = "signpost_http_connections_refused_total"
	cutName      = "signpost_http_bodies_refused_total"
	openName     = "signpost_http_connections"
	headersName  = "signpost_forwarded_headers_ignored_total"
	frameOptions = "frame-ancestors 'none'"
)

// Door is the limits of one process, with what they count.
type Door struct {
	limits        Limits
	proxies       clientaddr.Proxies
	log           *slog.Logger
	peers         peers
	bodies        bodies
	open          prometheus.Gauge
	refused       prometheus.Counter
	ignored       prometheus.Counter
	cut           prometheus.Counter
	sayRefused    rate.Sometimes
	sayIgnoredFor rate.Sometimes
	sayCut        rate.Sometimes
}

// New makes a Door.
func New(l Limits, proxies clientaddr.Proxies, log *slog.Logger, reg prometheus.Registerer) *Door {
	d := &Door{
		limits: l, proxies: proxies, log: log, peers: peers{open: map[peer]int{}}, bodies: bodies{kept: map[peer]int{}},
		open:          prometheus.NewGauge(prometheus.GaugeOpts{Name: openName, Help: "Connections that are open."}),
		refused:       prometheus.NewCounter(prometheus.CounterOpts{Name: refusedName, Help: "Connections that were closed at once: their address had too many."}),
		ignored:       prometheus.NewCounter(prometheus.CounterOpts{Name: headersName, Help: "Requests with X-Forwarded-For or Forwarded from a peer that is no listed proxy."}),
		cut:           prometheus.NewCounter(prometheus.CounterOpts{Name: cutName, Help: "Requests that were refused or cut: their address had sent too much of bodies at a time."}),
		sayCut:        rate.Sometimes{Interval: sayAgain},
		sayRefused:    rate.Sometimes{Interval: sayAgain},
		sayIgnoredFor: rate.Sometimes{Interval: sayAgain},
	}
	reg.MustRegister(d.open, d.refused, d.ignored, d.cut)
	return d
}

// Server is an http.Server for a listener of Listen's.
func (d *Door) Server(h http.Handler) *http.Server {
	return &http.Server{
		Handler: d.handler(h), Protocols: Protocols(), MaxHeaderBytes: maxHeader,
		ReadHeaderTimeout: d.limits.Header, ReadTimeout: d.limits.Body, IdleTimeout: d.limits.Idle,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReadFrameSize: maxFrame, SendPingTimeout: alive, PingTimeout: aliveAnswer, WriteByteTimeout: d.limits.Stalled,
		},
		ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
	}
}

// Protocols is what an http.Server must speak for gRPC, with TLS and without.
func Protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

// handler gives every answer its headers. A handler may set others in their place.
func (d *Door) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", frameOptions)
		if r.TLS != nil {
			h.Set("Strict-Transport-Security", strictFor)
		}
		if d.proxies.Ignores(r.RemoteAddr, r.Header) {
			d.ignored.Inc()
			d.sayIgnoredFor.Do(func() {
				d.log.Warn("X-Forwarded-For and Forwarded of a peer that is not in trusted-proxies are ignored; list it if it is your proxy", "peer", r.RemoteAddr)
			})
		}
		if r.Body == http.NoBody && r.ProtoMajor == 1 {
			// Nothing more is to come, so an answer may take as long as it takes: the limit for
			// the body would end it. HTTP/2 has a limit for each body of its own.
			_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		}
		if len(r.TransferEncoding) > 0 {
			// Go takes a length that is there as well as not said (RFC 9112 section 6.3), and the
			// rest for another request. A proxy may think otherwise, so there is no other one.
			h.Set("Connection", "close")
		}
		end, ok := d.bound(r)
		if !ok {
			h.Set("Retry-After", "5")
			http.Error(w, ErrBodies.Error(), http.StatusTooManyRequests)
			return
		}
		defer end()
		if r.ProtoMajor == 2 && d.limits.Stalled > 0 {
			g, end := guard(w, d.limits.Stalled)
			defer end()
			w = g
		}
		next.ServeHTTP(w, r)
	})
}
