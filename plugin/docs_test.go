package signpost_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Every Corefile of the repository starts and answers from an etcd: with free ports,
// files of the test's, and that etcd for the endpoints, but else as it is written.
func TestEveryCorefileInTheDocumentsWorks(t *testing.T) {
	w := newWorld(t)
	w.zone("dyn.example.org")
	for where, corefile := range corefiles(t) {
		t.Run(where, func(t *testing.T) {
			s := start(t, w.fit(t, corefile))
			s.says(t, "ns1.dyn.example.org", "A", "NOERROR 192.0.2.53")
		})
	}
}

// corefiles is Corefile.example and the fenced blocks of the language "corefile"
// in every document.
func corefiles(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	fence := regexp.MustCompile("(?ms)^(?:~~~|```) ?corefile\n(.*?)^(?:~~~|```)")
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != ".." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin" || d.Name() == "third_party"):
			return fs.SkipDir
		case d.Name() != "Corefile.example" && filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if d.Name() == "Corefile.example" {
			found[d.Name()] = string(text)
		}
		for i, m := range fence.FindAllStringSubmatch(string(text), -1) {
			found[strings.TrimPrefix(path, "../")+" "+strconv.Itoa(i+1)] = m[1]
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 4 {
		t.Fatalf("there are fewer Corefiles than expected: %d", len(found))
	}
	return found
}

// fit makes a Corefile of a document one that can run here.
func (w *world) fit(t *testing.T, corefile string) string {
	t.Helper()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	httpPorts := regexp.MustCompile(`127\.0\.0\.1:\d+`)
	depth := 0
	var out []string
	for line := range strings.Lines(corefile) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case depth == 0:
			line = regexp.MustCompile(`:\d+`).ReplaceAllString(line, ":{port}") + "bind 127.0.0.1\n"
		case words[0] == "bind":
			line = ""
		case words[0] == "endpoint" && strings.HasPrefix(words[1], "https://"):
			line = "endpoint https://" + w.tlsFront(t, dir) + "\n"
		case words[0] == "endpoint":
			line = "endpoint " + w.etcd.Endpoint() + "\n"
		case words[0] == "signpost" && !strings.Contains(corefile, "endpoint "):
			line += "endpoint " + w.etcd.Endpoint() + "\n"
		case words[0] == "tls" && len(words) == 4:
			line = "tls " + dir + "/client.crt " + dir + "/client.key " + dir + "/ca.crt\n"
		case words[0] == "credentials":
			line = "credentials " + words[1] + " " + file("password", "secret\n") + "\n"
		case words[0] == "snapshot":
			line = "snapshot " + filepath.Join(dir, filepath.Base(words[1])) + "\n"
		case words[0] == "file":
			line = "file " + file("zone", "@ 60 IN SOA ns. hostmaster. 1 7200 900 1209600 30\n@ 60 IN NS ns.\n") + "\n"
		default:
			line = httpPorts.ReplaceAllStringFunc(line, func(string) string { return httpAddr(t) })
		}
		depth += strings.Count(line, "{") - strings.Count(line, "}")
		out = append(out, line)
	}
	return strings.Join(out, "")
}

// certificate makes one for 127.0.0.1 that is its own authority and both sides',
// and puts ca.crt, client.crt and client.key into dir.
func certificate(t *testing.T, dir string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
	for name, text := range map[string][]byte{"ca.crt": certPEM, "client.crt": certPEM, "client.key": keyPEM} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return pair, pool
}

// tlsFront is an address where etcd speaks TLS and asks for a certificate, those
// that it puts into dir.
func (w *world) tlsFront(t *testing.T, dir string) string {
	t.Helper()
	pair, pool := certificate(t, dir)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, NextProtos: []string{"h2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			front, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { w.pipe(front) })
		}
	})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		running.Wait()
	})
	return l.Addr().String()
}

// pipe joins a connection to etcd until either side closes.
func (w *world) pipe(front net.Conn) {
	defer front.Close()
	back, err := net.Dial("tcp", w.etcd.Addr())
	if err != nil {
		return
	}
	defer back.Close()
	var running sync.WaitGroup
	for _, way := range [][2]net.Conn{{front, back}, {back, front}} {
		running.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // how it ended does not matter
			way[0].Close()
			way[1].Close()
		})
	}
	running.Wait()
}

// The manual page has the sections that CoreDNS's have.
func TestREADMEHasTheSectionsOfAManualPage(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	rest := string(text)
	for _, section := range []string{"# signpost\n", "## Name\n", "## Description\n", "## Syntax\n", "## Metrics\n", "## Ready\n", "## Examples\n", "## See Also\n", "## Bugs\n"} {
		_, after, ok := strings.Cut(rest, "\n"+section)
		if !ok && !strings.HasPrefix(rest, section) {
			t.Fatalf("there is no %q, or it is not in its place", section)
		}
		if ok {
			rest = "\n" + after
		}
	}
}
