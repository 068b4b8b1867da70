// Package remote answers one question: where is a control service, and may a secret be
// sent there? It opens no connection.
package remote

import (
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// Default is where a control service is looked for when nobody says where it is.
const Default = "http://127.0.0.1:8080"

// Address is the URL of a control service, read.
type Address struct {
	URL      string // without a slash at its end
	HostPort string
	Secure   bool // over TLS
	Loopback bool
}

// Parse reads a URL of a control service: a scheme, a host and perhaps a port.
func Parse(s string) (Address, error) {
	bad := func(why string) (Address, error) {
		return Address{}, errors.New("server " + s + ": " + why + "; give a URL such as https://dns.example.org or " + Default)
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return bad("it is no URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return bad("it starts with neither http:// nor https://")
	case u.User != nil:
		return Address{}, errors.New("server " + u.Redacted() + ": it holds a user; give a URL such as https://dns.example.org or " + Default)
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return bad("there is something after the host and port")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return Address{
		URL:      strings.TrimSuffix(s, "/"),
		HostPort: net.JoinHostPort(u.Hostname(), port),
		Secure:   u.Scheme == "https",
		Loopback: u.Hostname() == "localhost" || err == nil && ip.IsLoopback(),
	}, nil
}

// RefuseInTheClear says why a secret cannot go there; nil: it can.
func (a Address) RefuseInTheClear() error {
	if a.Secure || a.Loopback {
		return nil
	}
	return errors.New("a token is not sent to " + a.URL + " in the clear; use https://")
}

// Roots is the authorities of the system and those of a PEM file; "": none.
func Roots(file string) (*x509.CertPool, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a system without roots: the file may have all that is needed
	}
	if file == "" {
		return roots, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, errors.New("read certificates to trust: " + err.Error())
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("read certificates to trust: there is none in " + file)
	}
	return roots, nil
}

// Reason digs out of a gRPC transport's error the part that says why.
func Reason(message string) string {
	if _, desc, ok := strings.Cut(message, "desc = "); ok {
		message = desc
		if q, err := strconv.Unquote(desc); err == nil {
			message = q
		}
	}
	for _, noise := range []string{"transport: ", "Error while dialing: ", "authentication handshake failed: "} {
		message = strings.TrimPrefix(message, noise)
	}
	return message
}
