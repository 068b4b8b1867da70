package diff

import (
	"context"
	"testing"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/file"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/pkg/upstream"
	plugintest "github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"
	"pgregory.net/rapid"
)

const fileServer = "CoreDNS file"

// fileOf is CoreDNS's file plugin with one zone, behind a server that opens no
// socket: the plugin follows aliases by asking the server.
//
// The plugin finds only names in lower case, escaped as messages escape them, so it
// is given the records of our zone.
func fileOf(s served) (*dnsserver.Server, error) {
	z := file.NewZone(s.origin, "sample")
	if err := z.Insert(s.zone.SOA()); err != nil {
		return nil, err
	}
	for rr := range s.zone.Records() {
		if err := z.Insert(rr); err != nil {
			return nil, err
		}
	}
	z.Upstream = upstream.New()
	f := file.File{Zones: file.Zones{Z: map[string]*file.Zone{s.origin: z}, Names: []string{s.origin}}}
	return dnsserver.NewServer("dns://127.0.0.1:0", []*dnsserver.Config{{
		Zone: ".", Transport: "dns", ListenHosts: []string{""}, Port: "0",
		Plugin: []plugin.Plugin{func(plugin.Handler) plugin.Handler { return f }},
	}})
}

func askFile(s *dnsserver.Server, q question) reply {
	m := new(dns.Msg)
	m.SetQuestion(q.name, q.typ)
	w := dnstest.NewRecorder(&plugintest.ResponseWriter{TCP: true})
	s.ServeDNS(context.WithValue(context.Background(), dnsserver.Key{}, s), w, m)
	if w.Msg == nil {
		return reply{rcode: -1}
	}
	return replyOf(w.Msg.Rcode, w.Msg.Authoritative, w.Msg.Answer, w.Msg.Ns, w.Msg.Extra)
}

// Whatever the zone and the question, CoreDNS's file plugin says the same, or the
// difference is known.
func TestFilePluginSaysTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := serve(zoneOf("example.org.").Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		other, err := fileOf(s)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			q := question{rapid.SampledFrom(s.names).Draw(t, "qname"), rapid.SampledFrom(types).Draw(t, "qtype")}
			if _, why := s.judge(fileServer, q, askFile(other, q)); why != "" {
				t.Fatal(why)
			}
		}
	})
}
