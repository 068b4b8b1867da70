package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"signpost/internal/health/reach"
	"signpost/internal/model"
)

// Defaults and bounds of a hook.
const (
	defaultTimeout = 5 * time.Second
	mostTimeout    = 30 * time.Second
	defaultGiveUp  = time.Hour
	mostGiveUp     = 24 * time.Hour
	mostHooks      = 16
)

// Config is how one hook is configured. The names in the configuration file are the koanf
// tags. It comes from there only: whoever may set it can have this machine post wherever
// it reaches.
type Config struct {
	Name    string   `koanf:"name"`     // for logs and metrics; control services with one of the same name share the work
	URL     string   `koanf:"url"`      // https; http only to addresses in allow
	KeyFile string   `koanf:"key-file"` // what is sent is signed with the keys in it
	CAFile  string   `koanf:"ca-file"`  // PEM of the authorities to trust; empty: the system's
	Zones   []string `koanf:"zones"`    // whose hosts it is told of; none: of all
	Allow   []string `koanf:"allow"`    // prefixes where it may be although they are private, loopback or such

	Timeout     time.Duration `koanf:"timeout"`       // of an attempt; default 5s, at most 30s
	GiveUpAfter time.Duration `koanf:"give-up-after"` // how long a message is tried again; default 1h, at most 24h
}

func (c Config) withDefaults() Config {
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.GiveUpAfter == 0 {
		c.GiveUpAfter = defaultGiveUp
	}
	return c
}

func bad(setting, why string) error {
	return model.E(model.Invalid, "read setting", "webhooks."+setting).Because(why)
}

// Check says all that is wrong with the configuration. Errors are of kind Invalid and
// name the setting by its path; none shows a URL.
func Check(hooks []Config) error {
	var problems []error
	names := map[string]bool{}
	if len(hooks) > mostHooks {
		problems = append(problems, model.E(model.Invalid, "read setting", "webhooks").Because(fmt.Sprintf("there are more than %d", mostHooks)))
	}
	for n, c := range hooks {
		say := func(setting, why string) {
			problems = append(problems, model.E(model.Invalid, "read setting", fmt.Sprintf("webhooks[%d].%s", n, setting)).Because(why))
		}
		if err := model.CheckSite("name", c.Name); err != nil { // names of sites have the form that is wanted
			say("name", "it is not 1 to 63 lower-case letters, digits and hyphens")
		} else if names[c.Name] {
			say("name", c.Name+" is the name of another hook, too")
		}
		names[c.Name] = true
		c.withDefaults().check(say)
	}
	return errors.Join(problems...)
}

func (c Config) check(say func(setting, why string)) {
	if why := badURL(c.URL); why != "" {
		say("url", why)
	}
	if c.KeyFile == "" {
		say("key-file", "there is none; make one with: echo whsec_$(openssl rand -base64 32)")
	}
	if _, err := c.zones(); err != nil {
		say("zones", err.Error())
	}
	if _, err := c.allowed(); err != nil {
		say("allow", err.Error())
	} else if strings.HasPrefix(c.URL, "http:") && len(c.Allow) == 0 {
		say("url", "plain HTTP goes to addresses in allow only, and there are none")
	}
	if c.Timeout < 100*time.Millisecond || c.Timeout > mostTimeout {
		say("timeout", "it is not between 100ms and "+mostTimeout.String())
	}
	if c.GiveUpAfter < time.Second || c.GiveUpAfter > mostGiveUp {
		say("give-up-after", "it is not between 1s and "+mostGiveUp.String())
	}
}

// badURL is why a URL is none to post to; "": it is one.
func badURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return "it is not https://HOST/PATH" // err would show it
	case u.User != nil:
		return "there is a user or password in it; receivers know us by the signature"
	case u.Fragment != "":
		return "there is a # in it"
	}
	return ""
}

func (c Config) zones() (out []model.Name, err error) {
	for _, text := range c.Zones {
		z, err := model.ParseName(text)
		if err != nil {
			return nil, fmt.Errorf("%q is no name of a zone", text)
		}
		out = append(out, z)
	}
	return out, nil
}

func (c Config) allowed() (out []netip.Prefix, err error) {
	for _, text := range c.Allow {
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Masked() != p {
			return nil, fmt.Errorf("%q is no prefix such as 10.0.0.0/8", text)
		}
		out = append(out, p)
	}
	return out, nil
}

var errNotAllowed = errors.New("its address is private, special or of this machine, and not in allow")

// client speaks to the receiver and nobody else: no proxy from the environment, no
// redirects, and each address that its name resolves to is looked at before anything is
// sent there.
func (c Config) client() (*http.Client, error) {
	allow, err := c.allowed()
	if err != nil {
		return nil, bad(c.Name+".allow", err.Error())
	}
	var roots *x509.CertPool
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if roots = x509.NewCertPool(); err != nil || !roots.AppendCertsFromPEM(pem) {
			return nil, bad(c.Name+".ca-file", "it cannot be read, or has no certificate in it")
		}
	}
	rules := reach.Rules{Allow: allow}
	plain := strings.HasPrefix(c.URL, "http:")
	guard := func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return errNotAllowed
		}
		listed := slices.ContainsFunc(allow, func(p netip.Prefix) bool { return p.Contains(to.Addr().Unmap()) })
		if _, may := rules.May(to.Addr()); !may || plain && !listed {
			return errNotAllowed
		}
		return nil
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: c.Timeout, ControlContext: guard}).DialContext,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			MaxIdleConnsPerHost: atOnce, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 16 << 10, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
