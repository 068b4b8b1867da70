// Package cutover answers one question: what becomes here of names of a former service,
// and of those that are here already?
package cutover

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/miekg/dns"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/hosts"
	"signpost/controlapi/records"
	"signpost/controlapi/rules"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// Service is the service for what is taken over from a former service.
type Service struct {
	pb.UnimplementedCutoverServiceServer
	*call.Desk
}

// New makes the service.
func New(d *call.Desk) *Service { return &Service{Desk: d} }

// ImportNames brings hosts and records of another service into a zone. Who may import is an
// operator, who may do all of what it consists of: the audit has it in those words.
func (s *Service) ImportNames(ctx context.Context, in *pb.ImportNamesRequest) (out *pb.ImportNamesResponse, err error) {
	c, err := s.Authorize(ctx, access.CutoverImport, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	zone, err := facts.ParseName("zone", in.GetZone())
	if err != nil {
		return nil, err
	}
	names := make([]*former, len(in.GetNames()))
	for n, f := range in.GetNames() {
		if names[n], err = readFormer("names["+strconv.Itoa(n)+"].", zone, f); err != nil {
			return nil, err
		}
	}
	decide := func(p *call.Plan) (*pb.ImportNamesResponse, error) {
		i, err := newImporting(p, zone, in.GetDryRun())
		if i != nil {
			i.single = len(names) == 1
		}
		if err != nil {
			return nil, err
		}
		out := &pb.ImportNamesResponse{Change: &pb.Change{}}
		for _, f := range names {
			r, err := i.name(f)
			if err != nil {
				return nil, err
			}
			out.Results = append(out.Results, r)
		}
		return out, nil
	}
	if in.GetDryRun() {
		return rehearse(c, decide)
	}
	return call.Change(c, decide)
}

// ListImportedNames lists the names of a zone that ImportNames has brought.
func (s *Service) ListImportedNames(ctx context.Context, in *pb.ListImportedNamesRequest) (out *pb.ListImportedNamesResponse, err error) {
	c, err := s.Authorize(ctx, access.CutoverList, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	zone, err := facts.ParseName("zone", in.GetZone())
	if err != nil {
		return nil, err
	}
	query := call.ListOf("imported", in.GetZone())
	at, err := query.Read(in.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := int(in.GetPageSize())
	if size == 0 {
		size = 1000
	}
	out = &pb.ListImportedNamesResponse{}
	err = c.Read(func(tx *store.Tx) error {
		z, err := tx.Zone(zone)
		if model.KindOf(err) == model.NotFound && err != nil {
			return nil
		}
		if err != nil {
			return err
		}
		found, err := tx.ImportedNames(z, model.Name(at), size)
		for _, n := range found {
			out.Fqdns = append(out.Fqdns, n.Text())
		}
		if len(found) == size {
			out.NextPageToken = query.Token(string(found[size-1]))
		}
		return err
	})
	return out, err
}

// errRehearsed ends what is not to be committed.
var errRehearsed = errors.New("it is only rehearsed")

// rehearse decides on a change as change does, and commits nothing.
func rehearse[R call.Response](c *call.Call, decide func(*call.Plan) (R, error)) (out R, err error) {
	_, err = c.Desk.Store.Update(c.Ctx, func(tx *store.Tx) error {
		if err := c.Confirm(tx); err != nil {
			return err
		}
		if out, err = decide(c.PlanOf(tx)); err != nil {
			return err
		}
		if out.GetChange().Revision, err = tx.Revision(); err != nil {
			return err
		}
		return errRehearsed
	})
	if errors.Is(err, errRehearsed) {
		return out, nil
	}
	var none R
	return none, err
}

// former is a name as another service has it.
type former struct {
	name model.Name
	host *formerHost
	sets []model.RRset // by type; a TTL of 0 is the zone's default
	gone bool
}

type formerHost struct {
	model.FormerHost
	ttl               uint32
	secret            *access.LegacySecret
	blocked, disabled string // why
	follows           *pb.Following
	chain             *model.Certificate // nil: none
	noChain           string             // why there is none of what was given
	created           time.Time
	updated4          time.Time
	updated6          time.Time
}

// readFormer reads a name of a request. Errors are of kind Invalid and name the field.
func readFormer(field string, zone model.Name, in *pb.FormerName) (*former, error) {
	bad := func(of, why string) error {
		return model.E(model.Invalid, "import", in.GetFqdn()).In(field + of).Because(why)
	}
	name, err := facts.ParseName(field+"fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	if !name.In(zone) {
		return nil, bad("fqdn", "it is not in zone "+zone.Text())
	}
	f := &former{name: name, gone: in.GetGone()}
	if f.gone && (in.Host != nil || len(in.GetRecordSets()) > 0) {
		return nil, bad("gone", "there is a host or a record set, too")
	}
	for n, set := range in.GetRecordSets() {
		at := "record_sets[" + strconv.Itoa(n) + "]."
		t, err := model.ParseType(set.GetType())
		if err != nil {
			return nil, bad(at+"type", err.Error())
		}
		s, err := records.NewSet(t, set.GetTtl(), set.GetRdata())
		switch {
		case err != nil:
			return nil, bad(at+"rdata", err.Error())
		case t == dns.TypeSOA:
			return nil, bad(at+"type", "a SOA is made from its zone's settings")
		case in.Host != nil && rules.IsAddressType(t):
			return nil, bad(at+"type", "the name is a host's, which has addresses of its own")
		}
		if _, twice := model.FindRRset(f.sets, t); twice {
			return nil, bad(at+"type", "there are two record sets of it")
		}
		f.sets = model.WithRRset(f.sets, s)
	}
	if in.Host == nil {
		return f, nil
	}
	if _, err := model.ParseHostName(field+"fqdn", in.GetFqdn()); err != nil {
		return nil, err
	}
	if name == zone {
		return nil, bad("host", "it is a zone's own name")
	}
	f.host, err = readFormerHost(field+"host.", name, in.GetHost())
	return f, err
}

func readFormerHost(field string, name model.Name, in *pb.FormerHost) (*formerHost, error) {
	owner, err := rules.PersonName(field+"owner", in.GetOwner())
	if err != nil {
		return nil, err
	}
	addrs, err := rules.ParseAddresses(field+"addresses", in.GetAddresses())
	if err != nil {
		return nil, err
	}
	h := &formerHost{
		FormerHost: model.FormerHost{
			Owner: string(owner), Comment: in.GetComment(), Wildcard: in.GetWildcard(), Blocked: in.Blocked != nil, Disabled: in.Disabled != nil,
			Secret: in.GetLegacySecret() != "", Addresses: model.NormalizeAddresses(addrs),
		},
		ttl: in.GetTtl(), blocked: in.GetBlocked(), disabled: in.GetDisabled(),
	}
	if h.Secret {
		secret, err := access.ParseLegacySecret(field+"legacy_secret", in.GetLegacySecret())
		if err != nil {
			return nil, err
		}
		h.secret = &secret
	}
	if in.Follows != nil {
		following, err := hosts.FollowingOf(&pb.UpdateHostRequest{Fqdn: name.Text(), Follows: in.GetFollows()})
		if err != nil {
			return nil, err
		}
		h.follows, h.Follows = in.GetFollows(), following.String()
	}
	if in.GetCertificate() != "" {
		if h.chain, err = readChain(name, in.GetCertificate()); err != nil { // the host is to come all the same
			h.noChain = err.Error()
		}
	}
	for _, t := range []struct {
		to   *time.Time
		from interface {
			IsValid() bool
			AsTime() time.Time
		}
	}{{&h.created, in.GetCreateTime()}, {&h.updated4, in.GetUpdateTimeIpv4()}, {&h.updated6, in.GetUpdateTimeIpv6()}} {
		if t.from.IsValid() {
			*t.to = t.from.AsTime().UTC().Truncate(time.Second)
		}
	}
	return h, nil
}
