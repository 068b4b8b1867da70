package signpost_test

import (
	"context"
	"strings"
	"testing"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	procdns "signpost/internal/proc/dns"
	signpost "signpost/plugin"
)

const (
	listen  = "endpoint " + nowhere + "\nlisten batch"
	tsigKey = "secret k. NoTCJU+DMqFWywaPyxSijrDEA/eC3nK0xi3AMEZuPVk="
)

func TestListenBatchIsRefusedWhereItWouldChangeAnswers(t *testing.T) {
	for before, why := range map[string]string{
		"log":                             "log must see every query",
		"acl {\nallow net 127.0.0.0/8\n}": "acl must see every query",
		"rewrite stop type ANY HINFO":     "rewrite must see every query",
		"header {\nresponse set ra\n}":    "header must see every query",
		"metadata":                        "metadata must see every query",
		"shed":                            "shed must see every query",
		"dnstap tcp://127.0.0.1:9":        "dnstap must see every query",
		"multisocket 2":                   "multisocket opens sockets of its own",
		"proxyproto":                      "proxyproto: packets have to be unwrapped first",
		"tsig {\n" + tsigKey + "\nrequire all\n}": "tsig: it refuses questions without TSIG",
	} {
		refused(t, block(listen, before), why)
	}
	refused(t, "tls://"+block(listen), "nothing in the server block is plain DNS over UDP")
	refused(t, block(listen, "log", "shed"), "needed); log must see every query (it writes down every query)") // all at once
	start(t, block(listen, "tsig {\n"+tsigKey+"\nrequire AXFR IXFR\n}"))
	start(t, block(listen, "multisocket 1"))
}

// What another server block on the same address does is as good as done in ours.
func TestListenBatchIsRefusedBesideBlocksThatWouldChangeAnswers(t *testing.T) {
	useStandIns(t)
	beside := func(zone, bind, line string) string {
		return zone + ":{port} {\nbind " + bind + "\n" + line + "\n}\n"
	}
	ours := "example.org:{port} {\nbind 127.0.0.1\nsignpost {\n" + listen + "\n}\n}\n"
	for _, c := range []struct{ zone, line, why string }{
		{"sub.example.org", "whoami", "the server block sub.example.org. on the same address lies inside example.org."},
		{"example.net", "signpost {\n" + listen + "\n}", "on the same address has listen batch or shed"}, // each says so of the other
		{"example.net", "shed\nwhoami", "the server block example.net. on the same address has listen batch or shed"},
		{"example.net", "multisocket 2\nwhoami", "the server block example.net. on the same address has multisocket"},
		{".", "multisocket 2\nwhoami", "the server block . on the same address has multisocket"},
		{"example.net", "proxyproto\nwhoami", "the server block example.net. on the same address has proxyproto"},
		{"example.net", "dynupdate\nwhoami", "the server block example.net. on the same address takes messages that are no queries"},
		{"example.org", "view\nwhoami", "the server block example.org. on the same address has a filter"},
	} {
		for _, bind := range []string{"127.0.0.1", "127.0.0.2 127.0.0.1"} {
			refused(t, ours+beside(c.zone, bind, c.line), c.why)
			refused(t, beside(c.zone, bind, c.line)+ours, c.why)
		}
		if c.line != "view\nwhoami" {
			start(t, ours+beside(c.zone, "127.0.0.2", c.line)) // nothing to us
		}
	}
	refused(t, "example.org:{port} {\nbind 127.0.0.1\nview\nsignpost {\n"+listen+"\n}\n}\n", "view must see every query")
	start(t, ours+beside(".", "127.0.0.1", "whoami"))
	start(t, ours+beside(".", "127.0.0.1", "view\nwhoami"))
}

// What is in neither list may do anything.
func TestEveryPluginIsKnownToFitOrNot(t *testing.T) {
	for _, name := range []string{"acl", "dns64", "dnssec", "dnstap", "geoip", "header", "log", "metadata", "rewrite", "shed", "trace", "view"} {
		if why := signpost.Unfit(name); !strings.HasPrefix(why, name+" must see every query (") {
			t.Errorf("%s: %q, want the reason for which it must see every query", name, why)
		}
	}
	for _, name := range []string{"signpost", "any", "bufsize", "cache", "chaos", "errors", "loadbalance", "minimal", "nsid", "prometheus", "transfer", "tsig"} {
		if why := signpost.Unfit(name); why != "" {
			t.Errorf("%s is said not to fit: %s", name, why)
		}
	}
	if got := signpost.Unfit("novelty"); got != "novelty is not known to work with it" {
		t.Errorf("of a plugin that nobody knows is said %q", got)
	}
}

// useStandIns makes the plugins known that our binary leaves out, with what batches
// look at: view decides which block answers, dynupdate asks for UPDATE.
func useStandIns(t *testing.T) {
	t.Helper()
	if err := dnsserver.SetDirectives(append([]string{"view", "dynupdate"}, procdns.Directives()...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dnsserver.SetDirectives(procdns.Directives()); err != nil {
			t.Error(err)
		}
	})
}

func init() {
	plugin.Register("view", func(c *caddy.Controller) error {
		dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler { return view{next} })
		return nil
	})
	plugin.Register("dynupdate", func(c *caddy.Controller) error {
		dnsserver.GetConfig(c).AllowOpcode(dns.OpcodeUpdate)
		return nil
	})
}

type view struct{ plugin.Handler }

func (view) Name() string                                  { return "view" }
func (view) Filter(context.Context, *request.Request) bool { return true }
func (view) ViewName() string                              { return "some" }
