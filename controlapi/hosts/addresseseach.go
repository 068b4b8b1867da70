package hosts

import (
	"context"
	"net/netip"
	"strconv"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/rules"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// HostError is why one of several hosts was not changed, and so none was.
type HostError struct {
	Index int // of its request
	Err   error
}

// Error is why, and of which of the hosts.
func (e *HostError) Error() string { return "hosts[" + strconv.Itoa(e.Index) + "]: " + e.Err.Error() }

// Unwrap is why.
func (e *HostError) Unwrap() error { return e.Err }

// AddressesSet is a host's addresses, and whether they are new.
type AddressesSet struct {
	Addresses []string
	Changed   bool
}

// SetAddressesOfEach is SetAddresses for hosts of any zones, each only once, in one change:
// either all are changed, in one revision, or none. Whose error it is says HostError; one
// that is not of that type is of the call. It is for the ways in that know lists of names:
// it takes no request id and waits for no name server.
func (s *Service) SetAddressesOfEach(ctx context.Context, in []*pb.SetAddressesRequest) (out []AddressesSet, err error) {
	if len(in) == 0 {
		return nil, nil
	}
	c, err := s.Authorize(ctx, access.SetAddresses, call.HostAt(in[0].GetFqdn()), in[0])
	if err != nil {
		return nil, &HostError{0, err}
	}
	defer c.Done(&err)
	c.Caller.RequestID, c.Caller.WaitVisible = "", false
	names, given := make([]model.Name, len(in)), make([][]netip.Addr, len(in))
	for i, one := range in {
		if names[i], given[i], err = readOne(c, one); err != nil {
			return nil, &HostError{i, err}
		}
	}
	_, err = call.Change(c, func(p *call.Plan) (*pb.SetAddressesResponse, error) {
		out = make([]AddressesSet, len(in))
		for _, i := range mainsFirst(p, names) {
			one := in[i]
			if i > 0 { // change has confirmed the first
				if err := mayOne(c, p.Tx, c.Action, names[i]); err != nil {
					return nil, &HostError{i, err}
				}
			}
			before := len(p.Audits)
			_, led := p.Later[names[i]]
			done, err := planAddresses(p, names[i], one, given[i])
			if err != nil {
				return nil, &HostError{i, err}
			}
			changed := len(p.Audits) > before
			if out[i] = (AddressesSet{done.GetHost().GetAddresses(), changed || led}); changed {
				p.Each = append(p.Each, p.In)
			}
		}
		return &pb.SetAddressesResponse{Change: &pb.Change{}}, nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// mainsFirst is the order in which several hosts are changed: who follows comes after the
// others, and may be told what it has become by then.
func mainsFirst(p *call.Plan, names []model.Name) []int {
	var mains, followers []int
	for i, n := range names {
		if _, h, err := facts.FindHost(p.Tx, n, p.Call.Desk.Now()); len(names) > 1 && err == nil && h.Host.Follows != nil {
			followers = append(followers, i)
		} else {
			mains = append(mains, i)
		}
	}
	return append(mains, followers...)
}

// readOne reads what is asked for of one of several hosts.
func readOne(c *call.Call, in *pb.SetAddressesRequest) (model.Name, []netip.Addr, error) {
	if err := c.Desk.Validate(c.Action, in); err != nil {
		return "", nil, err
	}
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return "", nil, err
	}
	given, err := rules.Mentioned(in)
	return name, given, err
}

// mayOne decides about one of several hosts, as authorize does about the first.
func mayOne(c *call.Call, tx *store.Tx, a access.Action, name model.Name) error {
	operator := c.Who.Kind == access.Admin || c.Who.Operator
	if !operator && c.Desk.Barred.Host(name) {
		return c.Desk.Bar("host", a, name)
	}
	err := c.May(tx, a, access.Resource{Name: name})
	c.Refused = err != nil && model.KindOf(err) != model.Unavailable
	return err
}
