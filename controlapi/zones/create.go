package zones

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"signpost/controlapi/call"
	"signpost/controlapi/delegation"
	"signpost/controlapi/facts"
	"signpost/controlapi/message"
	"signpost/controlapi/rules"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// What the SOA of a new zone says, in seconds (RFC 1912 section 2.2); secondaries
// are notified, and a changed name is to be seen soon.
var newSOA = model.SOA{Refresh: 7200, Retry: 900, Expire: 1209600, Minimum: model.DefaultNegativeTTL, TTL: 3600}

const nsTTL = 3600

// nameServer is a name server of a new zone; its addresses become records of the
// zone.
type nameServer struct {
	name  model.Name
	addrs []netip.Addr
}

// CreateZone makes a zone with its apex and the addresses of its own name servers.
func (s *Service) CreateZone(ctx context.Context, in *pb.CreateZoneRequest) (out *pb.CreateZoneResponse, err error) {
	c, err := s.Authorize(ctx, access.ZoneCreate, call.At(in.GetName()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	z, servers, err := newZone(in, s.Now())
	if err != nil {
		return nil, err
	}
	for range 3 {
		out, err = s.createOnce(c, z, servers)
		if !errors.Is(err, errMoved) {
			break
		}
	}
	return out, err
}

// errMoved says that zones below a new one changed while its names were loaded.
var errMoved = model.E(model.Aborted, "create zone", "").Because("others keep changing the zones below it").Hint("try again")

// maxPut is how many names a new zone gets with the change that makes it. More, of
// the delegations of many zones of ours below it, are loaded before, as an import is.
const maxPut = 16

func (s *Service) createOnce(c *call.Call, asked *model.Zone, servers []nameServer) (*pb.CreateZoneResponse, error) {
	if out, done, err := call.Repeated[*pb.CreateZoneResponse](c); done || err != nil {
		return out, err
	}
	var lower map[model.Name]*model.NameData
	if err := c.Read(func(tx *store.Tx) (err error) {
		lower, err = delegation.Lower(c.PlanOf(tx), asked.Name, nil)
		return err
	}); err != nil {
		return nil, err
	}
	if len(lower) <= maxPut {
		return call.Change(c, func(p *call.Plan) (*pb.CreateZoneResponse, error) { return createZone(p, asked, servers, nil, nil) })
	}
	claim, err := s.Store.ClaimImport(c.Ctx, asked.Name, c.Who.String(), s.Now())
	if err != nil {
		return nil, err
	}
	defer ReleaseClaim(c, claim)
	mine := *c
	mine.Ctx = claim.Context()
	if err := claim.Load(maps.All(lower), func(int) {}); err != nil {
		return nil, err
	}
	return call.Change(&mine, func(p *call.Plan) (*pb.CreateZoneResponse, error) { return createZone(p, asked, servers, lower, claim) })
}

// createZone writes a new zone. What it must hold of the zones below it comes before
// the addresses of its own name servers; with a claim it is loaded already. Errors: errMoved when that is no longer what it must hold.
func createZone(p *call.Plan, asked *model.Zone, servers []nameServer, loaded map[model.Name]*model.NameData, claim *store.Claim) (*pb.CreateZoneResponse, error) {
	z := *asked
	lower, err := Start(p, &z, func(name model.Name) ([]netip.Addr, error) {
		i := slices.IndexFunc(servers, func(ns nameServer) bool { return ns.name == name })
		return servers[i].addrs, nil
	})
	if err != nil {
		return nil, err
	}
	apex, names := glue(&z, servers)
	z.Apex = apex
	switch {
	case claim == nil:
		maps.Copy(names, lower)
	case !SameNames(lower, loaded):
		return nil, errMoved
	default:
		z.Generation = claim.Generation
		if err := p.EndImport(claim); err != nil {
			return nil, err
		}
		maps.DeleteFunc(names, func(n model.Name, _ *model.NameData) bool { return loaded[n] != nil })
	}
	if err := delegation.PutNames(p, &z, names); err != nil {
		return nil, err
	}
	if err := z.Check(); err != nil {
		return nil, err
	}
	m, err := message.Zone(p.Tx, &z)
	if err != nil {
		return nil, err
	}
	putZone(p, &z, m)
	p.Record(z.Name, "", "", "", fmt.Sprintf("name servers %v, %s", m.NameServers, settings(&z)))
	return &pb.CreateZoneResponse{Zone: m, Change: &pb.Change{}}, nil
}

// newZone is the zone that a request asks for. Errors are of kind Invalid.
func newZone(in *pb.CreateZoneRequest, now time.Time) (*model.Zone, []nameServer, error) {
	name, err := ParseName(in.GetName())
	if err != nil {
		return nil, nil, err
	}
	z := &model.Zone{
		Name: name, SOA: newSOA, TTL: in.GetTtl(), MinTTL: in.GetMinTtl(), MaxTTL: in.GetMaxTtl(),
		NegativeTTL: in.GetNegativeTtl(), LocalAddresses: in.GetLocalAddresses(), CreateTime: now.UTC().Truncate(time.Second),
	}
	servers, err := nameServers(z, in.GetNameServers())
	if err != nil {
		return nil, nil, err
	}
	var rrs []dns.RR
	for _, ns := range servers {
		rrs = append(rrs, &dns.NS{Hdr: dns.RR_Header{Name: name.String(), Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: nsTTL}, Ns: ns.name.String()})
	}
	set, err := model.NewRRset(rrs)
	if err != nil {
		return nil, nil, err
	}
	hostmaster, err := name.Child("hostmaster")
	if err != nil {
		return nil, nil, model.E(model.Invalid, "create zone", name.Text()).In("name").Because("it is too long for names below it")
	}
	z.SOA.MName, z.SOA.RName = servers[0].name.String(), hostmaster.String()
	z.Apex = []model.RRset{set}
	return z, servers, nil
}

// ParseName reads the name of a zone. Errors are of kind Invalid.
func ParseName(text string) (model.Name, error) {
	name, err := facts.ParseName("name", text)
	if err == nil && name.IsWildcard() {
		err = model.E(model.Invalid, "create zone", name.Text()).In("name").Because("a wildcard is no zone")
	}
	return name, err
}

func nameServers(z *model.Zone, in []*pb.NameServer) ([]nameServer, error) {
	servers := make([]nameServer, len(in))
	seen := map[model.Name]bool{}
	for i, ns := range in {
		field := fmt.Sprintf("name_servers[%d]", i)
		name, err := model.ParseHostName(field+".name", ns.GetName())
		if err != nil {
			return nil, err
		}
		if _, err := netip.ParseAddr(ns.GetName()); err == nil {
			return nil, model.E(model.Invalid, "create zone", z.Name.Text()).In(field + ".name").Because("a name server is named, not numbered").
				Hint("give a host name, and its address where it is inside the zone: ns1." + z.Name.Text() + "=" + ns.GetName())
		}
		addrs, err := rules.ParseAddresses(field+".addresses", ns.GetAddresses())
		if err != nil {
			return nil, err
		}
		if err := (rules.AddressRules{Local: z.LocalAddresses, Private: true}).Check(field+".addresses", addrs); err != nil {
			return nil, err
		}
		bad := func(part, why string) error {
			return model.E(model.Invalid, "create zone", z.Name.Text()).In(field + part).Because(why)
		}
		switch {
		case seen[name]:
			return nil, bad(".name", name.Text()+" is given twice")
		case name.In(z.Name) && len(addrs) == 0:
			return nil, bad(".addresses", "a name server inside the zone needs an address")
		case !name.In(z.Name) && len(addrs) > 0:
			return nil, bad(".addresses", name.Text()+" is outside the zone, whose data cannot hold its addresses")
		}
		seen[name] = true
		servers[i] = nameServer{name, addrs}
	}
	return servers, nil
}

// Start checks that a zone may begin here, gives it its numbers and writes its
// delegation into the zone above. It answers what the new zone must hold of the
// zones below it.
func Start(p *call.Plan, z *model.Zone, addrs func(model.Name) ([]netip.Addr, error)) (map[model.Name]*model.NameData, error) {
	_, err := p.Zone(z.Name)
	if err == nil {
		return nil, model.E(model.AlreadyExists, "create zone", z.Name.Text()).In("name").Because("there is such a zone")
	}
	if model.KindOf(err) != model.NotFound {
		return nil, err
	}
	if err := delegation.Put(p, z, addrs); err != nil {
		return nil, err
	}
	if z.Incarnation, err = p.NewNumber(); err != nil {
		return nil, err
	}
	z.Generation = z.Incarnation
	return delegation.Lower(p, z.Name, nil)
}

// glue is what a new zone says of the addresses of those of its name servers that
// are inside it: records at the apex, and names below.
func glue(z *model.Zone, servers []nameServer) (apex []model.RRset, names map[model.Name]*model.NameData) {
	apex, names = z.Apex, map[model.Name]*model.NameData{}
	for _, ns := range servers {
		sets := rules.AddressSets(ns.addrs, z.WithDefaults().TTL)
		switch {
		case ns.name == z.Name:
			for _, s := range sets {
				apex = model.WithRRset(apex, s)
			}
		case len(sets) > 0:
			names[ns.name] = &model.NameData{RRsets: sets}
		}
	}
	return apex, names
}
