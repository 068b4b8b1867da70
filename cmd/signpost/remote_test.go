package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signpost/internal/proc/control"
	"signpost/internal/store/localetcd"
)

// away is a control service as production has it: over TLS, with a name server that
// never answers.
func away(t *testing.T) (url, ca, token string) {
	t.Helper()
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { check(t, silent.Close()) })
	dir := t.TempDir()
	cert, key := selfSigned(t, dir)
	token = filepath.Join(dir, "admin.token")
	s, err := control.Start(t.Context(), control.Config{
		EtcdEndpoints: []string{localetcd.New(t).Endpoint()}, EtcdPrefix: "/signpost",
		HTTPListen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", TLSCert: cert, TLSKey: key,
		NameServers: []string{silent.LocalAddr().String()}, LogLevel: "error",
		MasterKeyFile: filepath.Join(dir, "master.key"), AdminTokenFile: token,
	}, slog.New(slog.DiscardHandler))
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	return s.URL(), cert, token
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func selfSigned(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	tpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, k.Public(), k)
	check(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	check(t, err)
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	check(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	check(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600))
	return cert, key
}

// said runs the command and gives all that it says.
func said(t *testing.T, env map[string]string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e strings.Builder
	code = run(context.Background(), &cli{in: strings.NewReader(""), out: &o, errOut: &e, getenv: func(k string) string { return env[k] }}, args)
	return code, o.String(), e.String()
}

func TestOverTLS(t *testing.T) {
	url, ca, token := away(t)
	env := map[string]string{"SIGNPOST_SERVER": url, "SIGNPOST_TOKEN_FILE": token}

	t.Run("an unknown authority is refused, with advice", func(t *testing.T) {
		code, _, errOut := said(t, env, "whoami")
		if code != failed || !strings.Contains(errOut, "cannot reach "+url) || !strings.Contains(errOut, "--ca") {
			t.Errorf("%d %s", code, errOut)
		}
	})
	t.Run("--ca", func(t *testing.T) {
		if code, out, errOut := said(t, env, "whoami", "--ca", ca); code != done || !strings.Contains(out, "(admin)") {
			t.Errorf("%d %s %s", code, out, errOut)
		}
	})
	env["SIGNPOST_CA_FILE"] = ca
	t.Run("SIGNPOST_CA_FILE", func(t *testing.T) {
		if code, out, errOut := said(t, env, "whoami"); code != done || !strings.Contains(out, "(admin)") {
			t.Errorf("%d %s %s", code, out, errOut)
		}
	})
	t.Run("plain HTTP to a TLS port is refused, with advice", func(t *testing.T) {
		code, _, errOut := said(t, env, "whoami", "--server", strings.Replace(url, "https", "http", 1))
		if code != failed || !strings.Contains(errOut, "is it http:// or https://") {
			t.Errorf("%d %s", code, errOut)
		}
	})
	t.Run("--wait says who is behind, and what is done is done", func(t *testing.T) {
		if code, _, errOut := said(t, env, "zone", "create", "example.org", "--ns", "ns.example.net"); code != done {
			t.Fatal(errOut)
		}
		code, out, errOut := said(t, env, "host", "create", "www.example.org", "--ip", "192.0.2.1", "--wait=300ms")
		if code != failed || !strings.Contains(out, "secret  sph_") || !strings.Contains(out, "behind") ||
			!strings.Contains(errOut, "done in revision") || strings.Count(errOut, "\n") != 1 {
			t.Errorf("%d %s %s", code, out, errOut)
		}
		if code, out, _ := said(t, env, "host", "show", "www.example.org"); code != done || !strings.Contains(out, "192.0.2.1") {
			t.Errorf("%d %s", code, out)
		}
	})
}
