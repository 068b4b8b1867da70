// Command signpostd is the control service.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"signpost/internal/proc/control"
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
		Use: "signpostd", Short: "Signpost's control service", Version: version.Version,
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
	root.AddCommand(token, &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), version.Version) },
	})
	return root
}

// withConfig gives a command the settings of the control service as flags.
func withConfig(cmd *cobra.Command, run func(*cobra.Command, control.Config) error) *cobra.Command {
	file := cmd.Flags().String("config", "", "configuration file (YAML); its names are those of the flags")
	control.Flags(cmd.Flags())
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usageError{fmt.Errorf("unknown argument %q; --help lists the flags", args[0])}
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := control.LoadConfig(*file, cmd.Flags())
		if err != nil {
			return usageError{err}
		}
		return run(cmd, c)
	}
	return cmd
}
