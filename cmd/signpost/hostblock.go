package main

import (
	"context"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	pb "signpost/proto/signpost/v1"
)

// withdrawn is what the calls that withdraw a host answer, or take that back.
type withdrawn interface {
	proto.Message
	GetHost() *pb.Host
	GetChange() *pb.Change
}

func (c *cli) hostBlock() *cobra.Command {
	in := &pb.BlockHostRequest{}
	cmd := &cobra.Command{
		Use: "block FQDN --reason TEXT", Short: "Have a host answered no more and its owner change it no more",
		Long: `Have a host answered no more, nor what belongs to it below. All that is stored stays.
Until it is unblocked, its owner, its editors and its secret change nothing of it; they
are shown the reason. For administrators of the zone.`,
		Example: `  signpost host block www.fedcloud.test --reason "phishing, ticket 4711"`,
	}
	cmd.Flags().StringVar(&in.Reason, "reason", "", "why, for its owner")
	return c.withdrawing(cmd, &in.Etag, "blocked", func(ctx context.Context, s *service, fqdn string) (withdrawn, error) {
		if in.Fqdn = fqdn; in.Reason == "" {
			return nil, badUsage("give --reason TEXT: its owner is shown why")
		}
		return s.BlockHost(ctx, in)
	})
}

func (c *cli) hostUnblock() *cobra.Command {
	in := &pb.UnblockHostRequest{}
	cmd := &cobra.Command{Use: "unblock FQDN", Short: "Take a block back"}
	return c.withdrawing(cmd, &in.Etag, "unblocked", func(ctx context.Context, s *service, fqdn string) (withdrawn, error) {
		in.Fqdn = fqdn
		return s.UnblockHost(ctx, in)
	})
}

func (c *cli) hostDisable() *cobra.Command {
	in := &pb.DisableHostRequest{}
	cmd := &cobra.Command{
		Use: "disable FQDN", Short: "Switch a host off",
		Long: `Have a host answered no more, nor what belongs to it below, until it is enabled.
All that is stored stays; its addresses cannot be set meanwhile.`,
	}
	cmd.Flags().StringVar(&in.Reason, "reason", "", "why, for others who may change it")
	return c.withdrawing(cmd, &in.Etag, "disabled", func(ctx context.Context, s *service, fqdn string) (withdrawn, error) {
		in.Fqdn = fqdn
		return s.DisableHost(ctx, in)
	})
}

func (c *cli) hostEnable() *cobra.Command {
	in := &pb.EnableHostRequest{}
	cmd := &cobra.Command{Use: "enable FQDN", Short: "Switch a host on again"}
	return c.withdrawing(cmd, &in.Etag, "enabled", func(ctx context.Context, s *service, fqdn string) (withdrawn, error) {
		in.Fqdn = fqdn
		return s.EnableHost(ctx, in)
	})
}

func (c *cli) withdrawing(cmd *cobra.Command, etag *string, done string, do func(context.Context, *service, string) (withdrawn, error)) *cobra.Command {
	cmd.Args, cmd.ValidArgsFunction = takes(1, 1), c.hostNames
	etagFlag(cmd, etag)
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		answer, err := do(ctx, s, args[0])
		if err != nil {
			return err
		}
		return c.done(done+" host "+answer.GetHost().GetFqdn(), answer.GetChange(), answer)
	})
	return changes(cmd)
}

// hostState is a word on whether a host is answered.
func hostState(h *pb.Host) string {
	switch {
	case h.GetBlocked() != nil:
		return "blocked"
	case h.GetDisabled() != nil:
		return "disabled"
	case h.GetLapsed() != nil:
		return "lapsed"
	}
	return "on"
}

func withdrawalRows(h *pb.Host) (rows [][]string) {
	for _, w := range []struct {
		what string
		why  *pb.Withdrawal
	}{{"blocked", h.GetBlocked()}, {"disabled", h.GetDisabled()}, {"lapsed", h.GetLapsed()}} {
		if w.why != nil {
			rows = append(rows, []string{w.what, "since " + when(w.why.GetTime()) + ": " + first(w.why.GetReason(), "no reason given")})
		}
	}
	if h.GetLeaseExpireTime() != nil {
		what := "expires"
		if h.GetLapsed() != nil {
			what = "freed"
		}
		rows = append(rows, []string{what, when(h.GetLeaseExpireTime()) + " unless its addresses are set again before"})
	}
	return rows
}
