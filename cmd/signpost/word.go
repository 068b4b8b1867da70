package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "signpost/proto/signpost/v1"
)

const wordHelp = `up and down stand above the check, whatever it says; drain takes out of the answers;
auto takes the word back, so that the next level speaks: an endpoint's word counts, else
its host's, else its site's, else the check.`

var sayings = []string{"up", "down", "drain", "auto"}

// word is what the flags of a command that says something hold.
type word struct {
	reason  string
	span    timeSpan
	confirm bool
}

func (w *word) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&w.reason, "reason", "", "why, for people")
	cmd.Flags().Var(&w.span, "for", "for how long, such as 2h (default: until auto)")
	confirmFlag(cmd, &w.confirm)
	plain(cmd, "reason", "for")
}

func (w *word) length() *durationpb.Duration {
	if !w.span.set {
		return nil
	}
	return durationpb.New(time.Duration(w.span.seconds) * time.Second)
}

func checkSaying(say string) error {
	if slices.Contains(sayings, say) {
		return nil
	}
	return badUsage(say + " is not one of " + strings.Join(sayings, ", "))
}

func (c *cli) endpointAdmin() *cobra.Command {
	var w word
	cmd := &cobra.Command{
		Use: "admin FQDN ID up|down|drain|auto", Short: "Say of an endpoint that it is up, down or drained, or take that back", Long: wordHelp, Args: takes(3, 3),
		Example: "  signpost endpoint admin www.fedcloud.test cesnet drain --reason 'new kernel' --for 2h\n  signpost endpoint admin www.fedcloud.test cesnet auto",
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 2 {
			return sayings, cobra.ShellCompDirectiveNoFileComp
		}
		return c.endpointIDs(cmd, args, begun)
	}
	w.flags(cmd)
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		if err := checkSaying(args[2]); err != nil {
			return err
		}
		answer, err := s.SetEndpointWord(ctx, &pb.SetEndpointWordRequest{
			Fqdn: args[0], Id: args[1], Say: args[2], Reason: w.reason, For: w.length(), ConfirmLast: w.confirm,
		})
		if err != nil {
			return err
		}
		return c.done("endpoint "+args[1]+" of "+args[0]+": "+args[2], answer.GetChange(), answer)
	})
	return changes(cmd)
}

func (c *cli) hostAdmin() *cobra.Command {
	var w word
	cmd := &cobra.Command{
		Use: "admin FQDN up|down|drain|auto", Short: "Say of all endpoints of a host that they are up, down or drained, or take that back", Long: wordHelp, Args: takes(2, 2),
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 1 {
			return sayings, cobra.ShellCompDirectiveNoFileComp
		}
		return c.hostNames(cmd, args, begun)
	}
	w.flags(cmd)
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		if err := checkSaying(args[1]); err != nil {
			return err
		}
		answer, err := s.SetHostWord(ctx, &pb.SetHostWordRequest{Fqdn: args[0], Say: args[1], Reason: w.reason, For: w.length(), ConfirmLast: w.confirm})
		if err != nil {
			return err
		}
		return c.done("host "+args[0]+": "+args[1], answer.GetChange(), answer)
	})
	return changes(cmd)
}

// wordText is a word in one cell; "-" for none.
func wordText(w *pb.Word) string {
	if w == nil {
		return "-"
	}
	text := w.GetSay()
	if w.GetReason() != "" {
		text += " (" + w.GetReason() + ")"
	}
	text += " by " + w.GetBy() + ", " + when(w.GetTime())
	if w.GetExpireTime() != nil {
		text += ", until " + when(w.GetExpireTime())
	}
	return text
}
