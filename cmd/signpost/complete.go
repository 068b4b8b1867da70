package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	pb "signpost/proto/signpost/v1"
)

// completeTimeout is how long a person who pressed Tab waits for names.
const completeTimeout = 2 * time.Second

// complete gives words from the service for an argument; when they cannot be had,
// none, in silence.
func (c *cli) complete(cmd *cobra.Command, words func(context.Context, *service) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	s, err := c.dial()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer s.close()
	ctx, cancel, err := s.callContext(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer cancel()
	ctx, stop := context.WithTimeout(ctx, completeTimeout)
	defer stop()
	found, err := words(ctx, s)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// zoneNames completes the first argument, or a flag, with the zones.
func (c *cli) zoneNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.complete(cmd, func(ctx context.Context, s *service) (names []string, err error) {
		page, err := s.ListZones(ctx, &pb.ListZonesRequest{PageSize: pageSize})
		for _, z := range page.GetZones() {
			names = append(names, z.GetName())
		}
		return names, err
	})
}

// zoneNameThenFile completes NAME FILE.
func (c *cli) zoneNameThenFile(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 1 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return c.zoneNames(cmd, args, begun)
}

// hostNames completes the first argument, or a flag, with hosts.
func (c *cli) hostNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.complete(cmd, func(ctx context.Context, s *service) (names []string, err error) {
		page, err := s.ListHosts(ctx, &pb.ListHostsRequest{PageSize: pageSize})
		for _, h := range page.GetHosts() {
			names = append(names, h.GetFqdn())
		}
		return names, err
	})
}

// nameThenType completes FQDN TYPE.
func (c *cli) nameThenType(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 1 {
		return []string{"A", "AAAA", "CAA", "CNAME", "HTTPS", "MX", "NS", "SRV", "SSHFP", "SVCB", "TLSA", "TXT"}, cobra.ShellCompDirectiveNoFileComp
	}
	return c.hostNames(cmd, args, begun)
}
