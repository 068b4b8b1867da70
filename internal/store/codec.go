package store

import (
	"net/netip"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

// Schema is the newest schema of values that this binary reads and writes; the
// history is in storepb/store.proto.
const Schema = 1

var marshal = proto.MarshalOptions{Deterministic: true}

type value interface {
	proto.Message
	GetSchema() uint32
}

func encode(m proto.Message) []byte {
	b, err := marshal.Marshal(m)
	if err != nil {
		panic("store: a value that cannot be encoded: " + err.Error()) // only invalid UTF-8 can do this, and model refuses it
	}
	return b
}

func decode(what string, raw []byte, m value) error {
	if err := proto.Unmarshal(raw, m); err != nil {
		return model.E(model.Internal, "read stored "+what, "").Because("the value is garbage").From(err)
	}
	if m.GetSchema() == 0 || m.GetSchema() > Schema {
		return model.E(model.Internal, "read stored "+what, "").Because("the value is of a schema that this version does not know").Hint("upgrade this binary")
	}
	return nil
}

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func fromSeconds(s int64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0).UTC()
}

func encodeZone(z *model.Zone) []byte {
	return encode(&storepb.Zone{
		Schema: 1, Incarnation: z.Incarnation, Generation: z.Generation, SerialBase: z.SerialBase,
		Soa: &storepb.Soa{
			Mname: z.SOA.MName, Rname: z.SOA.RName, Refresh: z.SOA.Refresh, Retry: z.SOA.Retry,
			Expire: z.SOA.Expire, Minimum: z.SOA.Minimum, Ttl: z.SOA.TTL,
		},
		Apex: encodeRRsets(z.Apex), Ttl: z.TTL, MinTtl: z.MinTTL, MaxTtl: z.MaxTTL, NegativeTtl: z.NegativeTTL,
		LocalAddresses: z.LocalAddresses, CreateTime: seconds(z.CreateTime),
	})
}

func decodeZone(name model.Name, raw []byte, rev int64) (*model.Zone, error) {
	var p storepb.Zone
	if err := decode("zone", raw, &p); err != nil {
		return nil, err
	}
	s := p.GetSoa()
	z := &model.Zone{
		Name: name, Incarnation: p.Incarnation, Generation: p.Generation, SerialBase: p.SerialBase,
		SOA: model.SOA{
			MName: s.GetMname(), RName: s.GetRname(), Refresh: s.GetRefresh(), Retry: s.GetRetry(),
			Expire: s.GetExpire(), Minimum: s.GetMinimum(), TTL: s.GetTtl(),
		},
		TTL: p.Ttl, MinTTL: p.MinTtl, MaxTTL: p.MaxTtl, NegativeTTL: p.NegativeTtl,
		LocalAddresses: p.LocalAddresses, CreateTime: fromSeconds(p.CreateTime), ModRevision: rev,
	}
	var err error
	if z.Apex, err = decodeRRsets(p.Apex); err != nil {
		return nil, err
	}
	if err := z.Check(); err != nil {
		return nil, err
	}
	return z, nil
}

func encodeName(n *model.NameData) []byte {
	p := &storepb.Name{Schema: 1, Rrsets: encodeRRsets(n.RRsets)}
	if h := n.Host; h != nil {
		p.Host = &storepb.Host{Ttl: h.TTL, Wildcard: h.Wildcard}
		for _, e := range h.Endpoints {
			pe := &storepb.Endpoint{Id: e.ID, Generation: e.Generation}
			for _, a := range e.Addresses {
				pe.Addresses = append(pe.Addresses, a.AsSlice())
			}
			p.Host.Endpoints = append(p.Host.Endpoints, pe)
		}
	}
	return encode(p)
}

func decodeName(raw []byte, rev int64) (*model.NameData, error) {
	var p storepb.Name
	if err := decode("name", raw, &p); err != nil {
		return nil, err
	}
	n := &model.NameData{ModRevision: rev}
	var err error
	if n.RRsets, err = decodeRRsets(p.Rrsets); err != nil {
		return nil, err
	}
	if h := p.Host; h != nil {
		if h.Ttl > model.MaxTTL {
			return nil, model.E(model.Internal, "read stored name", "").Because("the host's TTL is out of range")
		}
		n.Host = &model.Host{TTL: h.Ttl, Wildcard: h.Wildcard}
		for _, e := range h.Endpoints {
			me := model.Endpoint{ID: e.Id, Generation: e.Generation}
			for _, b := range e.Addresses {
				a, ok := netip.AddrFromSlice(b)
				if !ok || a.Is4In6() {
					return nil, model.E(model.Internal, "read stored name", "").Because("an address is not an IPv4 or IPv6 one in 4 or 16 octets")
				}
				me.Addresses = append(me.Addresses, a)
			}
			n.Host.Endpoints = append(n.Host.Endpoints, me)
		}
	}
	return n, nil
}

func encodeRRsets(sets []model.RRset) []*storepb.RRset {
	out := make([]*storepb.RRset, len(sets))
	for i, s := range sets {
		out[i] = &storepb.RRset{Type: uint32(s.Type), Ttl: s.TTL, Rdata: s.Data}
	}
	return out
}

func decodeRRsets(in []*storepb.RRset) ([]model.RRset, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make([]model.RRset, len(in))
	for i, p := range in {
		if p.Type > 0xffff || i > 0 && p.Type <= in[i-1].Type {
			return nil, model.E(model.Internal, "read stored record sets", "").Because("the types are out of range or order")
		}
		out[i] = model.RRset{Type: uint16(p.Type), TTL: p.Ttl, Data: p.Rdata}
		if err := out[i].Check(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func encodeHostControl(h *model.HostControl) []byte {
	return encode(&storepb.HostControl{
		Schema: 1, Owner: h.Owner, Comment: h.Comment, SecretSha256: h.SecretHash, CreateTime: seconds(h.CreateTime),
		UpdateTime4: seconds(h.UpdateTime4), UpdateTime6: seconds(h.UpdateTime6),
	})
}

func decodeHostControl(raw []byte, rev int64) (*model.HostControl, error) {
	var p storepb.HostControl
	if err := decode("host", raw, &p); err != nil {
		return nil, err
	}
	return &model.HostControl{
		Owner: p.Owner, Comment: p.Comment, SecretHash: slices.Clone(p.SecretSha256), CreateTime: fromSeconds(p.CreateTime),
		UpdateTime4: fromSeconds(p.UpdateTime4), UpdateTime6: fromSeconds(p.UpdateTime6), ModRevision: rev,
	}, nil
}

func encodeToken(t *model.Token) []byte {
	return encode(&storepb.Token{Schema: 1, Id: t.ID, Admin: t.Admin, CreateTime: seconds(t.CreateTime)})
}

func decodeToken(raw []byte, rev int64) (*model.Token, error) {
	var p storepb.Token
	if err := decode("token", raw, &p); err != nil {
		return nil, err
	}
	return &model.Token{ID: p.Id, Admin: p.Admin, CreateTime: fromSeconds(p.CreateTime), ModRevision: rev}, nil
}

func encodeAudit(a *model.AuditRecord) []byte {
	return encode(&storepb.AuditRecord{
		Schema: 1, TimeMs: a.Time.UnixMilli(), Principal: a.Principal, Source: a.Source, RequestId: a.RequestID,
		Action: a.Action, Zone: string(a.Zone), Name: string(a.Name), Detail: a.Detail, Before: a.Before, After: a.After,
	})
}

func decodeAudit(id string, raw []byte, rev int64) (*model.AuditRecord, error) {
	var p storepb.AuditRecord
	if err := decode("audit record", raw, &p); err != nil {
		return nil, err
	}
	return &model.AuditRecord{
		ID: id, Time: time.UnixMilli(p.TimeMs).UTC(), Revision: rev, Principal: p.Principal, Source: p.Source,
		RequestID: p.RequestId, Action: p.Action, Zone: model.Name(p.Zone), Name: model.Name(p.Name),
		Detail: p.Detail, Before: p.Before, After: p.After,
	}, nil
}
