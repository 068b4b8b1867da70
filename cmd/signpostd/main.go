// Command signpostd is the control service, and the monitor of a site.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"signpost/internal/proc/control"
	"signpost/internal/proc/etcdinit"
	"signpost/internal/proc/monitor"
	"signpost/internal/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := command(os.Stdout, os.Stderr).ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "signpostd:", err)
		if errors.As(err, new(usageError)) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

type usageError struct{ error }

func command(out, logs io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use: "signpostd", Short: "Signpost's control service and monitors", Version: version.Version,
		SilenceErrors: true, SilenceUsage: true, Args: cobra.NoArgs,
	}
	root.SetOut(out)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(withConfig(&cobra.Command{
		Use: "serve", Short: "Serve gRPC, REST and /nic/* and change etcd",
	}, func(cmd *cobra.Command, c control.Config) error {
		return control.Run(cmd.Context(), c, logs)
	}))
	token := &cobra.Command{Use: "admin-token", Short: "Admin tokens, for the day the first is lost", Args: cobra.NoArgs}
	token.AddCommand(withConfig(&cobra.Command{
		Use: "new", Short: "Make another admin token and print it, once",
	}, func(cmd *cobra.Command, c control.Config) error {
		text, err := control.NewToken(cmd.Context(), c, logs)
		if err == nil {
			fmt.Fprintln(cmd.OutOrStdout(), text)
		}
		return err
	}))
	token.AddCommand(withConfig(&cobra.Command{
		Use: "list", Short: "Show ids and ages of the admin tokens that there are",
	}, func(cmd *cobra.Command, c control.Config) error {
		all, err := control.ListTokens(cmd.Context(), c, logs)
		for _, t := range all {
			fmt.Fprintln(cmd.OutOrStdout(), t.ID, t.CreateTime.UTC().Format(time.RFC3339))
		}
		return err
	}), withArgument("ID", &cobra.Command{
		Use: "revoke ID", Short: "Take an admin token back, at once",
		Long: "Takes the admin token with that id back, at once and everywhere; streams that it opened end. The id is what the\naudit and the log call admin/ID. With the last one gone, admin-token new makes another.",
	}, func(cmd *cobra.Command, c control.Config, id string) error {
		return control.RevokeToken(cmd.Context(), c, id, logs)
	}))
	root.AddCommand(token, monitorCommand(logs), rekey(logs), etcdInit(), &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), version.Version) },
	})
	return root
}

func monitorCommand(logs io.Writer) *cobra.Command {
	cmd := &cobra.Command{
		Use: "monitor", Short: "Check the endpoints of hosts, for one site",
		Long: "Checks the endpoints of hosts from one site and writes to etcd which are up. A second one for the same site\nstands by. In the configuration file alone: allow, a list of ZONE=PREFIX where checks may go although the\naddresses are private or of this machine, and own-addresses, prefixes where they may not.",
	}
	file := cmd.Flags().String("config", "", "configuration file (YAML); its names are those of the flags, allow and own-addresses")
	monitor.Flags(cmd.Flags())
	cmd.Args = noArguments
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := monitor.LoadConfig(*file, cmd.Flags())
		if err != nil {
			return usageError{err}
		}
		return monitor.Run(cmd.Context(), c, logs)
	}
	return cmd
}

func rekey(logs io.Writer) *cobra.Command {
	var file string
	var make bool
	cmd := &cobra.Command{
		Use: "rekey", Short: "Change the master key",
		Long: "Brings a new master key into use, seals with it what others have sealed in etcd, and says how much is left\nunder which. Every control service must hold the new key already, in further-master-key-files. It can be run\nagain. docs/operations.md has the steps.",
	}
	withConfig(cmd, func(cmd *cobra.Command, c control.Config) error {
		switch {
		case file == "":
			return usageError{fmt.Errorf("no new key; give its file with --%s", control.NewKeyFlag)}
		case make:
			return control.MakeKey(file, cmd.OutOrStdout())
		}
		return control.Rekey(cmd.Context(), c, file, cmd.OutOrStdout(), logs)
	})
	cmd.Flags().StringVar(&file, control.NewKeyFlag, "", "file of the new master key")
	cmd.Flags().BoolVar(&make, control.MakeKeyFlag, false, "only make the file of the new key")
	return cmd
}

func etcdInit() *cobra.Command {
	cmd := &cobra.Command{
		Use: "etcd-init", Short: "Make the users and roles of our processes in etcd",
		Long: "Makes, in an etcd, the roles that name servers, control services and the monitors of sites need, the users that\nhave them, and root. What is right already is left alone: it can be run again, after each new site or server.",
	}
	etcdinit.Flags(cmd.Flags())
	cmd.Args = noArguments
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o, err := etcdinit.Parse(cmd.Flags())
		if err != nil {
			return usageError{err}
		}
		return etcdinit.Run(cmd.Context(), o, cmd.OutOrStdout())
	}
	return cmd
}

func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unknown argument %q; --help lists the flags", args[0])}
	}
	return nil
}

// withConfig gives a command the settings of the control service as flags.
func withConfig(cmd *cobra.Command, run func(*cobra.Command, control.Config) error) *cobra.Command {
	file := cmd.Flags().String("config", "", "configuration file (YAML); its names are those of the flags, and issuers")
	control.Flags(cmd.Flags())
	cmd.Args = noArguments
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := control.LoadConfig(*file, cmd.Flags())
		if err != nil {
			return usageError{err}
		}
		return run(cmd, c)
	}
	return cmd
}

// withArgument is withConfig for a command that takes one word.
func withArgument(what string, cmd *cobra.Command, run func(_ *cobra.Command, _ control.Config, word string) error) *cobra.Command {
	var word string
	withConfig(cmd, func(cmd *cobra.Command, c control.Config) error { return run(cmd, c, word) })
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{errors.New("give one " + what)}
		}
		word = args[0]
		return nil
	}
	return cmd
}
