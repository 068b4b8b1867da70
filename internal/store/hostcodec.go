package store

import (
	"net/netip"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

func encodeName(n *model.NameData) []byte {
	p := &storepb.Name{Schema: 1, Rrsets: encodeRRsets(n.RRsets), Withdrawn: n.Withdrawn}
	if n.Host != nil {
		p.Host = encodeHost(n.Host)
		p.Schema = hostSchema(p.Host)
	}
	return encode(p)
}

func encodeHost(h *model.Host) *storepb.Host {
	p := &storepb.Host{
		Ttl: h.TTL, Wildcard: h.Wildcard, Policy: uint32(h.Policy.Kind), MinHealthy: h.Policy.MinHealthy, Fallback: octets(h.Policy.Fallback),
		ManualFailback: h.Policy.ManualFailback, MaxAnswers: h.Policy.MaxAnswers, SuspectTtl: h.Policy.SuspectTTL,
		Checked: h.Checked, CheckSites: h.CheckSites,
	}
	for _, e := range h.Endpoints {
		p.Endpoints = append(p.Endpoints, &storepb.Endpoint{
			Id: e.ID, Addresses: octets(e.Addresses), Generation: e.Generation, Site: e.Site, Priority: e.Priority, Weight: e.Weight,
		})
	}
	return p
}

// hostSchema is 2 for what the first schema cannot say: who knows only that one would
// answer half of the host, and write it back without the rest.
func hostSchema(h *storepb.Host) uint32 {
	if h.Policy != 0 || h.MinHealthy != 0 || len(h.Fallback) > 0 || h.ManualFailback || h.MaxAnswers != 0 || h.SuspectTtl != 0 ||
		h.Checked || len(h.CheckSites) > 0 {
		return 2
	}
	for _, e := range h.Endpoints {
		if e.Id != model.MainEndpoint || e.Site != "" || e.Priority != 0 || e.Weight != 0 {
			return 2
		}
	}
	return 1
}

// hostOf is what proto.Unmarshal has read; nil: nothing.
func hostOf(p *storepb.Host) (*model.Host, error) {
	if p == nil {
		return nil, nil
	}
	h := &model.Host{
		TTL: p.Ttl, Wildcard: p.Wildcard, Checked: p.Checked, CheckSites: p.CheckSites,
		Policy: model.Policy{
			Kind: model.PolicyKind(p.Policy), MinHealthy: p.MinHealthy, ManualFailback: p.ManualFailback,
			MaxAnswers: p.MaxAnswers, SuspectTTL: p.SuspectTtl,
		},
	}
	var err error
	if h.Policy.Fallback, err = addressesOf(p.Fallback); err != nil {
		return nil, err
	}
	for _, e := range p.Endpoints {
		me := model.Endpoint{ID: e.Id, Generation: e.Generation, Site: e.Site, Priority: e.Priority, Weight: e.Weight}
		if me.Addresses, err = addressesOf(e.Addresses); err != nil {
			return nil, err
		}
		h.Endpoints = append(h.Endpoints, me)
	}
	return h, nil
}

func octets(addrs []netip.Addr) (out [][]byte) {
	for _, a := range addrs {
		out = append(out, a.AsSlice())
	}
	return out
}

func addressesOf(in [][]byte) (out []netip.Addr, err error) {
	for _, b := range in {
		a, ok := netip.AddrFromSlice(b)
		if !ok || a.Is4In6() {
			return nil, model.E(model.Internal, "read stored name", "").Because("an address is not an IPv4 or IPv6 one in 4 or 16 octets")
		}
		out = append(out, a)
	}
	return out, nil
}

// checkHost refuses what a host cannot be, whoever has written it.
func checkHost(h *model.Host) error {
	bad := func(why string) error { return model.E(model.Internal, "read stored name", "").Because(why) }
	switch p := &h.Policy; {
	case h.TTL > model.MaxTTL || p.SuspectTTL > model.MaxTTL:
		return bad("a TTL of the host is out of range")
	case p.Kind < 0 || p.Kind > model.PolicyWeighted:
		return errNotKnown("name", "policy")
	}
	for i := range h.Endpoints {
		switch e := &h.Endpoints[i]; {
		case e.ID == "":
			return bad("an endpoint has no id")
		case i > 0 && e.ID <= h.Endpoints[i-1].ID:
			return bad("the endpoints are not in the order of their ids")
		case e.Weight < model.NoWeight || e.Weight > model.MostWeight || e.Priority > model.MostPriority:
			return bad("a weight or priority is out of range")
		}
	}
	return nil
}
