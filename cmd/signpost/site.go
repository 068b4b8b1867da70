package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	pb "signpost/proto/signpost/v1"
)

func (c *cli) site() *cobra.Command {
	return group("site", "Sites: drain, undrain, list", "", c.siteDrain(), c.siteUndrain(), c.siteList())
}

func (c *cli) siteDrain() *cobra.Command {
	var w word
	cmd := &cobra.Command{
		Use: "drain SITE", Short: "Take all endpoints on a site out of the answers", Args: takes(1, 1), ValidArgsFunction: c.siteNames,
		Long: `Take all endpoints on a site out of the answers, but those of which, or of whose hosts,
somebody says something else. For operators.`,
		Example: "  signpost site drain cesnet --reason 'power work' --for 8h",
	}
	w.flags(cmd)
	return c.siteSays(cmd, "drain", "drained", &w)
}

func (c *cli) siteUndrain() *cobra.Command {
	cmd := &cobra.Command{Use: "undrain SITE", Short: "Take back what is said of a site", Args: takes(1, 1), ValidArgsFunction: c.siteNames}
	return c.siteSays(cmd, "auto", "undrained", &word{})
}

func (c *cli) siteSays(cmd *cobra.Command, say, done string, w *word) *cobra.Command {
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		answer, err := s.SetSiteWord(ctx, &pb.SetSiteWordRequest{Site: args[0], Say: say, Reason: w.reason, For: w.length(), ConfirmLast: w.confirm})
		if err != nil {
			return err
		}
		return c.done(done+" site "+args[0], answer.GetChange(), answer)
	})
	return changes(cmd)
}

func (c *cli) siteList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the sites that have a checker or of which something is said", Args: takes(0, 0), ValidArgsFunction: cobra.NoFileCompletions}
	cmd.RunE = c.does(func(ctx context.Context, s *service, _ []string) error {
		all, err := s.ListSites(ctx, &pb.ListSitesRequest{})
		if err != nil {
			return err
		}
		if c.json() {
			return c.printJSON(all)
		}
		rows := [][]string{{"SITE", "CHECKER", "WORD"}}
		for _, site := range all.GetSites() {
			rows = append(rows, []string{site.GetSite(), checkerState(site.GetChecker()), wordText(site.GetWord())})
		}
		return table(c.out, c.titled(rows))
	})
	return cmd
}

func (c *cli) siteNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.complete(cmd, func(ctx context.Context, s *service) (names []string, err error) {
		all, err := s.ListSites(ctx, &pb.ListSitesRequest{})
		for _, site := range all.GetSites() {
			names = append(names, site.GetSite())
		}
		return names, err
	})
}

func checkerState(k *pb.Checker) string {
	switch {
	case k == nil:
		return "-"
	case !k.GetAlive():
		return "silent"
	case k.GetDoubt():
		return "in doubt"
	}
	return "alive"
}

func (c *cli) checker() *cobra.Command {
	return group("checker", "Checkers, the monitors of sites that vote: list, remove", "", c.checkerList(), c.checkerRemove())
}

func (c *cli) checkerList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the registered checkers and whether they live", Args: takes(0, 0), ValidArgsFunction: cobra.NoFileCompletions}
	cmd.RunE = c.does(func(ctx context.Context, s *service, _ []string) error {
		all, err := s.ListCheckers(ctx, &pb.ListCheckersRequest{})
		if err != nil {
			return err
		}
		if c.json() {
			return c.printJSON(all)
		}
		rows := [][]string{{"SITE", "STATE", "SINCE", "TARGETS", "REGISTERED"}}
		for _, k := range all.GetCheckers() {
			targets := "-"
			if k.GetAlive() {
				targets = strconv.FormatUint(uint64(k.GetTargets()), 10)
			}
			rows = append(rows, []string{k.GetSite(), checkerState(k), when(k.GetStartTime()), targets, when(k.GetRegisterTime())})
		}
		return table(c.out, c.titled(rows))
	})
	return cmd
}

func (c *cli) checkerRemove() *cobra.Command {
	cmd := &cobra.Command{
		Use: "remove SITE", Short: "Count the checker of a site no more", Args: takes(1, 1), ValidArgsFunction: c.siteNames,
		Long: `Count the checker of a site no more: what it said last no longer matters. A checker that
is only cut off for a while should stay; one that still runs registers anew.`,
	}
	in := &pb.RemoveCheckerRequest{}
	cmd.Flags().BoolVar(&in.ConfirmLast, "confirm-last", false, "also if nothing of some hosts is up to those that are left")
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		in.Site = args[0]
		answer, err := s.RemoveChecker(ctx, in)
		if err != nil {
			return err
		}
		return c.done("removed checker "+args[0], answer.GetChange(), answer)
	})
	return changes(cmd)
}

func (c *cli) freeze() *cobra.Command {
	return group("freeze", "The switch that keeps all automation from changing answers: on, off, show", "", c.freezeTurn("on"), c.freezeTurn("off"), c.freezeShow())
}

func (c *cli) freezeTurn(to string) *cobra.Command {
	in := &pb.SetFreezeRequest{On: to == "on"}
	cmd := &cobra.Command{Use: to, Args: takes(0, 0), ValidArgsFunction: cobra.NoFileCompletions, Short: "Let automation change answers again"}
	if in.On {
		cmd.Short = "Have votes, fail-backs and migrations change no answer; people still do"
		cmd.Flags().StringVar(&in.Reason, "reason", "", "why, for people")
		plain(cmd, "reason")
	}
	cmd.RunE = c.does(func(ctx context.Context, s *service, _ []string) error {
		answer, err := s.SetFreeze(ctx, in)
		if err != nil {
			return err
		}
		return c.done("freeze is "+to, answer.GetChange(), answer)
	})
	return changes(cmd)
}

func (c *cli) freezeShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show", Short: "Show the switch", Args: takes(0, 0), ValidArgsFunction: cobra.NoFileCompletions}
	cmd.RunE = c.does(func(ctx context.Context, s *service, _ []string) error {
		f, err := s.GetFreeze(ctx, &pb.GetFreezeRequest{})
		if err != nil {
			return err
		}
		if c.json() {
			return c.printJSON(f)
		}
		c.say(clean(freezeText(f)) + "\n")
		return nil
	})
	return cmd
}

func freezeText(f *pb.Freeze) string {
	if !f.GetOn() {
		return "off"
	}
	text := "on"
	if f.GetReason() != "" {
		text += " (" + f.GetReason() + ")"
	}
	return text + " by " + f.GetBy() + ", " + when(f.GetTime())
}
