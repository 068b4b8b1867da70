package store

import (
	"math"
	"net/netip"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"signpost/internal/model"
)

func (r *nameReader) host(of *fields) *model.Host {
	h := &model.Host{}
	f := fields{rest: of.octets}
	for f.next() {
		switch {
		case f.is(1, protowire.VarintType):
			h.TTL = uint32(f.number)
		case f.is(2, protowire.VarintType):
			h.Wildcard = protowire.DecodeBool(f.number)
		case f.is(3, protowire.BytesType):
			h.Endpoints = append(h.Endpoints, r.endpoint(&f))
		case f.is(4, protowire.VarintType):
			h.Policy.Kind = model.PolicyKind(uint32(f.number))
		case f.is(5, protowire.VarintType):
			h.Policy.MinHealthy = uint32(f.number)
		case f.is(6, protowire.BytesType):
			h.Policy.Fallback = append(h.Policy.Fallback, f.address())
		case f.is(7, protowire.VarintType):
			h.Policy.ManualFailback = protowire.DecodeBool(f.number)
		case f.is(8, protowire.VarintType):
			h.Policy.MaxAnswers = uint32(f.number)
		case f.is(9, protowire.VarintType):
			h.Policy.SuspectTTL = uint32(f.number)
		case f.is(10, protowire.VarintType):
			h.Checked = protowire.DecodeBool(f.number)
		case f.is(11, protowire.BytesType):
			h.CheckSites = append(h.CheckSites, r.text(&f))
		default:
			f.failed = true
		}
	}
	h.Endpoints = slices.Clip(h.Endpoints)
	of.failed = of.failed || f.failed
	return h
}

func (r *nameReader) endpoint(of *fields) (e model.Endpoint) {
	f := fields{rest: of.octets}
	for f.next() {
		switch {
		case f.is(1, protowire.BytesType):
			e.ID = r.text(&f)
		case f.is(2, protowire.BytesType):
			e.Addresses = append(e.Addresses, f.address())
		case f.is(3, protowire.VarintType):
			e.Generation = f.number
		case f.is(4, protowire.BytesType):
			e.Site = r.text(&f)
		case f.is(5, protowire.VarintType):
			e.Priority = uint32(f.number)
		case f.is(6, protowire.VarintType):
			e.Weight = int32(protowire.DecodeZigZag(f.number & math.MaxUint32))
		default:
			f.failed = true
		}
	}
	of.failed = of.failed || f.failed
	return e
}

// address fails for what others know what to say of.
func (f *fields) address() netip.Addr {
	a, ok := netip.AddrFromSlice(f.octets)
	f.failed = f.failed || !ok || a.Is4In6()
	return a
}

// mostTexts bounds what is kept of ids and sites: some may be of one host only.
const mostTexts = 1024

// text is a text in memory that it shares with the same text elsewhere.
func (r *nameReader) text(f *fields) string {
	if string(f.octets) == model.MainEndpoint {
		return model.MainEndpoint
	}
	if known, ok := r.texts[string(f.octets)]; ok {
		return known
	}
	text := string(f.octets)
	if !utf8.Valid(f.octets) {
		f.failed = true
		return text
	}
	if r.slab == 0 {
		return text // of one name
	}
	if r.texts == nil || len(r.texts) == mostTexts {
		r.texts = map[string]string{}
	}
	r.texts[text] = text
	return text
}
