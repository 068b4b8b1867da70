package model

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestChecksThatCanBeKept(t *testing.T) {
	for name, c := range map[string]Check{
		"tcp":                {Kind: CheckTCP, Port: 22},
		"http, all defaults": {Kind: CheckHTTP},
		"https, all fields": {Kind: CheckHTTPS, Port: 8443, Path: "/healthz?deep=1", Host: "www.example.org:8443", Statuses: []Statuses{{200, 299}, {429, 429}},
			Text: "ok", AnyCertificate: true, ServerName: "www.example.org", Interval: 5 * time.Minute, Timeout: 10 * time.Second, Fall: 10, Rise: 10, Sites: []string{"north", "south-1"}},
		"grpc over TLS":              {Kind: CheckGRPC, Port: 443, TLS: true, ServerName: "api.example.org", Service: "example.v1.Store"},
		"dns":                        {Kind: CheckDNS, Query: "example.org.", QueryType: 1, Rcode: 3},
		"heartbeat":                  {Kind: CheckHeartbeat},
		"critical":                   {Kind: CheckTCP, Port: 1, Interval: time.Second, Timeout: 500 * time.Millisecond, Fall: 1, Rise: 1},
		"least time-out":             {Kind: CheckTCP, Port: 1, Timeout: 100 * time.Millisecond},
		"short interval, no timeout": {Kind: CheckTCP, Port: 1, Interval: time.Second},
	} {
		if err := c.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChecksThatCannotBeKept(t *testing.T) {
	tcp := Check{Kind: CheckTCP, Port: 22}
	with := func(c Check, set func(*Check)) Check { set(&c); return c }
	web := Check{Kind: CheckHTTP}
	for _, c := range []struct {
		name, field string
		check       Check
	}{
		{"no such kind", "kind", Check{Kind: checkKinds}},
		{"tcp without port", "port", Check{Kind: CheckTCP}},
		{"grpc without port", "port", Check{Kind: CheckGRPC}},
		{"heartbeat with port", "port", Check{Kind: CheckHeartbeat, Port: 1}},
		{"tcp with path", "path", with(tcp, func(c *Check) { c.Path = "/" })},
		{"tcp with host", "host", with(tcp, func(c *Check) { c.Host = "www.example.org" })},
		{"tcp with statuses", "expect", with(tcp, func(c *Check) { c.Statuses = []Statuses{{200, 200}} })},
		{"tcp with text", "text", with(tcp, func(c *Check) { c.Text = "ok" })},
		{"tcp with TLS", "tls", with(tcp, func(c *Check) { c.TLS = true })},
		{"http with certificate", "any_certificate", with(web, func(c *Check) { c.AnyCertificate = true })},
		{"http with server name", "server_name", with(web, func(c *Check) { c.ServerName = "www.example.org" })},
		{"plain grpc with server name", "server_name", Check{Kind: CheckGRPC, Port: 1, ServerName: "www.example.org"}},
		{"http with service", "service", with(web, func(c *Check) { c.Service = "a" })},
		{"http with query", "query", with(web, func(c *Check) { c.Query = "example.org." })},
		{"http with query type", "query_type", with(web, func(c *Check) { c.QueryType = 1 })},
		{"http with rcode", "rcode", with(web, func(c *Check) { c.Rcode = 3 })},
		{"unknown rcode", "rcode", Check{Kind: CheckDNS, Rcode: 4095}},
		{"interval below 1s", "interval", with(tcp, func(c *Check) { c.Interval = time.Second - 1 })},
		{"interval over 5m", "interval", with(tcp, func(c *Check) { c.Interval = 5*time.Minute + 1 })},
		{"timeout below 100ms", "timeout", with(tcp, func(c *Check) { c.Timeout = 100*time.Millisecond - 1 })},
		{"timeout over 10s", "timeout", with(tcp, func(c *Check) { c.Interval, c.Timeout = time.Minute, 10*time.Second+1 })},
		{"timeout of the interval", "timeout", with(tcp, func(c *Check) { c.Timeout = DefaultInterval })},
		{"fall below 1", "fall", with(tcp, func(c *Check) { c.Fall = -1 })},
		{"fall over 10", "fall", with(tcp, func(c *Check) { c.Fall = 11 })},
		{"rise over 10", "rise", with(tcp, func(c *Check) { c.Rise = 11 })},
		{"path without slash", "path", with(web, func(c *Check) { c.Path = "healthz" })},
		{"path with a new line", "path", with(web, func(c *Check) { c.Path = "/ HTTP/1.1\r\nX: y" })},
		{"path with fragment", "path", with(web, func(c *Check) { c.Path = "/a#b" })},
		{"path with half an escape", "path", with(web, func(c *Check) { c.Path = "/%zz" })},
		{"long path", "path", with(web, func(c *Check) { c.Path = "/" + strings.Repeat("a", 1024) })},
		{"status below 200", "expect", with(web, func(c *Check) { c.Statuses = []Statuses{{199, 200}} })},
		{"status over 599", "expect", with(web, func(c *Check) { c.Statuses = []Statuses{{200, 600}} })},
		{"statuses the wrong way round", "expect", with(web, func(c *Check) { c.Statuses = []Statuses{{299, 200}} })},
		{"many statuses", "expect", with(web, func(c *Check) { c.Statuses = slices.Repeat([]Statuses{{200, 200}}, 17) })},
		{"long text", "text", with(web, func(c *Check) { c.Text = strings.Repeat("a", 256) })},
		{"text not UTF-8", "text", with(web, func(c *Check) { c.Text = "\xff" })},
		{"host with a new line", "host", with(web, func(c *Check) { c.Host = "a\r\nX: y" })},
		{"host with port 0", "host", with(web, func(c *Check) { c.Host = "www.example.org:0" })},
		{"host with final dot", "host", with(web, func(c *Check) { c.Host = "www.example.org." })},
		{"server name with port", "server_name", Check{Kind: CheckHTTPS, ServerName: "www.example.org:443"}},
		{"service with blank", "service", Check{Kind: CheckGRPC, Port: 1, Service: "a b"}},
		{"site in capitals", "from", with(tcp, func(c *Check) { c.Sites = []string{"North"} })},
		{"site twice", "from", with(tcp, func(c *Check) { c.Sites = []string{"a", "a"} })},
		{"many sites", "from", with(tcp, func(c *Check) { c.Sites = make([]string, 33) })},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.check.Check()
			var e *Error
			if !errors.As(err, &e) || e.Kind != Invalid || e.Field != c.field || e.Advice == "" {
				t.Errorf("%v, wanted an Invalid of field %s with advice", err, c.field)
			}
		})
	}
}

func TestDefaultsOfACheck(t *testing.T) {
	for kind, want := range map[CheckKind]Check{
		CheckHTTP:  {Port: 80, Path: "/", Statuses: []Statuses{{200, 299}}},
		CheckHTTPS: {Port: 443, Path: "/", Statuses: []Statuses{{200, 299}}},
		CheckDNS:   {Port: 53, QueryType: 6},
	} {
		got := Check{Kind: kind}.WithDefaults()
		if got.Port != want.Port || got.Path != want.Path || !slices.Equal(got.Statuses, want.Statuses) || got.QueryType != want.QueryType {
			t.Errorf("%v: %+v", kind, got)
		}
		if got.Interval != 5*time.Second || got.Timeout != 2*time.Second || got.Fall != 3 || got.Rise != 3 {
			t.Errorf("%v: %+v", kind, got)
		}
	}
	if got := (Check{Interval: time.Second}).WithDefaults().Timeout; got != 500*time.Millisecond {
		t.Errorf("the time-out at an interval of a second is %v", got)
	}
}

func TestWordsOfChecks(t *testing.T) {
	for k := range checkKinds {
		if got, err := ParseCheckKind("kind", k.String()); err != nil || got != k {
			t.Errorf("%v is read as %v, %v", k, got, err)
		}
	}
	var e *Error
	if _, err := ParseCheckKind("kind", "ping"); !errors.As(err, &e) || e.Field != "kind" {
		t.Errorf("ping: %v", err)
	}
	if got, err := ParseStatuses("expect", "200, 429,300-399"); err != nil || !slices.Equal(got, []Statuses{{200, 200}, {429, 429}, {300, 399}}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, s := range []string{"", "ok", "200,", "200-", "-200", "200-299-300"} {
		if got, err := ParseStatuses("expect", s); !errors.As(err, &e) || e.Field != "expect" {
			t.Errorf("%q is read as %v, %v", s, got, err)
		}
	}
}

// TestEveryReasonHasItsWords, none the same as another's, and none of them is both fine
// and a fault.
func TestEveryReasonHasItsWords(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Reasons() {
		if r.String() == "" || seen[r.String()] {
			t.Errorf("reason %d says %q", r, r)
		}
		seen[r.String()] = true
	}
	if Fine.Blames() || AddressNotAllowed.Blames() || NoRoute.Blames() || CheckerInDifficulty.Blames() || !Refused.Blames() {
		t.Error("who is at fault has changed")
	}
}
