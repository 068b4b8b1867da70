package store

import (
	"net/netip"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

// encodeRelated is how a host and others have their addresses together; nil: they do not.
func encodeRelated(h *model.HostControl) *storepb.Related {
	if h.Follows == nil && len(h.Followers) == 0 {
		return nil
	}
	p := &storepb.Related{}
	if f := h.Follows; f != nil {
		p.Main, p.Ipv4, p.Ipv6 = string(f.Main), encodeShare(f.IPv4), encodeShare(f.IPv6)
	}
	for _, n := range h.Followers {
		p.Followers = append(p.Followers, string(n))
	}
	return p
}

func encodeShare(s netip.Prefix) *storepb.Share {
	if !s.IsValid() {
		return nil
	}
	return &storepb.Share{Interface: s.Addr().AsSlice(), Length: uint32(s.Bits())}
}

func decodeRelated(p *storepb.Related, h *model.HostControl) error {
	if p == nil {
		return nil
	}
	for _, n := range p.Followers {
		h.Followers = append(h.Followers, model.Name(n))
	}
	if p.Main == "" {
		return nil
	}
	h.Follows = &model.Following{Main: model.Name(p.Main)}
	for _, s := range []struct {
		from *storepb.Share
		to   *netip.Prefix
		v4   bool
	}{{p.Ipv4, &h.Follows.IPv4, true}, {p.Ipv6, &h.Follows.IPv6, false}} {
		if s.from == nil {
			continue
		}
		a, ok := netip.AddrFromSlice(s.from.Interface)
		if *s.to = netip.PrefixFrom(a, int(s.from.Length)); !ok || a.Is4() != s.v4 || !s.to.IsValid() {
			return model.E(model.Internal, "read stored host", "").Because("what it follows is no part of an address")
		}
	}
	return nil
}
