package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	pb "signpost/proto/signpost/v1"
)

func (c *cli) endpoint() *cobra.Command {
	return group("endpoint", "Endpoints of a host, its instances on sites: list, set, remove, rotate-secret, admin", "",
		c.endpointList(), c.endpointSet(), c.endpointRemove(), c.endpointRotateSecret(), c.endpointAdmin())
}

func (c *cli) endpointList() *cobra.Command {
	cmd := &cobra.Command{Use: "list FQDN", Short: "List the endpoints of a host and how they stand", Args: takes(1, 1), ValidArgsFunction: c.hostNames}
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		all, err := s.ListEndpoints(ctx, &pb.ListEndpointsRequest{Fqdn: args[0]})
		if err != nil {
			return err
		}
		if c.json() {
			return c.printJSON(all)
		}
		return table(c.out, c.titled(endpointRows(all.GetEndpoints())))
	})
	return cmd
}

func endpointRows(all []*pb.Endpoint) [][]string {
	rows := [][]string{{"ENDPOINT", "SITE", "ADDRESSES", "PRIORITY", "WEIGHT", "STATE", "ANSWERED", "WHY"}}
	for _, e := range all {
		rows = append(rows, []string{
			e.GetId(), orDash(e.GetSite()), orDash(strings.Join(e.GetAddresses(), " ")), decimal(e.GetPriority()), decimal(e.GetWeight()),
			e.GetState(), yesNo(e.GetAnswered()), e.GetWhy(),
		})
	}
	return rows
}

func decimal(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func (c *cli) endpointSet() *cobra.Command {
	in := &pb.SetEndpointRequest{}
	var site string
	var priority, weight uint32
	cmd := &cobra.Command{
		Use: "set FQDN ID [--site SITE] [--ip ADDRESS]...", Short: "Make an endpoint, or change what is given of it", Args: takes(2, 2), ValidArgsFunction: c.endpointIDs,
		Example: "  signpost endpoint set www.fedcloud.test cesnet --site cesnet --ip 192.0.2.7\n  signpost endpoint set www.fedcloud.test infn --site infn --ip 198.51.100.7 --priority 1",
	}
	f := cmd.Flags()
	f.StringVar(&site, "site", "", "the site that it is on")
	f.StringArrayVar(&in.Addresses, "ip", nil, "an address, in the place of those it has; may be given again")
	f.Uint32Var(&priority, "priority", 0, "the lower comes first, with the policy failover")
	f.Uint32Var(&weight, "weight", 1, "its share, with the policy weighted; 0: only if all have 0")
	etagFlag(cmd, &in.Etag)
	confirmFlag(cmd, &in.ConfirmLast)
	plain(cmd, "site", "ip", "priority", "weight")
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		in.Fqdn, in.Id = args[0], args[1]
		given(f, "site", &in.Site, site)
		given(f, "priority", &in.Priority, priority)
		given(f, "weight", &in.Weight, weight)
		answer, err := s.SetEndpoint(ctx, in)
		if err != nil {
			return err
		}
		e := answer.GetEndpoint()
		return c.done("set endpoint "+e.GetId()+" of "+e.GetFqdn(), answer.GetChange(), answer)
	})
	return changes(cmd)
}

// plain has nothing completed for flags.
func plain(cmd *cobra.Command, flags ...string) {
	for _, name := range flags {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
}

func (c *cli) endpointRemove() *cobra.Command {
	in := &pb.RemoveEndpointRequest{}
	cmd := &cobra.Command{
		Use: "remove FQDN ID", Short: "Remove an endpoint with its secret and what is said of it", Args: takes(2, 2), ValidArgsFunction: c.endpointIDs,
	}
	etagFlag(cmd, &in.Etag)
	confirmFlag(cmd, &in.ConfirmLast)
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		in.Fqdn, in.Id = args[0], args[1]
		answer, err := s.RemoveEndpoint(ctx, in)
		if err != nil {
			return err
		}
		return c.done("removed endpoint "+in.Id+" of "+in.Fqdn, answer.GetChange(), answer)
	})
	return changes(cmd)
}

func confirmFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "confirm-last", false, "also if nothing else of the host is up or offered")
}

func (c *cli) endpointRotateSecret() *cobra.Command {
	in := &pb.RotateEndpointSecretRequest{}
	cmd := &cobra.Command{
		Use: "rotate-secret FQDN ID", Short: "Make an endpoint's secret, in the place of the one it had, and print it, this once", Args: takes(2, 2), ValidArgsFunction: c.endpointIDs,
		Long: `Make the secret of an endpoint, for the machine that it is: with it the machine sets
the endpoint's addresses, sends its heartbeats and drains it, and nothing else.`,
	}
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		in.Fqdn, in.Id = args[0], args[1]
		answer, err := s.RotateEndpointSecret(ctx, in)
		if err != nil {
			return err
		}
		return c.secret("made a secret for endpoint "+in.Id+" of "+in.Fqdn, answer.GetSecret(), answer.GetChange(), answer)
	})
	return changes(cmd)
}

// endpointIDs completes FQDN ID.
func (c *cli) endpointIDs(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return c.hostNames(cmd, args, begun)
	}
	return c.complete(cmd, func(ctx context.Context, s *service) (ids []string, err error) {
		all, err := s.ListEndpoints(ctx, &pb.ListEndpointsRequest{Fqdn: args[0]})
		for _, e := range all.GetEndpoints() {
			ids = append(ids, e.GetId())
		}
		return ids, err
	})
}
