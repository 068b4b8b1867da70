// Package message answers one question: how is what is kept shown? To clients in the
// messages of the API, to people in the words of the audit.
package message

import (
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	"google.golang.org/protobuf/types/known/timestamppb"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// Withdrawal is why a host or a person is withdrawn; nil when not.
func Withdrawal(w *model.Withdrawal) *pb.Withdrawal {
	if w == nil {
		return nil
	}
	return &pb.Withdrawal{Reason: w.Reason, Time: Time(w.Time)}
}

// Time is a time; nil for the zero time.
func Time(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// Host is a host as the API shows it.
func Host(z *model.Zone, n store.Named) *pb.Host {
	m := &pb.Host{
		Fqdn: n.Name.Text(), Zone: z.Name.Text(), Owner: n.Host.Owner, Comment: n.Host.Comment,
		Wildcard: n.Data.Host.Wildcard, Ttl: n.Data.Host.TTL,
		CreateTime: Time(n.Host.CreateTime), UpdateTimeIpv4: Time(n.Host.UpdateTime4),
		UpdateTimeIpv6: Time(n.Host.UpdateTime6), Etag: call.Etag(n.Data.ModRevision, n.Host.ModRevision),
	}
	for _, e := range n.Host.Editors {
		m.Editors = append(m.Editors, string(e))
	}
	if o := n.Host.Offer; o != nil {
		m.OfferedTo, m.OfferExpireTime = string(o.To), Time(o.ExpireTime)
	}
	m.Blocked, m.Disabled, m.Lapsed = Withdrawal(n.Host.Blocked), Withdrawal(n.Host.Disabled), Withdrawal(n.Host.Lapsed)
	if f := n.Host.Follows; f != nil {
		m.Follows = &pb.Following{Main: f.Main.Text(), Ipv4: model.ShareText(f.IPv4), Ipv6: model.ShareText(f.IPv6)}
	}
	for _, f := range n.Host.Followers {
		m.Followers = append(m.Followers, f.Text())
	}
	for _, a := range n.Data.Host.Addresses() {
		m.Addresses = append(m.Addresses, a.String())
	}
	return m
}

// EndpointAddresses is the addresses of a host's endpoints but main, each once.
func EndpointAddresses(h *model.Host) (out []string) {
	for i := range h.Endpoints {
		for _, a := range h.Endpoints[i].Addresses {
			if text := a.String(); h.Endpoints[i].ID != model.MainEndpoint && !slices.Contains(out, text) {
				out = append(out, text)
			}
		}
	}
	return out
}

// Zone is a zone as the API shows it.
func Zone(tx *store.Tx, z *model.Zone) (*pb.Zone, error) {
	rev, err := tx.ZoneRevision(z.Name)
	if err != nil {
		return nil, err
	}
	d := z.WithDefaults()
	m := &pb.Zone{
		Name: z.Name.Text(), Ttl: d.TTL, MinTtl: d.MinTTL, MaxTtl: d.MaxTTL, NegativeTtl: d.NegativeTTL,
		LocalAddresses: z.LocalAddresses, Serial: z.Serial(rev),
		CreateTime: timestamppb.New(z.CreateTime), Etag: call.Etag(z.ModRevision),
	}
	for _, ns := range z.NS() {
		m.NameServers = append(m.NameServers, model.NameOf(ns).Text())
	}
	return m, nil
}

// AuditRecord is a record of who changed what.
func AuditRecord(r *model.AuditRecord) *pb.AuditRecord {
	m := &pb.AuditRecord{
		Id: r.ID, Time: timestamppb.New(r.Time), Revision: r.Revision, Principal: r.Principal, Source: r.Source,
		RequestId: r.RequestID, Action: r.Action, Zone: r.Zone.Text(), Detail: r.Detail, Before: r.Before, After: r.After,
	}
	if r.Name != "" {
		m.Name = r.Name.Text()
	}
	return m
}

// Word is an operator's word; nil for none.
func Word(w *model.Word) *pb.Word {
	if w == nil {
		return nil
	}
	return &pb.Word{Say: sayingNames[w.Say], Reason: w.Reason, By: w.By, Self: w.Self, Time: Time(w.Time), ExpireTime: Time(w.ExpireTime)}
}

// RecordSet is one record set of a name, as it is answered. Errors: NotFound.
func RecordSet(tx *store.Tx, name model.Name, t uint16) (*pb.RecordSet, error) {
	if t == dns.TypeDS {
		at, err := facts.ReadPlace(tx, name, t)
		if err != nil {
			return nil, err
		}
		if set, ok := model.FindRRset(at.Sets(), t); ok {
			return Record(at, set), nil
		}
		return nil, NoSet(name, t)
	}
	sets, err := RecordSets(tx, name)
	if err != nil {
		return nil, err
	}
	for _, set := range sets {
		if set.Type == model.TypeName(t) {
			return set, nil
		}
	}
	return nil, NoSet(name, t)
}

// RecordSets is what a name holds, as it is answered unless it is withdrawn.
func RecordSets(tx *store.Tx, name model.Name) ([]*pb.RecordSet, error) {
	at, err := facts.ReadPlace(tx, name, dns.TypeNone)
	if err != nil {
		return nil, err
	}
	var out []*pb.RecordSet
	if at.Apex {
		soa, err := soaMessage(tx, at.Zone)
		if err != nil {
			return nil, err
		}
		out = append(out, soa)
	}
	sets := at.Sets()
	if at.Data != nil {
		sets = at.Data.StoredSets(at.Zone.WithDefaults().TTL)
	}
	for _, set := range sets {
		out = append(out, Record(at, set))
	}
	return out, nil
}

func soaMessage(tx *store.Tx, z *model.Zone) (*pb.RecordSet, error) {
	rev, err := tx.ZoneRevision(z.Name)
	if err != nil {
		return nil, err
	}
	soa := &dns.SOA{
		Hdr: dns.RR_Header{Name: z.Name.String(), Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: z.SOA.TTL},
		Ns:  z.SOA.MName, Mbox: z.SOA.RName, Serial: z.Serial(rev),
		Refresh: z.SOA.Refresh, Retry: z.SOA.Retry, Expire: z.SOA.Expire, Minttl: z.SOA.Minimum,
	}
	return &pb.RecordSet{
		Fqdn: z.Name.Text(), Type: "SOA", Ttl: soa.Hdr.Ttl, Etag: call.Etag(z.ModRevision),
		Rdata: []string{strings.TrimPrefix(soa.String(), soa.Hdr.String())},
	}, nil
}

// NoSet is the error of a record set that is not there.
func NoSet(name model.Name, t uint16) error {
	return model.E(model.NotFound, "find records", name.Text()+" "+model.TypeName(t)).Because("there are none")
}

// Leased says in a host's message until when it must be refreshed, or when it goes.
func Leased(m *pb.Host, policy *model.ZonePolicy, h *model.HostControl) *pb.Host {
	m.LeaseExpireTime = Time(facts.LeaseEnd(policy, h))
	return m
}

// Record is a set of the name that at is of.
func Record(at facts.Place, set model.RRset) *pb.RecordSet {
	return &pb.RecordSet{
		Fqdn: at.Name.Text(), Type: model.TypeName(set.Type), Ttl: set.TTL, Rdata: set.Text(), Etag: call.Etag(at.Revision()),
	}
}

// ZonePolicy is who may do what in a zone, with the defaults filled in.
func ZonePolicy(p *model.ZonePolicy) *pb.ZonePolicy {
	d := p.WithDefaults()
	return &pb.ZonePolicy{
		Admins: Words(p.Admins), Register: p.Register.String(), Groups: Words(p.Groups),
		Reserved: d.Reserved, Depth: d.Depth, MaxHosts: d.MaxHosts, MaxChanges: d.MaxChanges, Etag: call.Etag(p.ModRevision),
		Quarantine: uint32(max(0, d.Quarantine)), Lease: d.Lease, MaxRecords: d.MaxRecords, MaxOctets: d.MaxOctets, MaxNames: d.MaxNames,
		PrivateAddresses: !d.NoPrivate,
	}
}

// ImportProgress is how far an import is.
func ImportProgress(p model.ImportProgress) *pb.ImportProgress {
	return &pb.ImportProgress{Phase: p.Phase, Done: p.Done, Total: p.Total}
}

// Certificate is what is kept of a host's certificate.
func Certificate(host model.Name, c *model.Certificate) *pb.Certificate {
	m := &pb.Certificate{
		Fqdn: host.Text(), Chain: string(c.Chain), KeyId: hex.EncodeToString(c.KeyID[:]), Serial: c.Serial,
		NotBefore: Time(c.NotBefore), NotAfter: Time(c.NotAfter), IssueTime: Time(c.IssueTime),
		RenewFrom: Time(c.RenewFrom), RenewTo: Time(c.RenewTo),
	}
	for _, n := range model.CertNames(host, c.Wildcard) {
		m.Names = append(m.Names, n.Text())
	}
	return m
}

// Freeze is whether checks move answers; f may be nil.
func Freeze(f *model.Freeze) *pb.Freeze {
	if f == nil {
		return &pb.Freeze{}
	}
	return &pb.Freeze{On: true, Reason: f.Reason, By: f.By, Time: Time(f.Time)}
}

// Set changes a field to what a request gives for it; nil: it gives nothing.
func Set[T any](field *T, to *T) {
	if to != nil {
		*field = *to
	}
}
