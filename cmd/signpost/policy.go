package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	pb "signpost/proto/signpost/v1"
)

func (c *cli) policy() *cobra.Command {
	return group("policy", "How the answers of a host are chosen from its endpoints: set, show", "", c.policySet(), c.policyShow())
}

var policyKinds = []string{"failover", "all", "weighted"}

func (c *cli) policySet() *cobra.Command {
	in := &pb.SetPolicyRequest{}
	var suspect timeSpan
	var minHealthy, maxAnswers uint32
	cmd := &cobra.Command{
		Use: "set FQDN failover|all|weighted", Short: "Say how a host's answers are chosen; what is not given gets its default", Args: takes(2, 2),
		Long: `Say how a host's answers are chosen from the endpoints that are up: all of them, those
with the lowest priority (failover), or some at random by weight (weighted).`,
		Example: "  signpost policy set www.fedcloud.test failover --failback manual",
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 1 {
			return policyKinds, cobra.ShellCompDirectiveNoFileComp
		}
		return c.hostNames(cmd, args, begun)
	}
	f := cmd.Flags()
	f.Uint32Var(&minHealthy, "min-healthy", 0, "with fewer endpoints up than this none is believed to be down (default 1)")
	f.StringArrayVar(&in.Fallback, "fallback", nil, "an address to be answered then; may be given again (default: all that no operator took away)")
	f.Var(&choice{value: &in.Failback, allowed: []string{"auto", "manual"}}, "failback", "with failover: whether a lower priority that is up again is answered again by itself")
	f.Uint32Var(&maxAnswers, "max-answers", 0, "with weighted: the addresses of how many endpoints are answered (default 1)")
	f.Var(&suspect, "suspect-ttl", "no longer TTL while an endpoint that is answered is suspect (default 5s)")
	etagFlag(cmd, &in.Etag)
	plain(cmd, "min-healthy", "fallback", "max-answers", "suspect-ttl")
	_ = cmd.RegisterFlagCompletionFunc("failback", cobra.FixedCompletions([]string{"auto", "manual"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		in.Fqdn, in.Kind = args[0], args[1]
		given(f, "min-healthy", &in.MinHealthy, minHealthy)
		given(f, "max-answers", &in.MaxAnswers, maxAnswers)
		given(f, "suspect-ttl", &in.SuspectTtl, suspect.seconds)
		answer, err := s.SetPolicy(ctx, in)
		if err != nil {
			return err
		}
		for _, w := range answer.GetWarnings() {
			c.complain("warning: " + w)
		}
		return c.done("set policy of "+answer.GetPolicy().GetFqdn(), answer.GetChange(), answer)
	})
	return changes(cmd)
}

func (c *cli) policyShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show FQDN", Short: "Show how a host's answers are chosen", Args: takes(1, 1), ValidArgsFunction: c.hostNames}
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		p, err := s.GetPolicy(ctx, &pb.GetPolicyRequest{Fqdn: args[0]})
		if err != nil {
			return err
		}
		if c.json() {
			return c.printJSON(p)
		}
		rows := [][]string{{"host", p.GetFqdn()}, {"policy", p.GetKind()}, {"min healthy", decimal(p.GetMinHealthy())}}
		if p.GetFailback() != "" {
			rows = append(rows, []string{"failback", p.GetFailback()})
		}
		if p.GetMaxAnswers() != 0 {
			rows = append(rows, []string{"max answers", decimal(p.GetMaxAnswers())})
		}
		return table(c.out, append(rows,
			[]string{"fallback", orDash(strings.Join(p.GetFallback(), " "))},
			[]string{"suspect ttl", span(p.GetSuspectTtl())},
			[]string{"etag", strings.Trim(p.GetEtag(), `"`)}))
	})
	return cmd
}
