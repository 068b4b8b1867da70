package store

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"signpost/internal/model"
)

func TestOpenNeedsNoEtcd(t *testing.T) {
	for _, c := range []Config{{}, {Endpoints: []string{"https://192.0.2.1:2379"}, User: "u", Password: "p", TLS: &tls.Config{}}} {
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
		"tls":         {Endpoints: []string{"http://192.0.2.1:2379"}, TLS: &tls.Config{}},
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
		if _, err := TLSFromFiles(c[0], c[1], c[2]); err == nil || model.KindOf(err) != model.Invalid {
			t.Errorf("%q: %v", c, err)
		}
	}
	if cfg, err := TLSFromFiles("", "", ""); err != nil || cfg.MinVersion < tls.VersionTLS12 {
		t.Errorf("%+v, %v", cfg, err)
	}
}

// selfSigned writes a certificate and its key; the certificate is its own authority.
func selfSigned(t *testing.T, cert, key string, serial int64) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "replica"}, IsCA: true, BasicConstraintsValid: true,
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"etcd.example.org"}}
	der, err1 := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	keyDER, err2 := x509.MarshalPKCS8PrivateKey(k)
	err3 := os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	err4 := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
}

func TestClientCertificateIsRenewedInPlace(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	selfSigned(t, file("ca"), file("ca.key"), 1)
	server, err := tls.LoadX509KeyPair(file("ca"), file("ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	selfSigned(t, file("cert"), file("key"), 2)
	cfg, err := TLSFromFiles(file("cert"), file("key"), file("ca"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.ServerName = "etcd.example.org"
	for serial := range int64(2) {
		selfSigned(t, file("cert"), file("key"), serial+2)
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
