package control

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/url"

	"signpost/controlapi/door"
	"signpost/controlapi/plain"
	"signpost/internal/certs"
	"signpost/internal/model"
)

// front is where a control service listens.
type front struct {
	door     *door.Door
	public   net.Listener
	admin    net.Listener
	redirect net.Listener // nil: plain HTTP is not sent on
	to       *url.URL     // where redirect sends everybody
	cert     *certs.Pair  // nil: public is plain HTTP
}

// listen opens all addresses or none.
func (c Config) listen(d *door.Door, log *slog.Logger) (_ *front, err error) {
	f := &front{door: d}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if c.TLSCert != "" {
		if f.cert, err = certs.Open(c.TLSCert, c.TLSKey, log); err != nil {
			return nil, err
		}
	}
	if c.HTTPRedirect != "" {
		if f.to, err = plain.ParseURL(c.PublicURL); err != nil {
			return nil, err
		}
	}
	for _, l := range []struct {
		addr string
		to   *net.Listener
	}{{c.HTTPListen, &f.public}, {c.AdminListen, &f.admin}, {c.HTTPRedirect, &f.redirect}} {
		if l.addr == "" {
			continue
		}
		if *l.to, err = net.Listen("tcp", l.addr); err != nil {
			return nil, model.E(model.Precondition, "listen on", l.addr).From(err)
		}
	}
	f.public = d.Listen(f.public)
	if f.redirect != nil {
		f.redirect = d.Listen(f.redirect)
	}
	if f.cert != nil {
		f.public = tls.NewListener(f.public, &tls.Config{
			MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.cert.Get(), nil },
		})
	}
	return f, nil
}

func (f *front) close() {
	for _, l := range []net.Listener{f.public, f.admin, f.redirect} {
		if l != nil {
			l.Close()
		}
	}
}

func (f *front) url() string {
	if f.cert != nil {
		return "https://" + f.public.Addr().String()
	}
	return "http://" + f.public.Addr().String()
}

func (f *front) redirectAddr() string {
	if f.redirect == nil {
		return ""
	}
	return f.redirect.Addr().String()
}

func (c Config) checkFront() []error {
	var problems []error
	bad := func(what, why, hint string) {
		problems = append(problems, model.E(model.Invalid, "read setting", what).Because(why).Hint(hint))
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		bad("tls-cert", "it goes together with tls-key", "")
	}
	if c.TLSCert == "" && !c.UnsafePlainHTTP && !onLoopback(c.HTTPListen) {
		bad("http-listen", c.HTTPListen+" is not on loopback, and without TLS all credentials can be read on the way",
			"give tls-cert and tls-key; or listen on 127.0.0.1 behind a proxy that ends TLS; or, if nobody else can be on that network, say unsafe-plain-http")
	}
	var u *url.URL
	if c.PublicURL != "" {
		var err error
		if u, err = plain.ParseURL(c.PublicURL); err != nil {
			problems = append(problems, err)
		}
	}
	if c.HTTPRedirect != "" && (u == nil || u.Scheme != "https") {
		bad("http-redirect-listen", "there is no https URL to send anybody to", "give public-url, such as https://dns.example.org")
	}
	if c.PerAddress < 0 {
		bad("connections-per-address", "it is less than 0", "")
	}
	return problems
}

// tellNoURL warns where URLs in answers are not right: behind a proxy, and with a certificate,
// clients use a name, which nothing here knows but public-url. It is no error: who has no
// client that reads them needs none.
func (c Config) tellNoURL(log *slog.Logger) {
	if c.PublicURL == "" && (len(c.TrustedProxies) > 0 || c.TLSCert != "" || c.UnsafePlainHTTP) {
		log.Warn("public-url is not set: URLs in the answers of /nic/register and /api/ have the address at which requests arrive here; say where clients find the service, such as https://dns.example.org")
	}
}

func onLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return true // told elsewhere
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
