package controlapi

import (
	"context"
	"strings"

	"github.com/miekg/dns"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// ListRecordSets shows all record sets of a name, those of a host's addresses and
// an apex's SOA too.
func (s *Service) ListRecordSets(ctx context.Context, in *pb.ListRecordSetsRequest) (out *pb.ListRecordSetsResponse, err error) {
	c, err := s.Authorize(ctx, access.RecordRead, call.At(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := facts.ParseName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	err = c.Read(func(tx *store.Tx) error {
		sets, err := recordSets(tx, name)
		out = &pb.ListRecordSetsResponse{RecordSets: sets}
		return err
	})
	return out, err
}

// GetRecordSet shows one record set.
func (s *Service) GetRecordSet(ctx context.Context, in *pb.GetRecordSetRequest) (out *pb.RecordSet, err error) {
	c, err := s.Authorize(ctx, access.RecordRead, call.RecordAt(in.GetFqdn(), in.GetType()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, t, err := ownerAndType(in.GetFqdn(), in.GetType())
	if err != nil {
		return nil, err
	}
	err = c.Read(func(tx *store.Tx) error {
		out, err = recordSet(tx, name, t)
		return err
	})
	return out, err
}

// recordSet is one record set of a name, as it is answered. Errors: NotFound.
func recordSet(tx *store.Tx, name model.Name, t uint16) (*pb.RecordSet, error) {
	if t == dns.TypeDS {
		at, err := readPlace(tx, name, t)
		if err != nil {
			return nil, err
		}
		if set, ok := model.FindRRset(at.sets(), t); ok {
			return at.message(set), nil
		}
		return nil, noSet(name, t)
	}
	sets, err := recordSets(tx, name)
	if err != nil {
		return nil, err
	}
	for _, set := range sets {
		if set.Type == model.TypeName(t) {
			return set, nil
		}
	}
	return nil, noSet(name, t)
}

func noSet(name model.Name, t uint16) error {
	return model.E(model.NotFound, "find records", name.Text()+" "+model.TypeName(t)).Because("there are none")
}

func ownerAndType(fqdn, rrtype string) (model.Name, uint16, error) {
	name, err := facts.ParseName("fqdn", fqdn)
	if err != nil {
		return "", 0, err
	}
	t, err := model.ParseType(rrtype)
	return name, t, err
}

// recordSets is what a name holds, as it is answered unless it is withdrawn.
func recordSets(tx *store.Tx, name model.Name) ([]*pb.RecordSet, error) {
	at, err := readPlace(tx, name, dns.TypeNone)
	if err != nil {
		return nil, err
	}
	var out []*pb.RecordSet
	if at.apex {
		soa, err := soaMessage(tx, at.zone)
		if err != nil {
			return nil, err
		}
		out = append(out, soa)
	}
	sets := at.sets()
	if at.data != nil {
		sets = at.data.StoredSets(at.zone.WithDefaults().TTL)
	}
	for _, set := range sets {
		out = append(out, at.message(set))
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

// place is where the record sets of a name are kept.
type place struct {
	zone *model.Zone
	name model.Name
	apex bool            // they are in the zone's value
	path []store.Named   // else: the name and those above it, below the apex
	data *model.NameData // what is stored of the name; nil at an apex or when there is nothing
}

// readPlace finds where a name's records of a type are. The DS of a zone's apex is
// in the zone above (RFC 4035 section 2.4). Errors: NotFound.
func readPlace(tx *store.Tx, name model.Name, t uint16) (place, error) {
	z, path, err := facts.FindPath(tx, name)
	if err != nil {
		return place{}, err
	}
	if len(path) == 0 && t == dns.TypeDS {
		above, err := facts.Upper(tx, name)
		if err != nil {
			return place{}, err
		}
		if above != nil {
			z = above
			if path, err = tx.Path(z, name); err != nil {
				return place{}, err
			}
		}
	}
	at := place{zone: z, name: name, apex: len(path) == 0, path: path}
	if !at.apex {
		at.data = path[0].Data
	}
	return at, nil
}

// sets is the record sets as stored, without those of a host's addresses.
func (at place) sets() []model.RRset {
	switch {
	case at.apex:
		return at.zone.Apex
	case at.data != nil:
		return at.data.RRsets
	}
	return nil
}

// revision is that of the key that the sets are kept in.
func (at place) revision() int64 {
	switch {
	case at.apex:
		return at.zone.ModRevision
	case at.data != nil:
		return at.data.ModRevision
	}
	return 0
}

// withdrawn reports whether the name, when it holds these sets, belongs to a host that is
// withdrawn.
func (at place) withdrawn(sets []model.RRset) bool {
	for i, n := range at.path {
		if n.Data != nil && n.Data.Host != nil && n.Host != nil {
			return n.Host.Withdrawn()
		}
		if i == 0 {
			n.Data = &model.NameData{RRsets: sets}
		}
		if facts.CutAbove([]store.Named{n}) {
			return false
		}
	}
	return false
}

func (at place) message(set model.RRset) *pb.RecordSet {
	return &pb.RecordSet{
		Fqdn: at.name.Text(), Type: model.TypeName(set.Type), Ttl: set.TTL, Rdata: set.Text(), Etag: call.Etag(at.revision()),
	}
}
