package main

import (
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/testscript"

	"signpost/internal/acme/pebbletest"
	"signpost/internal/proc/dev"
)

// authority is a certificate authority for the scripts that are about certificates; it
// looks challenges up at the first replica of the script that was started last.
type authority struct {
	*pebbletest.Server
	file    string // of who vouches for it
	replica atomic.Pointer[string]
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(t.TempDir(), "ca.pem")}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ask := &dns.Client{Net: "tcp"}
	srv := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetRcode(r, dns.RcodeServerFailure)
		if at := a.replica.Load(); at != nil {
			if in, _, err := ask.Exchange(r, *at); err == nil {
				m = in
			}
		}
		_ = w.WriteMsg(m)
	})}
	go srv.ActivateAndServe()
	t.Cleanup(func() { _ = srv.Shutdown() })
	a.Server = pebbletest.Start(t, l.Addr().String())
	if err := os.WriteFile(a.file, a.RootsPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// wantsAuthority reports whether a script is about certificates.
func wantsAuthority(env *testscript.Env) bool { return filepath.Base(env.WorkDir) == "script-cert" }

func (a *authority) options(o *dev.Options) { o.ACMEDirectory, o.ACMECA = a.Directory, a.file }
