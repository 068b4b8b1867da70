package agent

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"

	"signpost/internal/agent"
	"signpost/internal/agent/command"
	"signpost/internal/agent/local"
	"signpost/internal/agent/upstream"
	"signpost/internal/model"
	"signpost/internal/remote"
	"signpost/internal/version"
)

// Agent is an agent that is ready to start.
type Agent struct {
	config Config
	log    *slog.Logger
	far    *upstream.Upstream
	told   agent.Config
}

// New finds the secret and makes the agent of a configuration; nothing is told yet. Errors
// are of kind Invalid.
func New(c Config, getenv func(string) string, log *slog.Logger) (*Agent, error) {
	s, err := c.findSecret(getenv, log)
	if err != nil {
		return nil, err
	}
	bad := func(err error) (*Agent, error) {
		return nil, model.E(model.Invalid, "read settings", "").Because(err.Error())
	}
	var servers []remote.Address
	for _, text := range c.Servers {
		at, err := remote.Parse(strings.TrimSpace(text))
		if err != nil {
			return bad(err)
		}
		servers = append(servers, at)
	}
	roots, err := remote.Roots(c.CA)
	if err != nil {
		return bad(err)
	}
	far, err := upstream.New(upstream.Config{Servers: servers, Roots: roots, Host: c.Host, Endpoint: c.Endpoint, Secret: s.now, Log: log})
	if err != nil {
		return nil, err
	}
	a := &Agent{config: c, log: log, far: far}
	a.told = agent.Config{
		Service: far, Log: log, Draw: rand.Float64,
		Look: a.look(), Poll: c.Poll, Reassert: c.Reassert,
		Endpoint: c.Endpoint != "", Heartbeat: c.beat, NoHeartbeat: c.Heartbeat == "off",
		Drain: c.Drain, DrainTime: c.DrainTime, Withdraw: c.RemoveOnExit,
		HealthEvery: c.HealthInterval, HealthCount: c.HealthCount, DrainUnwell: c.DrainUnwell,
		Ready:  func() { notify("READY=1") },
		Status: func(line string) { notify("STATUS=" + line) },
	}
	if c.HealthCommand != "" {
		a.told.Health = func(ctx context.Context) error { _, err := a.command(c.HealthCommand).Run(ctx); return err }
	}
	return a, nil
}

// Run tells until ctx ends, or once.
func (a *Agent) Run(ctx context.Context) error {
	defer func() { _ = a.far.Close() }() // nothing is left to be lost
	if a.config.Once {
		return agent.New(a.told).Once(ctx)
	}
	if a.config.Addresses == fromInterface {
		watching, end := context.WithCancel(ctx)
		defer end()
		changed, err := local.Changes(watching)
		if err != nil {
			a.log.Warn("changes of addresses are not watched, only looked for", "every", a.config.Poll, "error", err)
		}
		a.told.Changed = changed
	}
	tells := agent.New(a.told)
	a.log.Info("started", "host", a.config.Host, "endpoint", a.config.Endpoint, "addresses", a.config.Addresses, "version", version.Version)
	ended := make(chan struct{})
	defer close(ended)
	context.AfterFunc(ctx, func() { notify(stopping(a.config.DrainTime)) })
	go keepWatchdog(tells, ended)
	tells.Run(ctx)
	a.log.Info("stopped")
	return nil
}

func (a *Agent) look() func(context.Context) (agent.Seen, error) {
	c := a.config
	switch c.Addresses {
	case fromInterface:
		return local.Choice{Interface: c.Interface, Private: c.Private}.Look
	case fromServer:
		return func(ctx context.Context) (agent.Seen, error) {
			at, err := a.far.Source(ctx)
			if err != nil {
				return agent.Seen{}, err
			}
			if !local.Public(at, c.Private) {
				return agent.Seen{}, model.E(model.Unavailable, "find the machine's address", "").
					Because("the control service sees " + at.String() + ", which others do not reach").Hint("see --private and --addresses")
			}
			return agent.Seen{Addresses: []netip.Addr{at}}, nil
		}
	case fromCommand:
		return func(ctx context.Context) (agent.Seen, error) {
			text, err := a.command(c.AddressCommand).Run(ctx)
			if err != nil {
				return agent.Seen{}, err
			}
			return local.Parse(text)
		}
	}
	return nil
}

// command is a command of the owner's, which gets neither the secret nor our line to
// systemd.
func (a *Agent) command(line string) command.Command {
	var environ []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if !slices.Contains([]string{secretVariable, "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}, name) {
			environ = append(environ, v)
		}
	}
	return command.Command{Line: line, Timeout: a.config.CommandTimeout, Environ: environ}
}
