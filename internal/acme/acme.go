// Package acme answers one question: what does a certificate authority say to this order?
// It speaks ACME (RFC 8555), proves names by DNS-01 only, through a Solver that its caller
// brings, and keeps nothing: accounts, chains and counts are the caller's.
package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	acmez "github.com/mholt/acmez/v3/acme"

	"signpost/internal/model"
	"signpost/internal/version"
)

// Bounds of what is done with an authority.
const (
	orderTime   = 5 * time.Minute        // all of an order
	requestTime = 30 * time.Second       // one request and its answer
	renewalTime = 10 * time.Second       // asking when to renew
	cleanUpTime = 30 * time.Second       // taking the challenges away, also after a cancelled order
	pollTime    = 250 * time.Millisecond // between two looks, where the authority names no time
)

// Config says which authority is asked, and as whom.
type Config struct {
	Directory string           // the URL of the directory; https, or http on this machine
	Roots     *x509.CertPool   // who may vouch for the directory; nil: the system's
	EAB       *EAB             // of authorities that want one to register; nil: none
	Contact   []string         // "mailto:" URLs for the account; may be empty
	Now       func() time.Time // nil: time.Now
}

// EAB binds an account to one that the authority knows by other means (RFC 8555 section
// 7.3.4).
type EAB struct {
	KeyID string
	HMAC  string // base64url, as authorities hand it out, padded or not
}

// Validate says what is wrong with c, all at once, as errors of kind Invalid.
func (c Config) Validate() error {
	var problems []error
	bad := func(field, why, hint string) {
		problems = append(problems, model.E(model.Invalid, "configure certificate authority", "").In(field).Because(why).Hint(hint))
	}
	u, err := url.Parse(c.Directory)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		bad("directory", "it is no URL of a directory", "give one such as https://acme-v02.api.letsencrypt.org/directory")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		bad("directory", "it is not https", "only a directory on this machine may do without")
	}
	if c.EAB != nil {
		if c.EAB.KeyID == "" {
			bad("eab", "the key identifier is empty", "the authority shows it beside the key")
		}
		if key, err := c.EAB.key(); err != nil || len(key) == 0 {
			bad("eab", "the HMAC key is not base64url", "give it as the authority shows it")
		}
	}
	for _, to := range c.Contact {
		if rest, ok := strings.CutPrefix(to, "mailto:"); !ok || !strings.Contains(rest, "@") {
			bad("contact", "\""+to+"\" is no mailto: URL", "give one such as mailto:dns-admins@example.org")
		}
	}
	return errors.Join(problems...)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// String keeps the HMAC key out of logs.
func (e EAB) String() string { return e.KeyID }

func (e EAB) key() ([]byte, error) {
	plain := strings.TrimRight(strings.TrimSpace(e.HMAC), "=")
	return base64.RawURLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_").Replace(plain))
}

// Account is who we are to the authority.
type Account struct {
	Key crypto.Signer // ECDSA P-256
	URL string        // by which the authority knows the key
}

// String keeps the key out of logs.
func (a Account) String() string { return a.URL }

// Authority is a certificate authority that can be asked. It is safe for concurrent use.
type Authority struct {
	cfg       Config
	wires     *http.Transport
	orderTime time.Duration // all of an order, as long as the caller lets it take
	pollTime  time.Duration // between two looks, where the authority names no time
}

// New makes an authority of a valid configuration. It asks nothing yet.
func New(cfg Config) *Authority {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Authority{cfg: cfg, orderTime: orderTime, pollTime: pollTime, wires: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		TLSClientConfig:       &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:     true,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: requestTime,
		IdleConnTimeout:       10 * time.Second,
		MaxIdleConnsPerHost:   2,
	}}
}

// Close ends idle connections.
func (a *Authority) Close() { a.wires.CloseIdleConnections() }

// session is one conversation: what the authority last said of its limits belongs to it.
type session struct {
	client *acmez.Client
	wire   *wire
	now    func() time.Time
}

// session makes a new client, and with it a new look at the directory's cache, so that
// none outlives what the authority says of itself by more than the library's 12 hours.
func (a *Authority) session() *session {
	w := &wire{next: a.wires, now: a.cfg.Now, least: a.pollTime, plain: strings.HasPrefix(a.cfg.Directory, "http:")}
	return &session{wire: w, now: a.cfg.Now, client: &acmez.Client{
		Directory: a.cfg.Directory,
		HTTPClient: &http.Client{Transport: w, Timeout: requestTime,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		UserAgent:    "signpost/" + version.Version,
		PollInterval: a.pollTime,
		PollTimeout:  a.orderTime,
	}}
}

// Register makes key's account, or finds the one that it has (RFC 8555 section 7.3), and
// agrees to the authority's terms. key is ECDSA P-256, else the error is of kind Invalid;
// other errors are a *Failure or the context's.
func (a *Authority) Register(ctx context.Context, key crypto.Signer) (Account, error) {
	const op = "register with certificate authority"
	if pub, ok := publicOf(key).(*ecdsa.PublicKey); !ok || pub.Curve != elliptic.P256() {
		return Account{}, model.E(model.Invalid, op, "").Because("the account's key is not ECDSA P-256")
	}
	s := a.session()
	account := acmez.Account{PrivateKey: key, Contact: a.cfg.Contact, TermsOfServiceAgreed: true}
	if eab := a.cfg.EAB; eab != nil {
		mac, err := eab.key()
		if err != nil {
			return Account{}, model.E(model.Invalid, op, "").In("eab").Because("the HMAC key is not base64url")
		}
		bound := acmez.EAB{KeyID: eab.KeyID, MACKey: base64.RawURLEncoding.EncodeToString(mac)}
		if err := account.SetExternalAccountBinding(ctx, s.client, bound); err != nil {
			return Account{}, s.failed(ctx, op, err)
		}
	}
	account, err := s.client.NewAccount(ctx, account)
	if err != nil {
		return Account{}, s.failed(ctx, op, err)
	}
	if account.Status != "" && account.Status != acmez.StatusValid {
		return Account{}, &Failure{Why: Refused, Op: op, Detail: "the account is " + printable(account.Status)}
	}
	return Account{Key: key, URL: account.Location}, nil
}

func publicOf(key crypto.Signer) crypto.PublicKey {
	if key == nil {
		return nil
	}
	return key.Public()
}

func (a Account) acmez() acmez.Account { return acmez.Account{PrivateKey: a.Key, Location: a.URL} }
