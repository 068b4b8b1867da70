// Command signpost-dev runs everything in one process on an embedded etcd, for
// trying it out: what "make run" starts.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"signpost/internal/proc/dev"
	"signpost/internal/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "signpost-dev:", err)
		if errors.As(err, new(usageError)) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

type usageError struct{ error }

func command() *cobra.Command {
	var o dev.Options
	cmd := &cobra.Command{
		Use:           "signpost-dev",
		Short:         "Run all of Signpost in one process, for trying it out",
		Version:       version.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown argument %q; --help lists the flags", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o, cmd.OutOrStdout()) },
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	o.Flags(cmd.Flags())
	return cmd
}

func run(ctx context.Context, o dev.Options, out io.Writer) error {
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	d, err := dev.Start(ctx, o, log)
	if ctx.Err() != nil && err != nil {
		return nil // told to stop before it was ready
	}
	if err != nil {
		return err
	}
	greet(out, d.Addresses)
	<-ctx.Done()
	fmt.Fprintln(out, "\nstopping")
	return d.Close()
}
