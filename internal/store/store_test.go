package store

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"signpost/internal/certs/certstest"
	"signpost/internal/model"
)

func TestOpenNeedsNoEtcd(t *testing.T) {
	for _, c := range []Config{{}, {Endpoints: []string{"https://192.0.2.1:2379"}, User: "u", Password: "p", TLS: &TLS{}}} {
		s, err := Open(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	for field, c := range map[string]Config{
		"endpoints":   {Endpoints: []string{"192.0.2.1:2379"}},
		"tls":         {Endpoints: []string{"http://192.0.2.1:2379"}, TLS: &TLS{}},
		"prefix":      {Prefix: "signpost"},
		"credentials": {User: "u"},
	} {
		_, err := Open(c)
		var e *model.Error
		if !errors.As(err, &e) || e.Kind != model.Invalid || e.Field != field {
			t.Errorf("%+v: %v, want field %s at fault", c, err, field)
		}
	}
	for _, e := range []string{"", "ftp://h:1", "http://", "http://h:1/path", "http://u:p@h:1", "http://h:1?x"} {
		if _, err := Open(Config{Endpoints: []string{e}}); model.KindOf(err) != model.Invalid || err == nil {
			t.Errorf("endpoint %q: %v", e, err)
		}
	}
	if _, err := Open(Config{Endpoints: []string{"http://a:1", "https://b:1"}}); err == nil {
		t.Error("http and https together were taken")
	}
}

func TestTLSFilesAreChecked(t *testing.T) {
	no := filepath.Join(t.TempDir(), "none.pem")
	junk := filepath.Join(t.TempDir(), "junk.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][3]string{{no, no, ""}, {junk, junk, ""}, {junk, "", ""}, {"", junk, ""}, {"", "", no}, {"", "", junk}} {
		if _, err := TLSFromFiles(c[0], c[1], c[2], nil); err == nil || model.KindOf(err) != model.Invalid {
			t.Errorf("%q: %v", c, err)
		}
	}
	if t12, err := TLSFromFiles("", "", "", nil); err != nil || t12.Config.MinVersion < tls.VersionTLS12 {
		t.Errorf("%+v, %v", t12, err)
	}
}

func TestClientCertificateIsRenewedInPlace(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	a := certstest.New(t, dir)
	a.Server("server")
	server, err := tls.LoadX509KeyPair(file("server.crt"), file("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	a.Client("client", "replica")
	read, err := TLSFromFiles(file("client.crt"), file("client.key"), file("ca.crt"), nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := read.Config
	cfg.ServerName = "localhost"
	for serial := range int64(2) {
		a.Serial("client", "replica", serial+2, time.Hour)
		near, far := net.Pipe()
		s := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAnyClientCert})
		done := make(chan error, 1)
		go func() { done <- s.Handshake() }()
		c := tls.Client(near, cfg)
		go c.Read(make([]byte, 1)) // takes what the server still says
		if err := errors.Join(c.Handshake(), <-done); err != nil {
			t.Fatal(err)
		}
		if got := s.ConnectionState().PeerCertificates[0].SerialNumber.Int64(); got != serial+2 {
			t.Errorf("the server saw certificate %d, want %d", got, serial+2)
		}
		near.Close()
	}
}
