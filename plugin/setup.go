package signpost

import (
	"slices"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	clog "github.com/coredns/coredns/plugin/pkg/log"
)

const pluginName = "signpost"

var log = clog.NewWithPlugin(pluginName)

func init() { plugin.Register(pluginName, setup) }

// awaitStart has caddy say when an instance stands. A failed reload drops its instance
// without a word to it: what began and was never told that it stands is what
// OnRestartFailed takes away. It is asked with every Corefile, for on SIGUSR1 caddy
// forgets all hooks before it reads the new one.
func awaitStart() {
	if slices.Contains(caddy.ListPlugins()["event_hooks"], pluginName) {
		return
	}
	caddy.RegisterEventHook(pluginName, func(event caddy.EventName, info any) error {
		if i, ok := info.(*caddy.Instance); ok && event == caddy.InstanceStartupEvent {
			shared.settle()
			fronts.open(i)
		}
		return nil
	})
}

func setup(c *caddy.Controller) error {
	all, err := parse(c)
	if err != nil {
		return plugin.Error(pluginName, err)
	}
	awaitStart()
	var directives []*Signpost
	for _, o := range all {
		directives = append(directives, setupOne(c, o))
	}
	dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler {
		for _, s := range directives {
			s.Next = next
		}
		if len(directives) == 1 {
			return directives[0]
		}
		return newSeveral(directives)
	})
	c.OnRestartFailed(func() error { Abandon(); return nil })
	return nil
}

// setupOne makes one directive part of its block, but for its place among the plugins.
func setupOne(c *caddy.Controller, o options) *Signpost {
	if o.settings.snapshot == "" {
		log.Warning("no snapshot in the Corefile: a restart while etcd is away will answer SERVFAIL; give `snapshot PATH`, a file that survives restarts")
	}
	s := &Signpost{zones: o.zones, fall: o.fall, counts: counts{cluster: o.cluster}}
	if o.rate > 0 {
		s.limit = newLimiter(o.rate)
	}
	s.reader = &reader{cluster: o.cluster, maxStale: o.maxStale, zonesGone: s.leaveZones}
	s.counts.has = func(k countKey) bool { return s.counted(k, s.reader.view.Load()) }
	if o.sockets > 0 {
		setupFront(c, s, o.sockets)
	}
	owner := c.Context()
	c.OnStartup(func() error {
		s.reader.servers = servers(c)
		if err := shared.attach(o.settings, s.reader, owner); err != nil {
			return plugin.Error(pluginName, err)
		}
		return nil
	})
	c.OnShutdown(func() error { shared.detach(s.reader); return nil })
	return s
}
