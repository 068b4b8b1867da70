package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "signpost/proto/signpost/v1"
)

func (c *cli) token() *cobra.Command {
	return group("token", "API tokens: create, list, revoke", `API tokens are for programs. Each has the rights of the person who made it, or less,
and ends by itself.`, c.tokenCreate(), c.tokenList(), c.tokenRevoke())
}

func (c *cli) tokenCreate() *cobra.Command {
	in := &pb.CreateTokenRequest{}
	var life timeSpan
	cmd := &cobra.Command{
		Use: "create", Short: "Create a token of yours and print it, this once", Args: takes(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Create a token. It may do what you may, now and later, and no more than the flags say.
Actions are named as signpost audit shows them, such as host.set-addresses; host.* stands
for all that begin so, * for all. What makes credentials or hands rights on (making tokens,
rotating secrets, sharing, transferring and accepting hosts, saying who may do what in a
zone) needs --action grant, which neither no --action nor * includes; with it the token
still gives no more than it has.
A token that is not used for 90 days ends. What a token made ends with it when it is revoked
or expires: other tokens, hosts' secrets, shares.`,
		Example: `  signpost token create --host www.fedcloud.test --action host.set-addresses --from 192.0.2.0/24
  TOKEN=$(signpost token create --zone fedcloud.test --type TXT --expires 30d --quiet)`,
	}
	f := cmd.Flags()
	f.StringVar(&in.Zone, "zone", "", "only this zone and the names in it")
	f.StringVar(&in.Host, "host", "", "only hosts of this name; * stands for any letters of a label")
	f.StringArrayVar(&in.Types, "type", nil, "write only records of this type; may be given again")
	f.StringArrayVar(&in.Actions, "action", nil, "do only this; may be given again (default: all but grant)")
	f.StringArrayVar(&in.Sources, "from", nil, "be used only from this address or prefix; may be given again")
	f.Var(&life, "expires", "end after this time, such as 12h or 30d, at most 366d (default 365d)")
	f.StringVar(&in.Comment, "comment", "", "words for people")
	_ = cmd.RegisterFlagCompletionFunc("zone", c.zoneNames)
	_ = cmd.RegisterFlagCompletionFunc("host", c.hostNames)
	cmd.RunE = c.does(func(ctx context.Context, s *service, _ []string) error {
		if life.set {
			in.Lifetime = durationpb.New(time.Duration(life.seconds) * time.Second)
		}
		answer, err := s.CreateToken(ctx, in)
		if err != nil {
			return err
		}
		t := answer.GetToken()
		return c.secret("created token "+t.GetId()+" of "+t.GetOwner()+", until "+when(t.GetExpireTime()), answer.GetSecret(), answer.GetChange(), answer)
	})
	return changes(cmd)
}

func (c *cli) tokenList() *cobra.Command {
	in := &pb.ListTokensRequest{}
	cmd := &cobra.Command{
		Use: "list", Short: "List your tokens, those that ended in the last 30 days too", Args: takes(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
	}
	ownerFlag(cmd, &in.Owner)
	cmd.RunE = c.does(func(ctx context.Context, s *service, _ []string) error {
		answer, err := s.ListTokens(ctx, in)
		if err != nil {
			return err
		}
		if c.json() {
			return c.printJSON(answer)
		}
		rows := [][]string{{"ID", "STATE", "EXPIRES", "LAST USED", "LIMITS", "COMMENT"}}
		for _, t := range answer.GetTokens() {
			used := "never"
			if t.GetUseTime() != nil {
				used = t.GetUseTime().AsTime().UTC().Format(time.DateOnly)
			}
			rows = append(rows, []string{t.GetId(), t.GetState(), when(t.GetExpireTime()), used, tokenLimits(t), t.GetComment()})
		}
		return table(c.out, c.titled(rows))
	})
	return cmd
}

// tokenLimits is how a token is narrowed, in the words of the flags; "-": not at all.
func tokenLimits(t *pb.Token) string {
	var parts []string
	add := func(flag string, values ...string) {
		for _, v := range values {
			if v != "" {
				parts = append(parts, flag+" "+v)
			}
		}
	}
	add("zone", t.GetZone())
	add("host", t.GetHost())
	add("type", t.GetTypes()...)
	add("action", t.GetActions()...)
	add("from", t.GetSources()...)
	add("made by", t.GetParent())
	return orDash(strings.Join(parts, ", "))
}

func (c *cli) tokenRevoke() *cobra.Command {
	in := &pb.RevokeTokenRequest{}
	cmd := &cobra.Command{
		Use: "revoke ID", Short: "End a token and what it made, at once", Args: takes(1, 1), ValidArgsFunction: cobra.NoFileCompletions,
	}
	ownerFlag(cmd, &in.Owner)
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		in.Id = args[0]
		answer, err := s.RevokeToken(ctx, in)
		if err != nil {
			return err
		}
		return c.done("revoked token "+first(strings.Join(answer.GetIds(), " "), args[0]), answer.GetChange(), answer)
	})
	return changes(cmd)
}

func ownerFlag(cmd *cobra.Command, owner *string) {
	cmd.Flags().StringVar(owner, "owner", "", "those of another, written ISSUER/SUBJECT; for operators")
	_ = cmd.RegisterFlagCompletionFunc("owner", cobra.NoFileCompletions)
}
