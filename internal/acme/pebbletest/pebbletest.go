// Package pebbletest starts Pebble, Let's Encrypt's small authority for tests, inside a
// test, on a free port, with a name server of the test's choice to look challenges up at.
package pebbletest

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// Where requests go, as prefixes of their paths, for Intercept and Count.
const (
	Directory  = wfe.DirectoryPath
	NewNonce   = "/nonce-plz"
	NewAccount = "/sign-me-up"
	NewOrder   = "/order-plz"
	Authz      = "/authZ/"
	Tell       = "/chalZ/" // that a challenge is there
	Finalize   = "/finalize-order/"
	Order      = "/my-order/"
	Chain      = "/certZ/"
	Renewal    = "/draft-ietf-acme-ari-03/renewalInfo/"
)

// Server is a running Pebble. One goroutine of it outlives it, which has no end:
// va.VAImpl.processTasks.
type Server struct {
	Directory string         // its URL
	Roots     *x509.CertPool // who vouches for that
	RootsPEM  []byte         // the same as a file
	Issuers   *x509.CertPool // who vouches for the certificates that it issues

	http  *httptest.Server
	store *db.MemoryStore
	ca    *ca.CAImpl
	front atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]

	mu    sync.Mutex
	asked []string
}

// Option is something that the authority does otherwise.
type Option func(*settings)

type settings struct {
	eab     map[string]string
	blocked []string
}

// WithEAB makes it want an external account binding with that key, base64url.
func WithEAB(keyID, hmac string) Option {
	return func(s *settings) { s.eab = map[string]string{keyID: hmac} }
}

// WithBlocked makes it refuse a domain and all names below it as identifiers.
func WithBlocked(domain string) Option {
	return func(s *settings) { s.blocked = append(s.blocked, domain) }
}

// environ guards the environment, from which Pebble takes what has no parameter.
var environ sync.Mutex

// Start starts one that looks challenges up at dnsAddr (HOST:PORT), over TCP, and ends it
// with the test. It validates without pauses, refuses no good nonce and takes a name that
// it has seen proven for proven for an hour.
func Start(tb testing.TB, dnsAddr string, options ...Option) *Server {
	tb.Helper()
	var set settings
	for _, o := range options {
		o(&set)
	}
	s := &Server{store: db.NewMemoryStore(), Roots: x509.NewCertPool(), Issuers: x509.NewCertPool()}
	words := &journal{}
	logger := log.New(words, "", log.Ltime|log.Lmicroseconds)
	for id, key := range set.eab {
		if err := s.store.AddExternalAccountKeyByID(id, key); err != nil {
			tb.Fatal(err)
		}
	}
	for _, d := range set.blocked {
		if err := s.store.AddBlockedDomain(d); err != nil {
			tb.Fatal(err)
		}
	}
	s.http = httptest.NewUnstartedServer(s.serve(s.pebble(logger, dnsAddr, len(set.eab) > 0)))
	s.http.Config.ErrorLog = logger
	s.http.StartTLS()
	s.Directory = s.http.URL + Directory
	s.Roots.AddCert(s.http.Certificate())
	s.RootsPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw})
	s.Issuers.AddCert(s.ca.GetRootCert(0).Cert)
	tb.Cleanup(func() {
		s.Close()
		if tb.Failed() {
			tb.Logf("Pebble at %s said last:\n%s", s.Directory, words.last())
		}
	})
	return s
}

func (s *Server) pebble(logger *log.Logger, dnsAddr string, needEAB bool) http.Handler {
	environ.Lock()
	defer environ.Unlock()
	for name, value := range map[string]string{"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "100"} {
		before, there := os.LookupEnv(name)
		_ = os.Setenv(name, value) // it fails for names with a NUL or "=" only
		defer func() {
			if there {
				_ = os.Setenv(name, before)
			} else {
				_ = os.Unsetenv(name)
			}
		}()
	}
	s.ca = ca.New(logger, s.store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "the default", ValidityPeriod: 90 * 24 * 60 * 60}})
	checks := va.New(logger, 0, 0, false, dnsAddr, s.store)
	front := wfe.New(logger, s.store, checks, s.ca, []string{"pebble.example.org"}, false, needEAB, 0, 0)
	return front.Handler()
}

// Close ends it: after that nothing listens at Directory.
func (s *Server) Close() { s.http.Close() }

// Intercept lets front look at a request before Pebble does, and answer it: it reports
// whether it has. If it reads the body, it must answer. Nil: Pebble answers all.
func (s *Server) Intercept(front func(http.ResponseWriter, *http.Request) bool) {
	if front == nil {
		s.front.Store(nil)
		return
	}
	s.front.Store(&front)
}

// Count is how many requests there were to a place.
func (s *Server) Count(prefix string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, path := range s.asked {
		if strings.HasPrefix(path, prefix) {
			n++
		}
	}
	return n
}

// Refuse answers with a problem document (RFC 8555 section 6.7), typ without its name space.
func Refuse(w http.ResponseWriter, status int, typ, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "urn:ietf:params:acme:error:" + typ, "detail": detail, "status": status})
}

func (s *Server) serve(pebble http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r.URL.Path)
		s.mu.Unlock()
		// Only who has read all of a request is told that its client has gone.
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			Refuse(w, http.StatusBadRequest, "malformed", err.Error())
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if front := s.front.Load(); front != nil && (*front)(w, r) {
			return
		}
		if strings.HasPrefix(r.URL.Path, Finalize) && s.finalizeCommonName(w, r.URL.Path, body) {
			return
		}
		pebble.ServeHTTP(w, r)
	})
}

// journal keeps the last of what Pebble logs.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

const mostJournal = 32 << 10 // octets

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if over := j.text.Len() + len(p) - mostJournal; over > 0 {
		j.text.Next(over)
	}
	return j.text.Write(p)
}

func (j *journal) last() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}
