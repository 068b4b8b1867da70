package model

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/miekg/dns"
)

// Defaults of a check.
const (
	DefaultInterval = 5 * time.Second
	DefaultTimeout  = 2 * time.Second
	DefaultFall     = 3
	DefaultRise     = 3
)

// Bounds of a check.
const (
	LeastInterval = time.Second
	MostInterval  = 5 * time.Minute
	LeastTimeout  = 100 * time.Millisecond
	MostTimeout   = 10 * time.Second
	MostInRow     = 10 // of fall and of rise
	maxPath       = 1024
	maxText       = 255 // of the text to find in a body and of a gRPC service
	maxCheckSites = 32
	maxSite       = 63
	maxStatuses   = 16
)

// Check is how it is found out whether an endpoint is up. What is zero stands for its
// default. A field that its kind of check does not use is zero.
type Check struct {
	Kind CheckKind
	// Port is that of TCP, of UDP for a DNS check; 0: 80 for http, 443 for https, 53 for
	// dns. A tcp and a grpc check have one, a heartbeat has none.
	Port uint16
	// Path is of http and https, with its query; "": "/".
	Path string
	// Host is the Host header of http and https, the authority of grpc; "": the name that
	// the endpoint is of.
	Host string
	// Statuses are those that are fine with http and https; none: 200 to 299.
	Statuses []Statuses
	// Text must be in the first 4 KiB of the body of http and https; "": whatever it is.
	Text string
	// TLS is whether grpc speaks over TLS. Https always does.
	TLS bool
	// AnyCertificate is whether certificates that are expired, for another name or of an
	// unknown authority will do.
	AnyCertificate bool
	// ServerName is the name that TLS asks for and the certificate must be for; "": Host's.
	ServerName string
	// Service is what a grpc check asks about; "": the whole server.
	Service string
	// Query and QueryType are the question of a DNS check; "" and 0: the SOA of the name
	// that the endpoint is of. Rcode is the response code that is fine; 0: NOERROR.
	Query     Name
	QueryType uint16
	Rcode     int

	Interval time.Duration // between the begins of two attempts; 1 s to 5 min, 0: 5 s
	Timeout  time.Duration // 100 ms to 10 s and less than the interval; 0: 2 s, or half of an interval of 2 s or less
	Fall     int           // so many failures in a row are down; 1 to 10, 0: 3
	Rise     int           // so many successes in a row are up again; 1 to 10, 0: 3
	// Sites are those whose checkers judge; none: all.
	Sites []string
	// Owner stands for whose host it is, without saying who: the checkers bound how many
	// new addresses one owner has them try. "": they are bounded for the host alone.
	Owner       string
	ModRevision int64 // 0 for one that is not stored
}

// WithDefaults is the check with what stands for a default replaced by it, but for what
// depends on the name that the endpoint is of.
func (c Check) WithDefaults() Check {
	if c.Port == 0 {
		c.Port = map[CheckKind]uint16{CheckHTTP: 80, CheckHTTPS: 443, CheckDNS: 53}[c.Kind]
	}
	if c.web() && c.Path == "" {
		c.Path = "/"
	}
	if c.web() && len(c.Statuses) == 0 {
		c.Statuses = []Statuses{{200, 299}}
	}
	if c.Kind == CheckDNS && c.QueryType == 0 {
		c.QueryType = dns.TypeSOA
	}
	if c.Interval == 0 {
		c.Interval = DefaultInterval
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
		if c.Interval <= DefaultTimeout {
			c.Timeout = c.Interval / 2
		}
	}
	if c.Fall == 0 {
		c.Fall = DefaultFall
	}
	if c.Rise == 0 {
		c.Rise = DefaultRise
	}
	return c
}

func (c *Check) web() bool { return c.Kind == CheckHTTP || c.Kind == CheckHTTPS }

// Check says whether a check can be kept. Errors are of kind Invalid and name the field.
func (c *Check) Check() error {
	if c.Kind < 0 || c.Kind >= checkKinds {
		return badCheck("kind", strconv.Itoa(int(c.Kind)), "there is no such kind", "say "+strings.Join(checkKindNames[:], ", "))
	}
	for _, err := range []error{c.checkUnused(), c.checkTimes(), c.checkWeb(), c.checkNames(), c.checkSites()} {
		if err != nil {
			return err
		}
	}
	if c.Port == 0 && (c.Kind == CheckTCP || c.Kind == CheckGRPC) {
		return badCheck("port", "", "a "+c.Kind.String()+" check needs one", "give the port that the service listens on")
	}
	if c.Kind == CheckDNS && dns.RcodeToString[c.Rcode] == "" {
		return badCheck("rcode", strconv.Itoa(c.Rcode), "there is no such response code", "write 0 for NOERROR, 3 for NXDOMAIN, 5 for REFUSED")
	}
	return nil
}

func badCheck(field, subject, why, hint string) error {
	return E(Invalid, "set check", subject).In(field).Because(why).Hint(hint)
}

// checkUnused refuses what the kind of check does not use: whoever set it expects
// something of it.
func (c *Check) checkUnused() error {
	tls := c.Kind == CheckHTTPS || c.Kind == CheckGRPC && c.TLS
	for _, f := range []struct {
		field     string
		set, used bool
	}{
		{"port", c.Port != 0, c.Kind != CheckHeartbeat},
		{"path", c.Path != "", c.web()},
		{"host", c.Host != "", c.web() || c.Kind == CheckGRPC},
		{"expect", len(c.Statuses) > 0, c.web()},
		{"text", c.Text != "", c.web()},
		{"tls", c.TLS, c.Kind == CheckGRPC},
		{"any_certificate", c.AnyCertificate, tls},
		{"server_name", c.ServerName != "", tls},
		{"service", c.Service != "", c.Kind == CheckGRPC},
		{"query", c.Query != "", c.Kind == CheckDNS},
		{"query_type", c.QueryType != 0, c.Kind == CheckDNS},
		{"rcode", c.Rcode != 0, c.Kind == CheckDNS},
	} {
		if f.set && !f.used {
			return badCheck(f.field, "", "a "+c.Kind.String()+" check has none", "leave it out or take another kind")
		}
	}
	return nil
}

func (c *Check) checkTimes() error {
	d := c.WithDefaults()
	switch {
	case d.Interval < LeastInterval || d.Interval > MostInterval:
		return badCheck("interval", d.Interval.String(), "it is not between 1s and 5m", "5s is the default")
	case d.Timeout < LeastTimeout || d.Timeout > MostTimeout:
		return badCheck("timeout", d.Timeout.String(), "it is not between 100ms and 10s", "2s is the default")
	case d.Timeout >= d.Interval:
		return badCheck("timeout", d.Timeout.String(), "it is not less than the interval, "+d.Interval.String(), "give a shorter timeout or a longer interval")
	}
	for field, n := range map[string]int{"fall": d.Fall, "rise": d.Rise} {
		if n < 1 || n > MostInRow {
			return badCheck(field, strconv.Itoa(n), "it is not between 1 and 10", "3 is the default")
		}
	}
	return nil
}

func (c *Check) checkWeb() error {
	if c.Path != "" && (c.Path[0] != '/' || len(c.Path) > maxPath || !visible(c.Path) || strings.Contains(c.Path, "#")) {
		return badCheck("path", "", "it does not start with /, is over 1024 octets, or has blanks, # or other than ASCII signs", "write /healthz, with others percent-encoded")
	}
	if _, err := url.ParseRequestURI(c.Path); c.Path != "" && err != nil {
		return badCheck("path", c.Path, "a % in it stands before no two hexadecimal digits", "write %25 for it")
	}
	if len(c.Statuses) > maxStatuses {
		return badCheck("expect", "", "there are more than 16 ranges", "join them")
	}
	for _, s := range c.Statuses {
		if s.From < 200 || s.To > 599 || s.From > s.To {
			return badCheck("expect", fmt.Sprintf("%d-%d", s.From, s.To), "statuses are from 200 to 599, the lower first", "write 200-299")
		}
	}
	if len(c.Text) > maxText || !utf8.ValidString(c.Text) {
		return badCheck("text", "", "it is over 255 octets or not UTF-8", "take a part of it")
	}
	return nil
}

func (c *Check) checkNames() error {
	if host, port, hasPort := strings.Cut(c.Host, ":"); c.Host != "" {
		if n, err := strconv.ParseUint(port, 10, 16); hasPort && (err != nil || n == 0) || !hostName(host) {
			return badCheck("host", c.Host, "it is no host name", "write www.example.org or www.example.org:8080")
		}
	}
	if c.ServerName != "" && !hostName(c.ServerName) {
		return badCheck("server_name", c.ServerName, "it is no host name", "write www.example.org")
	}
	if len(c.Service) > maxText || !visible(c.Service) {
		return badCheck("service", "", "it is over 255 octets or has blanks or other than ASCII signs", "write package.Service")
	}
	return nil
}

func (c *Check) checkSites() error {
	if len(c.Sites) > maxCheckSites {
		return badCheck("from", "", "there are more than 32 sites", "leave them out to have all sites judge")
	}
	for i, s := range c.Sites {
		if s == "" || len(s) > maxSite || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return badCheck("from", s, "it is no name of a site", "write 1 to 63 lower-case letters, digits and hyphens")
		}
		if slices.Contains(c.Sites[:i], s) {
			return badCheck("from", s, "it is there twice", "leave one out")
		}
	}
	return nil
}

// hostName reports whether s is one as it is written in a Host header: LDH labels and
// underscores, no final dot.
func hostName(s string) bool {
	n, err := ParseName(s)
	return err == nil && n != Root && s[len(s)-1] != '.' && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

// visible reports whether s is printable ASCII without blanks.
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
