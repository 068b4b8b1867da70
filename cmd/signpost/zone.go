package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	pb "signpost/proto/signpost/v1"
)

func (c *cli) zone() *cobra.Command {
	return group("zone", "Zones: create, list, show, set, import, diff, export, delete, accept", "",
		c.zoneCreate(), c.zoneList(), c.zoneShow(), c.zoneSet(), c.zoneImport(), c.zoneDiff(), c.zoneExport(), c.zoneDelete(), c.zoneAccept())
}

// zoneFlags are the settings of a zone.
type zoneFlags struct {
	ttl, least, greatest, negative timeSpan
	local                          onOff
}

func (z *zoneFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Var(&z.ttl, "ttl", "TTL of what has none of its own, such as 60 or 5m")
	f.Var(&z.least, "min-ttl", "least TTL that is accepted")
	f.Var(&z.greatest, "max-ttl", "greatest TTL that is accepted")
	f.Var(&z.negative, "negative-ttl", "greatest TTL of negative answers")
	switchFlag(f, &z.local, "local-addresses", "let hosts have loopback and link-local addresses")
}

func (c *cli) zoneCreate() *cobra.Command {
	var z zoneFlags
	var servers []string
	cmd := &cobra.Command{
		Use:   "create NAME --ns NAME[=ADDRESS[,ADDRESS]]...",
		Short: "Create an empty zone",
		Long: `Create an empty zone with the given name servers. A name server inside the zone
needs its addresses.`,
		Example:           "  signpost zone create fedcloud.test --ns ns1.fedcloud.test=192.0.2.53 --ns ns.example.org",
		Args:              takes(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringArrayVar(&servers, "ns", nil, "a name server; may be given again")
	z.add(cmd)
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		ns, err := nameServers(servers)
		if err != nil {
			return err
		}
		answer, err := s.CreateZone(ctx, &pb.CreateZoneRequest{
			Name: args[0], NameServers: ns,
			Ttl: z.ttl.seconds, MinTtl: z.least.seconds, MaxTtl: z.greatest.seconds, NegativeTtl: z.negative.seconds,
			LocalAddresses: z.local.on,
		})
		if err != nil {
			return err
		}
		return c.done("created zone "+answer.GetZone().GetName(), answer.GetChange(), answer)
	})
	return changes(cmd)
}

// nameServers reads NAME or NAME=ADDRESS,ADDRESS.
func nameServers(flags []string) ([]*pb.NameServer, error) {
	if len(flags) == 0 {
		return nil, badUsage("a zone needs name servers; give at least one --ns NAME or --ns NAME=ADDRESS")
	}
	var out []*pb.NameServer
	for _, f := range flags {
		name, addresses, with := strings.Cut(f, "=")
		if name == "" || with && addresses == "" {
			return nil, badUsage("--ns " + f + ": it is NAME or NAME=ADDRESS[,ADDRESS]")
		}
		ns := &pb.NameServer{Name: name}
		if with {
			ns.Addresses = strings.Split(addresses, ",")
		}
		out = append(out, ns)
	}
	return out, nil
}

func (c *cli) zoneList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the zones", Args: takes(0, 0), ValidArgsFunction: cobra.NoFileCompletions}
	cmd.RunE = c.does(func(ctx context.Context, s *service, _ []string) error {
		all := &pb.ListZonesResponse{}
		for in := (&pb.ListZonesRequest{PageSize: pageSize}); ; {
			page, err := s.ListZones(ctx, in)
			if err != nil {
				return err
			}
			all.Zones = append(all.Zones, page.GetZones()...)
			if in.PageToken = page.GetNextPageToken(); in.PageToken == "" {
				break
			}
		}
		if c.json() {
			return c.printJSON(all)
		}
		rows := [][]string{{"ZONE", "TTL", "SERIAL", "NAME SERVERS"}}
		for _, z := range all.GetZones() {
			rows = append(rows, []string{z.GetName(), span(z.GetTtl()), strconv.FormatUint(uint64(z.GetSerial()), 10), strings.Join(z.GetNameServers(), " ")})
		}
		return table(c.out, c.titled(rows))
	})
	return cmd
}

// pageSize is as much of a list as the service gives at once.
const pageSize = 1000

func (c *cli) zoneShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show NAME", Short: "Show a zone's settings", Args: takes(1, 1), ValidArgsFunction: c.zoneNames}
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		z, err := s.GetZone(ctx, &pb.GetZoneRequest{Name: args[0]})
		if err != nil {
			return err
		}
		if c.json() {
			return c.printJSON(z)
		}
		rows := [][]string{
			{"zone", z.GetName()},
			{"name servers", strings.Join(z.GetNameServers(), " ")},
			{"ttl", span(z.GetTtl()) + ", accepted " + span(z.GetMinTtl()) + " to " + span(z.GetMaxTtl())},
			{"negative ttl", span(z.GetNegativeTtl())},
			{"local addresses", yesNo(z.GetLocalAddresses())},
			{"serial", strconv.FormatUint(uint64(z.GetSerial()), 10)},
			{"created", when(z.GetCreateTime())},
			{"etag", orDash(strings.Trim(z.GetEtag(), `"`))},
		}
		if p := z.GetPolicy(); p != nil {
			rows = append(rows, policyRows(p)...)
		}
		if i := z.GetImport(); i != nil {
			rows = append(rows, []string{"import", importState(i)})
		}
		return table(c.out, rows)
	})
	return cmd
}

// importState says who is importing and how far it is.
func importState(i *pb.ImportStatus) string {
	text := "by " + i.GetPrincipal() + " since " + when(i.GetStartTime())
	if p := i.GetProgress(); p.GetPhase() != "" {
		text += fmt.Sprintf(", %s: %d of %d", p.GetPhase(), p.GetDone(), p.GetTotal())
	}
	if i.GetClosed() {
		text += "; changes are refused until it is done"
	}
	return text
}

func (c *cli) zoneSet() *cobra.Command {
	var z zoneFlags
	var policy policyFlags
	var etag string
	cmd := &cobra.Command{
		Use: "set NAME", Short: "Change a zone's settings and who may register in it; only what is given changes", Args: takes(1, 1), ValidArgsFunction: c.zoneNames,
		Example: `  signpost zone set fedcloud.test --ttl 2m --local-addresses=off
  signpost zone set fedcloud.test --register groups --group group:egi/vo.example.org:role=member --admin egi/0123@egi.eu`,
	}
	z.add(cmd)
	policy.add(cmd)
	etagFlag(cmd, &etag)
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		in := &pb.UpdateZoneRequest{
			Name: args[0], Etag: etag,
			Ttl: z.ttl.optional(), MinTtl: z.least.optional(), MaxTtl: z.greatest.optional(), NegativeTtl: z.negative.optional(),
			LocalAddresses: z.local.optional(),
		}
		settings := in.Ttl != nil || in.MinTtl != nil || in.MaxTtl != nil || in.NegativeTtl != nil || in.LocalAddresses != nil
		switch who := policy.request(args[0], etag); {
		case who == nil && !settings:
			return badUsage("nothing to set; give at least one setting, such as --ttl")
		case who != nil && settings:
			return badUsage("who may register is one change and the other settings another; give them in two calls")
		case who != nil:
			answer, err := s.UpdateZonePolicy(ctx, who)
			if err != nil {
				return err
			}
			return c.done("set who may do what in zone "+args[0], answer.GetChange(), answer)
		}
		answer, err := s.UpdateZone(ctx, in)
		if err != nil {
			return err
		}
		return c.done("set zone "+answer.GetZone().GetName(), answer.GetChange(), answer)
	})
	return changes(cmd)
}

func (c *cli) zoneDelete() *cobra.Command {
	var etag string
	var force bool
	cmd := &cobra.Command{
		Use: "delete NAME", Short: "Delete a zone", Args: takes(1, 1), ValidArgsFunction: c.zoneNames,
	}
	cmd.Flags().BoolVar(&force, "force", false, "delete it with all hosts and records that are in it")
	etagFlag(cmd, &etag)
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		answer, err := s.DeleteZone(ctx, &pb.DeleteZoneRequest{Name: args[0], Force: force, Etag: etag})
		if err != nil {
			return err
		}
		return c.done("deleted zone "+args[0], answer.GetChange(), answer)
	})
	return changes(cmd)
}

func (c *cli) zoneAccept() *cobra.Command {
	cmd := &cobra.Command{
		Use: "accept NAME", Short: "Say that losing most names of a zone is meant", Args: takes(1, 1), ValidArgsFunction: c.zoneNames,
		Long: `Say that losing most names of a zone, or the zone itself, is meant. Name servers keep
a zone as it was when a single step would take away more than half of its names and
at least 100, or the zone, and nobody has said that this is meant; what this program
was told to delete or replace is. They show it as coredns_signpost_guarded_zones.`,
	}
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		answer, err := s.AcceptZone(ctx, &pb.AcceptZoneRequest{Name: args[0]})
		if err != nil {
			return err
		}
		return c.done("accepted what zone "+args[0]+" has lost", answer.GetChange(), answer)
	})
	return changes(cmd)
}
