package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"signpost/internal/proc/agent"
)

func (c *cli) agent() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "agent --host FQDN [--endpoint ID]",
		Short: "Tell a host's name where this machine is, and that it is well",
		Long: `Tell the control service the addresses of this machine, now and whenever they
change, that it is alive, and on SIGTERM that it wants no more work. It holds the
secret of the host, or of one of its endpoints, and no token.`,
		Example: `  signpost agent --host www.fedcloud.test --secret-file /etc/signpost/secret
  signpost agent --host www.fedcloud.test --endpoint a --secret-file /etc/signpost/secret --drain --remove-on-exit
  signpost agent --host www.fedcloud.test --once`,
		Args: takes(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
	}
	agent.Flags(cmd.Flags())
	for _, name := range []string{"server", "host", "endpoint", "interface", "address-command", "poll", "reassert", "heartbeat", "drain-time", "health-command", "health-interval", "health-count", "command-timeout"} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	_ = cmd.RegisterFlagCompletionFunc("addresses", cobra.FixedCompletions([]string{"interface", "server", "command", "none"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		settings, err := agent.Load(cmd.Flags(), c.getenv)
		if err != nil {
			return badUsage(err.Error())
		}
		a, err := agent.New(settings, c.getenv, c.logger())
		if err != nil {
			return badUsage(err.Error())
		}
		if err := a.Run(cmd.Context()); err != nil {
			return &failure{err}
		}
		return nil
	}
	return cmd
}

// logger writes to standard error, in the form that --output says; with --quiet only what
// should not be.
func (c *cli) logger() *slog.Logger {
	o := &slog.HandlerOptions{}
	if c.quiet {
		o.Level = slog.LevelWarn
	}
	if c.json() {
		return slog.New(slog.NewJSONHandler(c.errOut, o))
	}
	return slog.New(slog.NewTextHandler(c.errOut, o))
}
