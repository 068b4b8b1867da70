package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/metadata"

	pb "signpost/proto/signpost/v1"
)

func (c *cli) principal() *cobra.Command {
	return group("principal", "People: show, and for operators disable, enable, transfer", "",
		c.principalShow(), c.principalDisable(), c.principalEnable(), c.principalTransfer())
}

func (c *cli) principalShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show [NAME]", Short: "Show what the service knows of you, or, for operators, of others", Args: takes(0, 1), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Show a person, written ISSUER/SUBJECT, or a group, group:ISSUER/GROUP: whether their calls
are taken, the groups that were last noted, how many hosts they have, and which tokens.
Without a name it is you; others are for operators.`,
		Example: "  signpost principal show egi/0123@egi.eu",
	}
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		answer, err := s.GetPrincipal(ctx, &pb.GetPrincipalRequest{Name: first(append(args, "")...)})
		if err != nil {
			return err
		}
		if c.json() {
			return c.printJSON(answer)
		}
		state := answer.GetState()
		if w := answer.GetDisabled(); w != nil {
			state += " since " + when(w.GetTime())
			if w.GetReason() != "" {
				state += ": " + w.GetReason()
			}
		}
		rows := [][]string{{"name", answer.GetName()}, {"state", state}, {"operator", yesNo(answer.GetOperator())},
			{"hosts", fmt.Sprintf("%d owned, %d edited", answer.GetHostsOwned(), answer.GetHostsEdited())}}
		for _, g := range answer.GetGroups() {
			rows = append(rows, []string{"in", g})
		}
		if answer.GetGroupsTime() != nil {
			rows = append(rows, []string{"groups of", when(answer.GetGroupsTime())})
		}
		for _, id := range answer.GetTokenIds() {
			rows = append(rows, []string{"token", id})
		}
		return table(c.out, rows)
	})
	return cmd
}

func (c *cli) principalDisable() *cobra.Command {
	in := &pb.DisablePrincipalRequest{}
	cmd := &cobra.Command{
		Use: "disable NAME", Short: "Refuse all calls of a person", Args: takes(1, 1), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Refuse all calls of a person, written ISSUER/SUBJECT, whatever token they show, and end
their streams. Their hosts are answered as before, and hosts' secrets work: block or
transfer the hosts if they should not.`,
		Example: `  signpost principal disable egi/0123@egi.eu --reason "left the project"`,
	}
	cmd.Flags().StringVar(&in.Reason, "reason", "", "why, for them")
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		in.Name = args[0]
		answer, err := s.DisablePrincipal(ctx, in)
		if err != nil {
			return err
		}
		return c.done("disabled "+args[0], answer.GetChange(), answer)
	})
	return changes(cmd)
}

func (c *cli) principalEnable() *cobra.Command {
	cmd := &cobra.Command{Use: "enable NAME", Short: "Take a person's calls again", Args: takes(1, 1), ValidArgsFunction: cobra.NoFileCompletions}
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		answer, err := s.EnablePrincipal(ctx, &pb.EnablePrincipalRequest{Name: args[0]})
		if err != nil {
			return err
		}
		return c.done("enabled "+args[0], answer.GetChange(), answer)
	})
	return changes(cmd)
}

func (c *cli) principalTransfer() *cobra.Command {
	in := &pb.TransferPrincipalRequest{}
	cmd := &cobra.Command{
		Use: "transfer NAME --to NAME", Short: "Give all hosts of a person to another", Args: takes(1, 1), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Give all hosts of a person to another, some at a time. When it is interrupted, give the
same command again: it goes on. The hosts' secrets, editors, offers and challenge records
go; their new owner makes secrets with signpost host rotate-secret.`,
		Example: "  signpost principal transfer egi/0123@egi.eu --to egi/4567@egi.eu",
	}
	cmd.Flags().StringVar(&in.To, "to", "", "the person who becomes their owner")
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		if in.Name = args[0]; in.To == "" {
			return badUsage("give --to ISSUER/SUBJECT")
		}
		all := &pb.TransferPrincipalResponse{}
		for n := 0; n == 0 || all.GetMore(); n++ {
			some, err := s.TransferPrincipal(step(ctx, n), in)
			if err != nil {
				return fmt.Errorf("after %d hosts: %w", len(all.GetFqdns()), err)
			}
			changed := all.GetChange().GetChanged() || some.GetChange().GetChanged()
			all.Fqdns, all.More, all.Change = append(all.Fqdns, some.GetFqdns()...), some.GetMore(), some.GetChange()
			all.Change.Changed = changed
		}
		if !c.json() && !c.quiet && len(all.GetFqdns()) > 0 {
			c.say(strings.Join(all.GetFqdns(), "\n") + "\n")
		}
		return c.done(fmt.Sprintf("gave %d hosts of %s to %s", len(all.GetFqdns()), args[0], in.To), all.GetChange(), all)
	})
	return changes(cmd)
}

// step is the context of one of several calls: each has a request id of its own when a
// request id was given.
func step(ctx context.Context, n int) context.Context {
	md, _ := metadata.FromOutgoingContext(ctx)
	id := md.Get("request-id")
	if len(id) == 0 {
		return ctx
	}
	md = md.Copy()
	md.Set("request-id", fmt.Sprintf("%s/%d", id[0], n))
	return metadata.NewOutgoingContext(ctx, md)
}
