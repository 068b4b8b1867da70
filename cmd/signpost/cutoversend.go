package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"signpost/internal/cutover"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// What goes into one call, counted in things that are changed: hosts and record sets.
const (
	mostNamesAtOnce = 16
	mostCostAtOnce  = 18
	mostSizeAtOnce  = 128 << 10 // octets of records
	// interruptions is how often a call is tried again that met an import or others' changes
	// of the same thing, and how long between.
	interruptions = 10
)

// cutoverImport sends a plan.
type cutoverImport struct {
	*cli
	service *service
	flags   *cutoverFlags
	plan    *cutover.Plan
	report  *cutoverReport
	made    *cutover.Zone // the zone, if it was not there before
}

func (i *cutoverImport) run(ctx context.Context) error {
	show := i.progress(false)
	defer show.end()
	total, sent := int64(0), int64(0)
	for _, z := range i.plan.Zones {
		total += int64(len(z.Names))
	}
	for _, z := range i.plan.Zones {
		if err := i.zone(ctx, z); err != nil {
			return fmt.Errorf("zone %s: %w", z.Name.Text(), err)
		}
		for _, some := range batches(z.Names) {
			if err := i.names(ctx, z, some); err != nil {
				return fmt.Errorf("zone %s, at %s, after %d of %d names; give the same command again to go on: %w", z.Name.Text(), some[0].GetFqdn(), sent, total, err)
			}
			sent += int64(len(some))
			show.at(&pb.ImportProgress{Phase: "importing", Done: sent, Total: total})
		}
		if err := i.gone(ctx, z); err != nil {
			return fmt.Errorf("zone %s: %w", z.Name.Text(), err)
		}
	}
	i.report.Whole = true
	if n := len(i.report.Refused); n > 0 {
		return fmt.Errorf("%d names were refused; what is said of them above is to be mended, then give the same command again", n)
	}
	return nil
}

// zone makes the zone if it is not there, and sets who may do what in it.
func (i *cutoverImport) zone(ctx context.Context, z *cutover.Zone) error {
	_, err := i.service.GetZone(ctx, &pb.GetZoneRequest{Name: z.Name.Text()})
	missing := status.Code(err) == codes.NotFound
	if err != nil && !missing {
		return err
	}
	if missing {
		i.report.said(z.Name.Text(), "created", []string{"the zone"}, nil)
		i.made = z
	}
	if missing && i.flags.apply {
		if err := i.create(ctx, z); err != nil {
			return err
		}
	}
	answer, err := i.service.ImportZoneSettings(ctx, &pb.ImportZoneSettingsRequest{
		Zone: z.Name.Text(), DryRun: !i.flags.apply, Admins: texts(z.Admins), Register: z.Register.String(), Groups: texts(z.Groups), Reserved: z.Reserved,
	})
	if err != nil {
		return err
	}
	i.report.took(answer.GetResult())
	return nil
}

// create makes a zone of what is at its apex, with the addresses of its own name servers:
// the SOA's serial goes on from the file's.
func (i *cutoverImport) create(ctx context.Context, z *cutover.Zone) error {
	stream, err := i.service.ImportZone(ctx)
	if err != nil {
		return err
	}
	if err := sendZone(stream, &pb.ImportZoneRequest{Name: z.Name.Text()}, strings.NewReader(z.Start())); err != nil {
		return err
	}
	for {
		_, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// batches is names in pieces, each small enough for one transaction.
func batches(names []*cutover.Name) [][]*pb.FormerName {
	var out, last [][]*pb.FormerName
	var now []*pb.FormerName
	cost, size := 0, 0
	for _, n := range names {
		m, c, s := formerName(n)
		if n.Host != nil && n.Host.Follows != nil { // by itself, after whom it follows
			last = append(last, []*pb.FormerName{m})
			continue
		}
		if len(now) > 0 && (len(now) == mostNamesAtOnce || cost+c > mostCostAtOnce || size+s > mostSizeAtOnce) {
			out, now, cost, size = append(out, now), nil, 0, 0
		}
		now, cost, size = append(now, m), cost+c, size+s
	}
	if len(now) > 0 {
		out = append(out, now)
	}
	return append(out, last...)
}

// formerName is a name as it is sent, and what it costs in things and octets.
func formerName(n *cutover.Name) (m *pb.FormerName, cost, size int) {
	m = &pb.FormerName{Fqdn: n.Name.Text()}
	for _, set := range n.Sets {
		m.RecordSets = append(m.RecordSets, &pb.FormerRecordSet{Type: model.TypeName(set.Type), Ttl: set.TTL, Rdata: set.Text()})
		size += set.Size()
	}
	cost = len(n.Sets)
	h := n.Host
	if h == nil {
		return m, max(1, cost), size
	}
	m.Host = &pb.FormerHost{
		Owner: string(h.Owner), Comment: h.Comment, Wildcard: h.Wildcard, Ttl: cutover.TTL, LegacySecret: h.Secret,
		CreateTime: stamp(h.CreateTime), UpdateTimeIpv4: stamp(h.UpdateTime4), UpdateTimeIpv6: stamp(h.UpdateTime6),
	}
	for _, a := range h.Addresses {
		m.Host.Addresses = append(m.Host.Addresses, a.String())
	}
	if f := h.Follows; f != nil {
		m.Host.Follows = &pb.Following{Main: f.Main.Text(), Ipv4: model.ShareText(f.IPv4), Ipv6: model.ShareText(f.IPv6)}
	}
	m.Host.Certificate = h.Certificate
	size += len(h.Certificate)
	if h.Blocked != "" {
		m.Host.Blocked = &h.Blocked
	}
	if h.Disabled != "" {
		m.Host.Disabled = &h.Disabled
	}
	return m, cost + 1, size
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func texts(names []model.PrincipalName) []string {
	var out []string
	for _, n := range names {
		out = append(out, string(n))
	}
	return out
}

// names sends some names. When they are refused together, each is sent by itself, so that
// one that cannot be holds up no other.
func (i *cutoverImport) names(ctx context.Context, z *cutover.Zone, some []*pb.FormerName) error {
	for try := 1; ; try++ {
		answer, err := i.service.ImportNames(ctx, &pb.ImportNamesRequest{Zone: z.Name.Text(), DryRun: !i.flags.apply, Names: some})
		switch code := status.Code(err); {
		case err == nil:
			for _, r := range answer.GetResults() {
				if i.made == z && r.GetOutcome() == "unchanged" && z.StartsWith(model.NameOf(r.GetFqdn()+".")) {
					r.Outcome, r.Changes = "created", []string{"with the zone"}
				}
				i.report.took(r)
			}
			return nil
		case (code == codes.Aborted || code == codes.Unavailable) && try < interruptions:
			select {
			case <-ctx.Done():
				return err
			case <-time.After(time.Duration(try) * 100 * time.Millisecond):
			}
		case isRefusal(code) && len(some) > 1:
			for _, one := range some {
				if err := i.names(ctx, z, []*pb.FormerName{one}); err != nil {
					return err
				}
			}
			return nil
		case isRefusal(code):
			i.report.refused(some[0].GetFqdn(), status.Convert(err).Message())
			return nil
		default:
			return err
		}
	}
}

// isRefusal reports whether an error is of what was sent, not of who sent it or of now.
func isRefusal(c codes.Code) bool {
	return slices.Contains([]codes.Code{codes.InvalidArgument, codes.FailedPrecondition, codes.AlreadyExists, codes.ResourceExhausted, codes.OutOfRange}, c)
}

// gone finds what was imported and is not there any more, and removes it if that was asked
// for, the deepest first.
func (i *cutoverImport) gone(ctx context.Context, z *cutover.Zone) error {
	there := make(map[string]bool, len(z.Names))
	for _, n := range z.Names {
		there[n.Name.Text()] = true
	}
	var gone []string
	for in := (&pb.ListImportedNamesRequest{Zone: z.Name.Text()}); ; {
		page, err := i.service.ListImportedNames(ctx, in)
		if err != nil {
			return err
		}
		for _, n := range page.GetFqdns() {
			if !there[n] {
				gone = append(gone, n)
			}
		}
		if in.PageToken = page.GetNextPageToken(); in.PageToken == "" {
			break
		}
	}
	if !i.flags.removeGone {
		i.report.Gone = append(i.report.Gone, gone...)
		return nil
	}
	slices.SortStableFunc(gone, func(a, b string) int { return strings.Count(b, ".") - strings.Count(a, ".") })
	for _, fqdn := range gone { // with each host its records may go
		if err := i.names(ctx, z, []*pb.FormerName{{Fqdn: fqdn, Gone: true}}); err != nil {
			return err
		}
	}
	return nil
}
