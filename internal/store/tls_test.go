package store

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signpost/internal/certs/certstest"
	"signpost/internal/model"
	"signpost/internal/store/localetcd"
)

// overTLS is an etcd's endpoint over TLS; cut closes its connections.
func overTLS(t *testing.T, target string, certificate func() tls.Certificate) (endpoint string, cut func()) {
	t.Helper()
	p := newProxy(t, strings.TrimPrefix(target, "http://"))
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{NextProtos: []string{"h2"}, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		c := certificate()
		return &c, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				up, err := net.Dial("tcp", p.listener.Addr().String())
				if err != nil {
					return
				}
				defer up.Close()
				go func() { defer c.Close(); io.Copy(c, up) }()
				io.Copy(up, c)
			}()
		}
	}()
	return "https://" + l.Addr().String(), func() { p.set(false, true); p.set(false, false) }
}

// Whoever replaces the authority that etcd's certificates are from need not restart us.
func TestAuthoritiesAreRenewedInPlace(t *testing.T) {
	etcd := localetcd.New(t)
	dirs := []string{t.TempDir(), t.TempDir()}
	for _, d := range dirs {
		certstest.New(t, d).Server("etcd")
	}
	now := 0
	served := make(chan int, 1)
	served <- now
	endpoint, cut := overTLS(t, etcd.Endpoint(), func() tls.Certificate {
		n := <-served
		served <- n
		c, err := tls.LoadX509KeyPair(filepath.Join(dirs[n], "etcd.crt"), filepath.Join(dirs[n], "etcd.key"))
		if err != nil {
			t.Error(err)
		}
		return c
	})
	ca := filepath.Join(t.TempDir(), "ca.crt")
	believe := func(n int) {
		t.Helper()
		pem, err := os.ReadFile(filepath.Join(dirs[n], "ca.crt"))
		if err != nil {
			t.Fatal(err)
		}
		certstest.Replace(t, ca, pem)
	}
	believe(0)
	from, err := TLSFromFiles("", "", ca, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(Config{Endpoints: []string{endpoint}, TLS: from})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	known := func(want bool, what string) {
		t.Helper()
		for end := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			_, err := s.MasterKeyID(t.Context())
			if err != nil && model.KindOf(err) != model.Unavailable {
				t.Fatal(err)
			}
			if (err == nil) == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	known(true, "an etcd of the authority")
	<-served
	served <- 1
	cut()
	known(false, "an etcd of another authority")
	believe(1)
	known(true, "after the file was replaced")
	certstest.Replace(t, ca, []byte("junk"))
	cut()
	known(true, "after the file was broken")
	believe(0)
	cut()
	known(false, "an etcd of an authority that is believed no more")
}
