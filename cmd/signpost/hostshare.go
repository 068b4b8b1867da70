package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	pb "signpost/proto/signpost/v1"
)

func (c *cli) hostShare() *cobra.Command {
	return c.sharing("share FQDN --with WHO...", "Let others change a host, too",
		`Let people and groups change a host's addresses and records. They are written
ISSUER/SUBJECT, as whoami prints it, and group:ISSUER/GROUP.`,
		"  signpost host share www.fedcloud.test --with egi/0123@egi.eu --with group:egi/vo.example.org:role=member",
		func(in *pb.ShareHostRequest, who []string) { in.Add = who })
}

func (c *cli) hostUnshare() *cobra.Command {
	return c.sharing("unshare FQDN --with WHO...", "Let others change a host no more", "", "",
		func(in *pb.ShareHostRequest, who []string) { in.Remove = who })
}

func (c *cli) sharing(use, short, long, example string, with func(*pb.ShareHostRequest, []string)) *cobra.Command {
	in := &pb.ShareHostRequest{}
	var who []string
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Example: example, Args: takes(1, 1), ValidArgsFunction: c.hostNames}
	cmd.Flags().StringArrayVar(&who, "with", nil, "a person or a group; may be given again")
	etagFlag(cmd, &in.Etag)
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		if len(who) == 0 {
			return badUsage("nobody is named; give --with ISSUER/SUBJECT or --with group:ISSUER/GROUP")
		}
		in.Fqdn = args[0]
		with(in, who)
		answer, err := s.ShareHost(ctx, in)
		if err != nil {
			return err
		}
		editors := first(strings.Join(answer.GetHost().GetEditors(), " "), "nobody")
		return c.done(args[0]+" is shared with "+editors, answer.GetChange(), answer)
	})
	return changes(cmd)
}

func (c *cli) hostTransfer() *cobra.Command {
	in := &pb.TransferHostRequest{}
	var cancel bool
	cmd := &cobra.Command{
		Use: "transfer FQDN --to WHO", Short: "Offer a host to a new owner", Args: takes(1, 1), ValidArgsFunction: c.hostNames,
		Long: `Offer a host to another person, who becomes its owner with signpost host accept
within seven days. Until then it is yours, and the offer can be taken back.`,
	}
	cmd.Flags().StringVar(&in.To, "to", "", "the person, written ISSUER/SUBJECT as whoami prints it")
	cmd.Flags().BoolVar(&cancel, "cancel", false, "take the offer back")
	etagFlag(cmd, &in.Etag)
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		if in.Fqdn = args[0]; (in.To == "") != cancel {
			return badUsage("give --to ISSUER/SUBJECT, or --cancel to take an offer back")
		}
		answer, err := s.TransferHost(ctx, in)
		if err != nil {
			return err
		}
		what := args[0] + " is offered to nobody"
		if h := answer.GetHost(); h.GetOfferedTo() != "" {
			what = args[0] + " is offered to " + h.GetOfferedTo() + " until " + when(h.GetOfferExpireTime())
		}
		return c.done(what, answer.GetChange(), answer)
	})
	return changes(cmd)
}

func (c *cli) hostAccept() *cobra.Command {
	cmd := &cobra.Command{
		Use: "accept FQDN", Short: "Become the owner of a host that is offered to you", Args: takes(1, 1), ValidArgsFunction: c.hostNames,
		Long: `Become the owner of a host that is offered to you. It gets a new secret, printed this
once; its former owner's secret, its editors and its challenge records go.`,
	}
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		answer, err := s.AcceptHost(ctx, &pb.AcceptHostRequest{Fqdn: args[0]})
		if err != nil {
			return err
		}
		return c.secret(args[0]+" is yours", answer.GetSecret(), answer.GetChange(), answer)
	})
	return changes(cmd)
}

func (c *cli) hostLeave() *cobra.Command {
	cmd := &cobra.Command{
		Use: "leave FQDN", Short: "Be an editor of a host no more", Args: takes(1, 1), ValidArgsFunction: c.hostNames,
		Long: `Be an editor of a host no more that is shared with you by name. What is shared with a
group of yours stays so: ask its owner.`,
	}
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		answer, err := s.LeaveHost(ctx, &pb.LeaveHostRequest{Fqdn: args[0]})
		if err != nil {
			return err
		}
		return c.done("you are an editor of "+args[0]+" no more", answer.GetChange(), answer)
	})
	return changes(cmd)
}
