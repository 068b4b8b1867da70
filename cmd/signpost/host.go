package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	pb "signpost/proto/signpost/v1"
)

func (c *cli) host() *cobra.Command {
	return group("host", "Hosts: create, list, show, set, set-address, rotate-secret, share, unshare, transfer, accept, leave, block, unblock, disable, enable, admin, delete", "",
		c.hostCreate(), c.hostList(), c.hostShow(), c.hostSet(), c.hostSetAddress(), c.hostRotateSecret(),
		c.hostShare(), c.hostUnshare(), c.hostTransfer(), c.hostAccept(), c.hostLeave(),
		c.hostBlock(), c.hostUnblock(), c.hostDisable(), c.hostEnable(), c.hostAdmin(), c.hostDelete())
}

func (c *cli) hostCreate() *cobra.Command {
	in := &pb.CreateHostRequest{}
	var life timeSpan
	var wildcard onOff
	cmd := &cobra.Command{
		Use:   "create FQDN [--ip ADDRESS]...",
		Short: "Create a host and print its secret, this once",
		Long: `Create a host. Its secret is printed once: with it a machine sets its own
addresses, as in curl -u FQDN:SECRET SERVER/nic/update.`,
		Example: `  signpost host create www.fedcloud.test --ip 192.0.2.7 --ip 2001:db8::7
  SECRET=$(signpost host create www.fedcloud.test --quiet)`,
		Args:              takes(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.StringArrayVar(&in.Addresses, "ip", nil, "an address; may be given again")
	switchFlag(f, &wildcard, "wildcard", "let all names below it have its addresses")
	f.Var(&life, "ttl", "its TTL, such as 60 or 5m (default: the zone's)")
	f.StringVar(&in.Comment, "comment", "", "words for people")
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		in.Fqdn, in.Wildcard, in.Ttl = args[0], wildcard.on, life.seconds
		answer, err := s.CreateHost(ctx, in)
		if err != nil {
			return err
		}
		for _, w := range answer.GetWarnings() {
			c.complain("warning: " + w)
		}
		if answer.GetWithoutSecret() {
			return c.done("created host "+answer.GetHost().GetFqdn(), answer.GetChange(), answer)
		}
		return c.secret("created host "+answer.GetHost().GetFqdn(), answer.GetSecret(), answer.GetChange(), answer)
	})
	return changes(cmd)
}

func (c *cli) hostList() *cobra.Command {
	in := &pb.ListHostsRequest{PageSize: pageSize}
	cmd := &cobra.Command{
		Use: "list", Short: "List hosts", Args: takes(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
		Example: "  signpost host list --zone fedcloud.test --address 192.0.2.0/24",
	}
	cmd.Flags().StringVar(&in.Zone, "zone", "", "only those of this zone")
	cmd.Flags().StringVar(&in.Address, "address", "", "only those with an address in this prefix, or with this address")
	cmd.Flags().BoolVar(&in.Mine, "mine", false, "only those that you own or edit")
	_ = cmd.RegisterFlagCompletionFunc("zone", c.zoneNames)
	cmd.RunE = c.does(func(ctx context.Context, s *service, _ []string) error {
		all := &pb.ListHostsResponse{}
		for {
			page, err := s.ListHosts(ctx, in)
			if err != nil {
				return err
			}
			all.Hosts = append(all.Hosts, page.GetHosts()...)
			if in.PageToken = page.GetNextPageToken(); in.PageToken == "" {
				break
			}
		}
		if c.json() {
			return c.printJSON(all)
		}
		rows := [][]string{{"HOST", "ADDRESSES", "TTL", "OWNER", "STATE", "EXPIRES", "COMMENT"}}
		for _, h := range all.GetHosts() {
			rows = append(rows, []string{h.GetFqdn(), addresses(h), hostTTL(h), orDash(h.GetOwner()), hostState(h), when(h.GetLeaseExpireTime()), h.GetComment()})
		}
		return table(c.out, c.titled(rows))
	})
	return cmd
}

// addresses is those of a host, and behind a plus those of its endpoints.
func addresses(h *pb.Host) string {
	text := strings.Join(h.GetAddresses(), " ")
	if len(h.GetEndpointAddresses()) > 0 {
		text = strings.TrimSpace(text + " + " + strings.Join(h.GetEndpointAddresses(), " "))
	}
	return orDash(text)
}

func hostTTL(h *pb.Host) string {
	if h.GetTtl() == 0 {
		return "zone's"
	}
	return span(h.GetTtl())
}

func hostRows(h *pb.Host) [][]string {
	rows := [][]string{
		{"host", h.GetFqdn()},
		{"zone", h.GetZone()},
		{"addresses", addresses(h)},
		{"ttl", hostTTL(h)},
		{"wildcard", yesNo(h.GetWildcard())},
		{"owner", orDash(h.GetOwner())},
		{"editors", orDash(strings.Join(h.GetEditors(), " "))},
		{"comment", orDash(h.GetComment())},
		{"created", when(h.GetCreateTime())},
		{"updated", "IPv4 " + when(h.GetUpdateTimeIpv4()) + ", IPv6 " + when(h.GetUpdateTimeIpv6())},
		{"etag", orDash(strings.Trim(h.GetEtag(), `"`))},
	}
	if h.GetSecretUseTime() != nil {
		rows = append(rows, []string{"secret used", h.GetSecretUseTime().AsTime().UTC().Format(time.DateOnly)})
	}
	if h.GetOfferedTo() != "" {
		rows = append(rows, []string{"offered", "to " + h.GetOfferedTo() + " until " + when(h.GetOfferExpireTime())})
	}
	return append(append(rows, followRows(h)...), withdrawalRows(h)...)
}

func (c *cli) hostShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show FQDN", Short: "Show a host", Args: takes(1, 1), ValidArgsFunction: c.hostNames}
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		h, err := s.GetHost(ctx, &pb.GetHostRequest{Fqdn: args[0]})
		if err != nil {
			return err
		}
		if c.json() {
			return c.printJSON(h)
		}
		return table(c.out, hostRows(h))
	})
	return cmd
}

func (c *cli) hostSet() *cobra.Command {
	in := &pb.UpdateHostRequest{}
	var life timeSpan
	var wildcard onOff
	var comment string
	var follow followFlags
	cmd := &cobra.Command{
		Use: "set FQDN", Short: "Change a host's settings; only what is given changes", Args: takes(1, 1), ValidArgsFunction: c.hostNames,
		Example: `  signpost host set www.fedcloud.test --ttl 5m --wildcard=off
  signpost host set nas.fedcloud.test --follows router.fedcloud.test --follow-ipv6 ::1:2:3:4/64`,
	}
	f := cmd.Flags()
	switchFlag(f, &wildcard, "wildcard", "let all names below it have its addresses")
	f.Var(&life, "ttl", "its TTL; 0 makes it the zone's")
	f.StringVar(&comment, "comment", "", "words for people")
	follow.add(cmd, c.hostNames)
	confirmFlag(cmd, &in.ConfirmLast)
	etagFlag(cmd, &in.Etag)
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		in.Fqdn, in.Wildcard, in.Ttl = args[0], wildcard.optional(), life.optional()
		if f.Changed("comment") {
			in.Comment = &comment
		}
		var err error
		if in.Follows, err = follow.request(); err != nil {
			return err
		}
		if in.Wildcard == nil && in.Ttl == nil && in.Comment == nil && in.Follows == nil {
			return badUsage("nothing to set; give --ttl, --wildcard, --comment or --follows")
		}
		answer, err := s.UpdateHost(ctx, in)
		if err != nil {
			return err
		}
		return c.done("set host "+answer.GetHost().GetFqdn(), answer.GetChange(), answer)
	})
	return changes(cmd)
}

func (c *cli) hostSetAddress() *cobra.Command {
	in := &pb.SetAddressesRequest{}
	cmd := &cobra.Command{
		Use:   "set-address FQDN [ADDRESS]...",
		Short: "Set a host's addresses",
		Long: `Set a host's addresses. Those given replace all that it has of the same family;
a family that is not mentioned is left alone.`,
		Example: `  signpost host set-address www.fedcloud.test 192.0.2.8
  signpost host set-address www.fedcloud.test 2001:db8::8 --clear-ipv4`,
		Args:              takes(1, -1),
		ValidArgsFunction: c.hostNames,
	}
	cmd.Flags().BoolVar(&in.ClearIpv4, "clear-ipv4", false, "take its IPv4 addresses away")
	cmd.Flags().BoolVar(&in.ClearIpv6, "clear-ipv6", false, "take its IPv6 addresses away")
	confirmFlag(cmd, &in.ConfirmLast)
	etagFlag(cmd, &in.Etag)
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		in.Fqdn, in.Addresses = args[0], args[1:]
		if len(in.Addresses) == 0 && !in.ClearIpv4 && !in.ClearIpv6 {
			return badUsage("no address given; give one, or --clear-ipv4 or --clear-ipv6")
		}
		answer, err := s.SetAddresses(ctx, in)
		if err != nil {
			return err
		}
		h := answer.GetHost()
		return c.done(h.GetFqdn()+" has "+first(strings.Join(h.GetAddresses(), " "), "no address"), answer.GetChange(), answer)
	})
	return changes(cmd)
}

func (c *cli) hostRotateSecret() *cobra.Command {
	cmd := &cobra.Command{
		Use: "rotate-secret FQDN", Short: "Make a new secret for a host; the old one stops working", Args: takes(1, 1), ValidArgsFunction: c.hostNames,
	}
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		answer, err := s.RotateSecret(ctx, &pb.RotateSecretRequest{Fqdn: args[0]})
		if err != nil {
			return err
		}
		return c.secret("made a new secret for "+args[0], answer.GetSecret(), answer.GetChange(), answer)
	})
	return changes(cmd)
}

func (c *cli) hostDelete() *cobra.Command {
	in := &pb.DeleteHostRequest{}
	cmd := &cobra.Command{Use: "delete FQDN", Short: "Delete a host", Args: takes(1, 1), ValidArgsFunction: c.hostNames}
	etagFlag(cmd, &in.Etag)
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		in.Fqdn = args[0]
		answer, err := s.DeleteHost(ctx, in)
		if err != nil {
			return err
		}
		return c.done("deleted host "+args[0]+wentWith(answer), answer.GetChange(), answer)
	})
	return changes(cmd)
}

// wentWith says what a deleted host took along; "" when that is nothing.
func wentWith(a *pb.DeleteHostResponse) string {
	if a.GetNames() == 0 && a.GetRecordSets() == 0 {
		return ""
	}
	return fmt.Sprintf(" with all it held: record sets %d, names below it %d", a.GetRecordSets(), a.GetNames())
}
