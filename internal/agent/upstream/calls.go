package upstream

import (
	"context"
	"net/netip"
	"time"

	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// SetAddresses replaces the addresses of the families that are given or cleared.
func (u *Upstream) SetAddresses(ctx context.Context, addrs []netip.Addr, clear4, clear6 bool) error {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return u.call(ctx, func(ctx context.Context, s *connection) (err error) {
		if u.Endpoint == "" {
			_, err = s.hosts.SetAddresses(ctx, &pb.SetAddressesRequest{Fqdn: u.Host, Addresses: texts, ClearIpv4: clear4, ClearIpv6: clear6})
		} else {
			_, err = s.endpoints.SetEndpointAddresses(ctx, &pb.SetEndpointAddressesRequest{Fqdn: u.Host, Id: u.Endpoint, Addresses: texts, ClearIpv4: clear4, ClearIpv6: clear6})
		}
		return err
	})
}

// Beat gives a sign of life, and says how often the host's check wants one; 0: it has no
// such check.
func (u *Upstream) Beat(ctx context.Context) (every time.Duration, err error) {
	err = u.call(ctx, func(ctx context.Context, s *connection) error {
		answer, err := s.endpoints.SendHeartbeat(ctx, &pb.SendHeartbeatRequest{Fqdn: u.Host, Id: u.Endpoint})
		every = answer.GetInterval().AsDuration()
		return err
	})
	return every, err
}

// Drain asks for no more work.
func (u *Upstream) Drain(ctx context.Context, reason string) error {
	return u.word(ctx, "drain", reason)
}

// Undrain takes the machine's own drain back; an operator's word stays.
func (u *Upstream) Undrain(ctx context.Context) error {
	var drained bool
	err := u.call(ctx, func(ctx context.Context, s *connection) error {
		e, err := s.endpoints.GetEndpoint(ctx, &pb.GetEndpointRequest{Fqdn: u.Host, Id: u.Endpoint})
		drained = e.GetWord().GetSelf()
		return err
	})
	if err != nil || !drained {
		return err
	}
	return u.word(ctx, "auto", "")
}

func (u *Upstream) word(ctx context.Context, say, reason string) error {
	return u.call(ctx, func(ctx context.Context, s *connection) error {
		_, err := s.endpoints.SetEndpointWord(ctx, &pb.SetEndpointWordRequest{Fqdn: u.Host, Id: u.Endpoint, Say: say, Reason: reason})
		return err
	})
}

// Source is the address that our calls come from, as the control service sees it. Errors
// of ours are of kind Unavailable: the next call may come another way.
func (u *Upstream) Source(ctx context.Context) (netip.Addr, error) {
	var source string
	err := u.call(ctx, func(ctx context.Context, s *connection) error {
		who, err := s.about.WhoAmI(ctx, &pb.WhoAmIRequest{})
		source = who.GetSourceAddress()
		return err
	})
	if err != nil {
		return netip.Addr{}, err
	}
	a, err := netip.ParseAddr(source)
	if err != nil {
		return netip.Addr{}, model.E(model.Unavailable, "find the machine's address", "").Because("the control service does not know where calls come from").
			Hint("is it behind a proxy that it does not trust?")
	}
	return a.Unmap(), nil
}
