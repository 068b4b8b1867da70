package store

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

// Schema is the newest schema of values that this binary reads and writes; the
// history is in storepb/store.proto.
const Schema = 2

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
	return checkValueSchema(what, m.GetSchema())
}

func checkValueSchema(what string, schema uint32) error {
	if schema == 0 || schema > Schema {
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

func decodeName(raw []byte, rev int64) (*model.NameData, error) {
	return new(nameReader).decode(raw, rev)
}

// decode reads the value of a name. What it gives shares the memory of raw.
func (r *nameReader) decode(raw []byte, rev int64) (*model.NameData, error) {
	n, schema, ok := r.name(raw)
	if !ok {
		var err error
		if n, err = unmarshalName(raw); err != nil {
			return nil, err
		}
	} else if err := checkValueSchema("name", schema); err != nil {
		return nil, err
	}
	n.ModRevision = rev
	if err := checkRRsets(n.RRsets); err != nil {
		return nil, err
	}
	if n.Host != nil {
		if err := checkHost(n.Host); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// unmarshalName reads what nameReader does not.
func unmarshalName(raw []byte) (*model.NameData, error) {
	var p storepb.Name
	if err := decode("name", raw, &p); err != nil {
		return nil, err
	}
	n := &model.NameData{Withdrawn: p.Withdrawn}
	var err error
	if n.RRsets, err = rrsetsOf(p.Rrsets); err != nil {
		return nil, err
	}
	n.Host, err = hostOf(p.Host)
	return n, err
}

func encodeRRsets(sets []model.RRset) []*storepb.RRset {
	out := make([]*storepb.RRset, len(sets))
	for i, s := range sets {
		out[i] = &storepb.RRset{Type: uint32(s.Type), Ttl: s.TTL, Rdata: s.Data}
	}
	return out
}

func decodeRRsets(in []*storepb.RRset) ([]model.RRset, error) {
	out, err := rrsetsOf(in)
	if err == nil {
		err = checkRRsets(out)
	}
	return out, err
}

func rrsetsOf(in []*storepb.RRset) ([]model.RRset, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make([]model.RRset, len(in))
	for i, p := range in {
		if p.Type > 0xffff {
			return nil, errTypes()
		}
		out[i] = model.RRset{Type: uint16(p.Type), TTL: p.Ttl, Data: p.Rdata}
	}
	return out, nil
}

func checkRRsets(sets []model.RRset) error {
	for i, s := range sets {
		if i > 0 && s.Type <= sets[i-1].Type {
			return errTypes()
		}
		if err := s.Check(); err != nil {
			return err
		}
	}
	return nil
}

func errTypes() error {
	return model.E(model.Internal, "read stored record sets", "").Because("the types are out of range or order")
}

func encodeHostControl(h *model.HostControl) []byte {
	p := &storepb.HostControl{
		Schema: 1, Owner: h.Owner, Comment: h.Comment, SecretSha256: h.SecretHash, CreateTime: seconds(h.CreateTime),
		UpdateTime4: seconds(h.UpdateTime4), UpdateTime6: seconds(h.UpdateTime6), Editors: texts(h.Editors), Offer: encodeOffer(h.Offer),
		Blocked: encodeWithdrawal(h.Blocked), Disabled: encodeWithdrawal(h.Disabled), Lapsed: encodeWithdrawal(h.Lapsed), RefreshTime: seconds(h.RefreshTime),
		Grants: encodeGrants(h.Grants), Related: encodeRelated(h),
	}
	if p.Related != nil {
		p.Schema = 2 // as below
	}
	if h.LegacySecret != nil || len(h.Secrets) > 0 {
		p.Schema = 2 // who does not know of them would write the value back without them
	}
	if l := h.LegacySecret; l != nil {
		p.LegacySecret = &storepb.Sealed{KeyId: l.KeyID, Box: l.Box}
	}
	for _, e := range h.Secrets {
		p.EndpointSecrets = append(p.EndpointSecrets, &storepb.EndpointSecret{Id: e.ID, Sha256: e.Hash, CreateTime: seconds(e.CreateTime)})
	}
	return encode(p)
}

func decodeHostControl(raw []byte, rev int64) (*model.HostControl, error) {
	var p storepb.HostControl
	if err := decode("host", raw, &p); err != nil {
		return nil, err
	}
	h := &model.HostControl{
		Owner: p.Owner, Comment: p.Comment, SecretHash: slices.Clone(p.SecretSha256), CreateTime: fromSeconds(p.CreateTime),
		UpdateTime4: fromSeconds(p.UpdateTime4), UpdateTime6: fromSeconds(p.UpdateTime6), ModRevision: rev,
		Editors: principals(p.Editors), Offer: decodeOffer(p.Offer),
		Blocked: decodeWithdrawal(p.Blocked), Disabled: decodeWithdrawal(p.Disabled), Lapsed: decodeWithdrawal(p.Lapsed), RefreshTime: fromSeconds(p.RefreshTime),
		Grants: decodeGrants(p.Grants),
	}
	if err := decodeRelated(p.Related, h); err != nil {
		return nil, err
	}
	if l := p.LegacySecret; l != nil {
		h.LegacySecret = &model.Sealed{KeyID: l.KeyId, Box: slices.Clone(l.Box)}
	}
	for _, e := range p.EndpointSecrets {
		h.Secrets = append(h.Secrets, model.EndpointSecret{ID: e.Id, Hash: e.Sha256, CreateTime: fromSeconds(e.CreateTime)})
	}
	return h, nil
}

func decodeImport(raw []byte) (*model.Import, error) {
	var p storepb.Import
	if err := decode("claim of an import", raw, &p); err != nil {
		return nil, err
	}
	return &model.Import{Generation: p.Generation, Principal: p.Principal, StartTime: fromSeconds(p.StartTime), Closed: p.Closed}, nil
}
