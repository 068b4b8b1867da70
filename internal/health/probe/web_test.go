package probe

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"signpost/internal/model"
)

func TestHTTP(t *testing.T) {
	moved := false
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "all is well") })
	mux.HandleFunc("/busy", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/target", http.StatusFound) })
	mux.HandleFunc("/target", func(w http.ResponseWriter, r *http.Request) { moved = true })
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		fmt.Fprint(w, "after hints")
	})
	mux.HandleFunc("/long", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, strings.Repeat("x", mostBody-4), "edge", "beyond")
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "first ")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/asked", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.Host, r.URL.RawQuery, r.Header.Get("User-Agent"))
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	port := portOf(s.Listener.Addr())
	for _, c := range []struct {
		name  string
		check model.Check
		want  model.Reason
	}{
		{"200", model.Check{Path: "/ok"}, model.Fine},
		{"404", model.Check{Path: "/none"}, model.UnexpectedStatus},
		{"404 expected", model.Check{Path: "/none", Statuses: []model.Statuses{{From: 404, To: 404}}}, model.Fine},
		{"200 when only 404 will do", model.Check{Path: "/ok", Statuses: []model.Statuses{{From: 404, To: 404}}}, model.UnexpectedStatus},
		{"429 in the second range", model.Check{Path: "/busy", Statuses: []model.Statuses{{From: 200, To: 204}, {From: 400, To: 499}}}, model.Fine},
		{"a redirect is not followed", model.Check{Path: "/moved"}, model.UnexpectedStatus},
		{"a redirect that is expected", model.Check{Path: "/moved", Statuses: []model.Statuses{{From: 302, To: 302}}}, model.Fine},
		{"hints come first", model.Check{Path: "/hints", Text: "after"}, model.Fine},
		{"text", model.Check{Path: "/ok", Text: "is well"}, model.Fine},
		{"no such text", model.Check{Path: "/ok", Text: "is not well"}, model.TextMissing},
		{"text that ends at 4 KiB", model.Check{Path: "/long", Text: "edge"}, model.Fine},
		{"text that ends beyond", model.Check{Path: "/long", Text: "edgeb"}, model.TextMissing},
		{"text before the rest is there", model.Check{Path: "/slow", Text: "first"}, model.Fine},
		{"the rest of the text never comes", model.Check{Path: "/slow", Text: "second", Timeout: 200 * time.Millisecond}, model.NoAnswer},
		{"no text wanted, the rest never comes", model.Check{Path: "/slow"}, model.Fine},
		{"what is asked", model.Check{Path: "/asked?a=b", Text: "GET www.example.org a=b signpost-health/1"}, model.Fine},
		{"another host", model.Check{Path: "/asked", Host: "other.example.org:81", Text: "GET other.example.org:81 "}, model.Fine},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
			c.check.Kind, c.check.Port = model.CheckHTTP, port
			got := try(t, c.check, Target{})
			wants(t, c.name, got, c.want)
			if got.Reason == model.Fine && got.Took > patient/2 {
				t.Errorf("%s: it waited %v for what does not matter", c.name, got.Took)
			}
		})
	}
	if moved {
		t.Error("a redirect was followed")
	}
}

func TestAnswersThatAreNoHTTP(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		want         model.Reason
	}{
		{"another protocol", "SSH-2.0-OpenSSH_9.2\r\n\r\n", model.NotTheProtocol},
		{"nothing", "", model.Broken},
		{"half a header", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", model.Broken},
		{"a header without end", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", mostHeader), model.NotTheProtocol},
		{"informational without end", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 10), model.NotTheProtocol},
		{"another protocol is switched to", "HTTP/1.1 101 Switching Protocols\r\n\r\n", model.UnexpectedStatus},
		{"the body breaks off", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", model.Broken},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nwhole", model.Fine},
	} {
		t.Run(c.name, func(t *testing.T) {
			port := listen(t, func(conn net.Conn) {
				_, _ = conn.Read(make([]byte, 1024))
				fmt.Fprint(conn, c.answer)
			})
			wants(t, c.name, try(t, model.Check{Kind: model.CheckHTTP, Port: port, Text: "whole"}, Target{}), c.want)
		})
	}
	silent := listen(t, until)
	for _, kind := range []model.CheckKind{model.CheckHTTP, model.CheckHTTPS, model.CheckGRPC} {
		wants(t, "silence, "+kind.String(), try(t, model.Check{Kind: kind, Port: silent, Timeout: 100 * time.Millisecond}, Target{}), model.NoAnswer)
	}
}

// authority makes certificates for servers, and the pool that trusts it.
func authority(t *testing.T) (issue func(name string, from, to time.Time) tls.Certificate, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: now.Add(-48 * time.Hour), NotAfter: now.Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if ca, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(ca)
	return func(name string, from, to time.Time) tls.Certificate {
		leaf := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotBefore: from, NotAfter: to, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	}, roots
}

func TestHTTPS(t *testing.T) {
	issue, roots := authority(t)
	now := time.Now()
	valid := issue("www.example.org", now.Add(-time.Hour), now.Add(time.Hour))
	for _, c := range []struct {
		name   string
		cert   tls.Certificate
		check  model.Check
		roots  *x509.CertPool
		any    model.Reason // when any certificate will do
		strict model.Reason
	}{
		{"valid", valid, model.Check{}, roots, model.Fine, model.Fine},
		{"expired", issue("www.example.org", now.Add(-2*time.Hour), now.Add(-time.Hour)), model.Check{}, roots, model.Fine, model.CertificateTime},
		{"not valid yet", issue("www.example.org", now.Add(time.Hour), now.Add(2*time.Hour)), model.Check{}, roots, model.Fine, model.CertificateTime},
		{"for another name", issue("www.example.net", now.Add(-time.Hour), now.Add(time.Hour)), model.Check{}, roots, model.Fine, model.CertificateName},
		{"for the name that is asked for", issue("www.example.net", now.Add(-time.Hour), now.Add(time.Hour)), model.Check{ServerName: "www.example.net"}, roots, model.Fine, model.Fine},
		{"for the name in the Host header", issue("www.example.net", now.Add(-time.Hour), now.Add(time.Hour)), model.Check{Host: "www.example.net:443"}, roots, model.Fine, model.Fine},
		{"of an unknown authority", valid, model.Check{}, x509.NewCertPool(), model.Fine, model.CertificateTrust},
		{"the status counts in any case", valid, model.Check{Statuses: []model.Statuses{{From: 404, To: 404}}}, roots, model.UnexpectedStatus, model.UnexpectedStatus},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
			s.Config.ErrorLog = quiet
			s.TLS = &tls.Config{Certificates: []tls.Certificate{c.cert}}
			s.StartTLS()
			defer s.Close()
			c.check.Kind, c.check.Port = model.CheckHTTPS, portOf(s.Listener.Addr())
			wants(t, "strict", try(t, c.check, Target{Roots: c.roots}), c.strict)
			c.check.AnyCertificate = true
			wants(t, "any", try(t, c.check, Target{Roots: c.roots}), c.any)
		})
	}
}

func TestHandshakesThatFail(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	wants(t, "plain HTTP", try(t, model.Check{Kind: model.CheckHTTPS, Port: portOf(plain.Listener.Addr())}, Target{}), model.NotTheProtocol)
	closes := listen(t, func(net.Conn) {})
	wants(t, "closed at once", try(t, model.Check{Kind: model.CheckHTTPS, Port: closes}, Target{}), model.Broken)

	issue, roots := authority(t)
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = quiet
	s.TLS = &tls.Config{Certificates: []tls.Certificate{issue("www.example.org", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))}, MaxVersion: tls.VersionTLS11}
	s.StartTLS()
	defer s.Close()
	wants(t, "TLS 1.1", try(t, model.Check{Kind: model.CheckHTTPS, Port: portOf(s.Listener.Addr())}, Target{Roots: roots}), model.HandshakeFailed)
}
