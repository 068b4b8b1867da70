package signpost

import (
	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	clog "github.com/coredns/coredns/plugin/pkg/log"
)

const pluginName = "signpost"

var log = clog.NewWithPlugin(pluginName)

func init() {
	plugin.Register(pluginName, setup)
	// A failed reload drops its instance without a word to it. What began and was
	// never told that it stands is what OnRestartFailed takes away.
	caddy.RegisterEventHook(pluginName, func(event caddy.EventName, _ any) error {
		if event == caddy.InstanceStartupEvent {
			shared.settle()
		}
		return nil
	})
}

func setup(c *caddy.Controller) error {
	o, err := parse(c)
	if err != nil {
		return plugin.Error(pluginName, err)
	}
	if o.settings.snapshot == "" {
		log.Warning("no snapshot in the Corefile: a restart while etcd is away will answer SERVFAIL; give `snapshot PATH`, a file that survives restarts")
	}
	s := &Signpost{zones: o.zones, fall: o.fall}
	s.reader = &reader{maxStale: o.maxStale, zonesChanged: s.countZones}
	dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler {
		s.Next = next
		return s
	})
	owner := c.Context()
	c.OnStartup(func() error {
		s.reader.servers = servers(c)
		if err := shared.attach(o.settings, s.reader, owner); err != nil {
			return plugin.Error(pluginName, err)
		}
		return nil
	})
	c.OnShutdown(func() error { shared.detach(s.reader); return nil })
	c.OnRestartFailed(func() error { shared.detachUnsettled(); return nil })
	return nil
}
