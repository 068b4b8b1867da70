package dns

import (
	"slices"

	"github.com/coredns/coredns/core/dnsserver"

	_ "github.com/coredns/coredns/plugin/acl"
	_ "github.com/coredns/coredns/plugin/any"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/bufsize"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/chaos"
	_ "github.com/coredns/coredns/plugin/dnstap"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/file"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/geoip"
	_ "github.com/coredns/coredns/plugin/grpc_server"
	_ "github.com/coredns/coredns/plugin/header"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/https"
	_ "github.com/coredns/coredns/plugin/https3"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/metadata"
	_ "github.com/coredns/coredns/plugin/metrics"
	_ "github.com/coredns/coredns/plugin/minimal"
	_ "github.com/coredns/coredns/plugin/multisocket"
	_ "github.com/coredns/coredns/plugin/nsid"
	_ "github.com/coredns/coredns/plugin/pprof"
	_ "github.com/coredns/coredns/plugin/proxyproto"
	_ "github.com/coredns/coredns/plugin/quic"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
	_ "github.com/coredns/coredns/plugin/rewrite"
	_ "github.com/coredns/coredns/plugin/secondary"
	_ "github.com/coredns/coredns/plugin/shed"
	_ "github.com/coredns/coredns/plugin/timeouts"
	_ "github.com/coredns/coredns/plugin/tls"
	_ "github.com/coredns/coredns/plugin/transfer"
	_ "github.com/coredns/coredns/plugin/tsig"
	_ "github.com/coredns/coredns/plugin/whoami"
)

// stock is the directives of CoreDNS that our binary keeps, those whose plugins
// are imported above. Start imports our own.
var stock = []string{
	"acl", "any", "bind", "bufsize", "cache", "chaos", "dnstap", "errors", "file", "forward", "geoip",
	"grpc_server", "header", "health", "https", "https3", "loadbalance", "log", "metadata", "minimal",
	"multisocket", "nsid", "pprof", "prometheus", "proxyproto", "quic", "ready", "reload", "rewrite",
	"secondary", "shed", "timeouts", "tls", "transfer", "tsig", "whoami",
}

// Directives is the chosen directives in the order in which their plugins see a
// query: CoreDNS's own order, with signpost just before file. A program may put in
// its own before it starts a server.
func Directives() []string { return slices.Clone(chosen) }

var chosen = choose(dnsserver.Directives)

func choose(upstream []string) []string {
	var out []string
	for _, d := range upstream {
		if d == "file" {
			out = append(out, "signpost")
		}
		if slices.Contains(stock, d) {
			out = append(out, d)
		}
	}
	return out
}

func init() {
	if err := dnsserver.SetDirectives(chosen); err != nil {
		panic("dns: the chosen directives are no set: " + err.Error())
	}
}
