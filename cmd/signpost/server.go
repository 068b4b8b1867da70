package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"signpost/internal/version"
	pb "signpost/proto/signpost/v1"
)

func (c *cli) status() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status [FQDN]", Short: "Show how the service is, or what a name answers and which name servers say so",
		Args: takes(0, 1), ValidArgsFunction: c.hostNames,
	}
	cmd.RunE = c.does(func(ctx context.Context, s *service, args []string) error {
		in := &pb.GetStatusRequest{}
		if len(args) == 1 {
			in.Fqdn = args[0]
		}
		st, err := s.GetStatus(ctx, in)
		if err != nil {
			return err
		}
		var h *pb.Health
		if st.GetHost() != nil {
			if h, err = s.GetHealth(ctx, &pb.GetHealthRequest{Fqdn: in.Fqdn}); err != nil {
				return err
			}
		}
		switch {
		case c.json() && h != nil:
			return c.statusWithHealth(st, h)
		case c.json():
			return c.printJSON(st)
		}
		return c.printStatus(s.url, in.Fqdn, st, h)
	})
	return cmd
}

func (c *cli) printStatus(url, fqdn string, st *pb.ServerStatus, health *pb.Health) error {
	if fqdn == "" {
		return table(c.out, [][]string{
			{"server", url},
			{"version", st.GetVersion()},
			{"etcd", fmt.Sprintf("cluster %s, revision %d, %s", st.GetClusterId(), st.GetRevision(), database(st))},
			{"zones", strconv.Itoa(int(st.GetZones()))},
		})
	}
	if h := st.GetHost(); h != nil {
		if err := table(c.out, hostRows(h)); err != nil {
			return err
		}
	} else {
		c.say(clean(fqdn) + " is no host\n")
	}
	sets := st.GetRecordSets()
	if hasStory(health) {
		c.say("\n")
		if err := c.printHealth(health); err != nil {
			return err
		}
		// Its addresses are shown with their endpoints; here they would all look answered.
		sets = slices.DeleteFunc(slices.Clone(sets), func(r *pb.RecordSet) bool { return r.GetType() == "A" || r.GetType() == "AAAA" })
	}
	if len(sets) > 0 {
		c.say("\n")
		if err := table(c.out, c.titled(recordRows(sets))); err != nil {
			return err
		}
	}
	if servers := st.GetNameServers(); len(servers) > 0 {
		c.say("\n")
		return c.visibility(servers)
	}
	return nil
}

func database(st *pb.ServerStatus) string {
	const mib = 1 << 20
	size := fmt.Sprintf("%.1f MiB", float64(st.GetDatabaseBytes())/mib)
	if quota := st.GetDatabaseQuotaBytes(); quota > 0 {
		size += fmt.Sprintf(" of %d MiB", quota/mib)
	}
	return size
}

func (c *cli) whoami() *cobra.Command {
	cmd := &cobra.Command{Use: "whoami", Short: "Show who the service takes you for", Args: takes(0, 0), ValidArgsFunction: cobra.NoFileCompletions}
	cmd.RunE = c.does(func(ctx context.Context, s *service, _ []string) error {
		who, err := s.WhoAmI(ctx, &pb.WhoAmIRequest{})
		if err != nil {
			return err
		}
		if c.json() {
			return c.printJSON(who)
		}
		if who.GetPrincipal() == "" {
			c.say(clean(who.GetKind()) + "\n")
			return nil
		}
		c.say(clean(who.GetPrincipal()+" ("+who.GetKind()+")") + "\n")
		if t := who.GetToken(); t != nil {
			c.say("  by     token " + clean(t.GetId()+", limits: "+tokenLimits(t)) + "\n")
		}
		for _, g := range who.GetGroups() {
			c.say("  in     " + clean(g) + "\n")
		}
		if who.GetExpireTime() != nil {
			c.say("  until  " + when(who.GetExpireTime()) + "\n")
		}
		return nil
	})
	return cmd
}

func (c *cli) audit() *cobra.Command {
	in := &pb.ListAuditRecordsRequest{}
	var limit int
	var follow bool
	var since timeSpan
	cmd := &cobra.Command{
		Use: "audit", Short: "Show who changed what, the newest first", Args: takes(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Show who changed what, the newest first. With --follow the newest are last, what
comes is printed as it comes, with -o json as one line each, and --host shows changes
of names below it too; when the service goes away, it goes on where it was.`,
		Example: "  signpost audit --host www.fedcloud.test\n  signpost audit --follow -n 10\n  signpost audit --principal egi/0b5f4c3e@egi.eu --action host --since 7d",
	}
	f := cmd.Flags()
	f.StringVar(&in.Fqdn, "host", "", "only changes of this name")
	f.StringVar(&in.Zone, "zone", "", "only changes in this zone")
	f.StringVar(&in.Principal, "principal", "", "only changes by this principal, as whoami prints it")
	f.StringVar(&in.Action, "action", "", "only this action, such as host.create; host is all actions on hosts")
	f.Var(&since, "since", "only changes of this last span of time, such as 30m, 12h or 7d")
	f.IntVarP(&limit, "limit", "n", 50, "how many at most; 0 is all")
	f.BoolVarP(&follow, followFlag, "f", false, "go on with what comes, until interrupted")
	_ = cmd.RegisterFlagCompletionFunc("host", c.hostNames)
	_ = cmd.RegisterFlagCompletionFunc("zone", c.zoneNames)
	for _, name := range []string{"principal", "action", "since"} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	cmd.RunE = c.does(func(ctx context.Context, s *service, _ []string) error {
		if limit < 0 {
			return badUsage("--limit: it must not be less than 0")
		}
		if since.set {
			in.Since = timestamppb.New(time.Now().Add(-time.Duration(since.seconds) * time.Second))
		}
		if follow {
			return c.followAudit(ctx, s, in, limit)
		}
		all, err := listAudit(ctx, s, in, limit)
		if err != nil {
			return err
		}
		if c.json() {
			return c.printJSON(all)
		}
		return table(c.out, c.titled(auditRows(all.GetRecords())))
	})
	return cmd
}

// listAudit reads the newest records, at most limit; 0 is all.
func listAudit(ctx context.Context, s *service, in *pb.ListAuditRecordsRequest, limit int) (*pb.ListAuditRecordsResponse, error) {
	all := &pb.ListAuditRecordsResponse{}
	for more := true; more; {
		in.PageSize = pageSize
		if limit > 0 {
			in.PageSize = int32(min(pageSize, limit-len(all.Records)))
		}
		page, err := s.ListAuditRecords(ctx, in)
		if err != nil {
			return nil, err
		}
		all.Records = append(all.Records, page.GetRecords()...)
		in.PageToken = page.GetNextPageToken()
		more = in.PageToken != "" && (limit == 0 || len(all.Records) < limit)
	}
	return all, nil
}

func auditRows(records []*pb.AuditRecord) [][]string {
	rows := [][]string{{"TIME", "REVISION", "WHO", "FROM", "ACTION", "NAME", "CHANGE"}}
	for _, r := range records {
		change := r.GetDetail()
		if r.GetBefore() != "" || r.GetAfter() != "" {
			change = strings.TrimSpace(change + " " + orDash(r.GetBefore()) + " -> " + orDash(r.GetAfter()))
		}
		rows = append(rows, []string{
			when(r.GetTime()), strconv.FormatInt(r.GetRevision(), 10), orDash(r.GetPrincipal()), orDash(r.GetSource()),
			r.GetAction(), first(r.GetName(), r.GetZone(), "-"), change,
		})
	}
	return rows
}

func (c *cli) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version of this command", Args: takes(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			if c.json() {
				return json.NewEncoder(c.out).Encode(map[string]string{"version": version.Version, "go": runtime.Version()})
			}
			c.say("signpost " + version.Version + " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + "\n")
			return nil
		},
	}
}
