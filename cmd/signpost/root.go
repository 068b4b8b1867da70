package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"signpost/internal/remote"
)

const intro = `signpost tells a Signpost control service what you want.

  SIGNPOST_SERVER      where it is (default ` + remote.Default + `)
  SIGNPOST_TOKEN       your token, or
  SIGNPOST_TOKEN_FILE  the file that holds it; without both, that of signpost login
  SIGNPOST_CA_FILE     certificates to trust beside those of the system

Exit codes: 0 done, 1 refused or failed, 2 bad usage.`

func (c *cli) root() *cobra.Command {
	root := group("signpost", "Manage dynamic DNS names", intro,
		c.zone(), c.host(), c.record(), c.endpoint(), c.policy(), c.check(), c.site(), c.checker(), c.freeze(), c.cert(), c.token(), c.principal(), c.importing(), c.status(), c.audit(), c.whoami(), c.login(), c.logout(), c.agent(), c.version())
	root.SilenceErrors, root.SilenceUsage = true, true
	f := root.PersistentFlags()
	f.StringVar(&c.server, "server", "", "URL of the control service (default $SIGNPOST_SERVER, else "+remote.Default+")")
	f.StringVar(&c.ca, "ca", "", "PEM file of certificates to trust beside those of the system (default $SIGNPOST_CA_FILE)")
	f.VarP(&choice{value: &c.output, allowed: []string{"text", "json"}}, "output", "o", "how to print: text or json")
	f.BoolVarP(&c.quiet, "quiet", "q", false, "print nothing that was not asked for; a secret alone on its line")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	_ = root.RegisterFlagCompletionFunc("server", cobra.NoFileCompletions)
	return root
}

// group is a command that only holds others.
func group(use, short, long string, under ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Long: long, Args: cobra.ArbitraryArgs, SuggestionsMinimumDistance: 2}
	g.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			why := "there is no command " + strings.Join(append([]string{cmd.CommandPath()}, args[0]), " ")
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				why += "; did you mean " + strings.Join(near, " or ") + "?"
			}
			return badUsage(why)
		}
		cmd.PrintErrln(cmd.UsageString())
		return badUsage(cmd.CommandPath() + " alone does nothing")
	}
	g.ValidArgsFunction = cobra.NoFileCompletions
	g.AddCommand(under...)
	return g
}

// does makes the function of a command that calls the service.
func (c *cli) does(do func(ctx context.Context, s *service, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		s, err := c.dial()
		if err == nil {
			defer s.close()
			var ctx context.Context
			var cancel context.CancelFunc
			ctx, cancel, err = s.callContext(cmd)
			if err == nil {
				defer cancel()
				err = do(ctx, s, args)
			}
		}
		return s.explain(cmd, args, err)
	}
}

// explain says which errors are failures, in the caller's words.
func (s *service) explain(cmd *cobra.Command, args []string, err error) error {
	var usage badUsage
	switch {
	case err == nil:
		return nil
	case errors.As(err, &usage):
		return err
	}
	tried := strings.TrimPrefix(cmd.CommandPath(), "signpost ")
	if len(args) > 0 {
		tried += " " + args[0]
	}
	return &failure{s.inWords(tried, err)}
}

// takes checks how many arguments there are; most -1 is any number.
func takes(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return badUsage("too few arguments: it is " + strings.TrimSuffix(cmd.UseLine(), " [flags]"))
		case most >= 0 && len(args) > most:
			return badUsage("too many arguments: it is " + strings.TrimSuffix(cmd.UseLine(), " [flags]"))
		}
		return nil
	}
}
