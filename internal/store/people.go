package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

// Policy reads who may do what in a zone; the zero policy when nothing was said.
func (tx *Tx) Policy(z *model.Zone) (*model.ZonePolicy, error) {
	kvs, err := tx.get(tx.s.keys.policy(*z))
	if err != nil || !kvs[0].there() {
		return &model.ZonePolicy{}, err
	}
	return decodePolicy(kvs[0].value, kvs[0].mod)
}

// Glance is Policy for what may be a little old, and is not compared.
func (tx *Tx) Glance(z *model.Zone) (*model.ZonePolicy, error) {
	kvs, err := tx.look(tx.s.keys.policy(*z))
	if err != nil || !kvs[0].there() {
		return &model.ZonePolicy{}, err
	}
	return decodePolicy(kvs[0].value, kvs[0].mod)
}

// PutPolicy writes a policy that was looked for with Policy.
func (tx *Tx) PutPolicy(z *model.Zone, p *model.ZonePolicy) {
	tx.put(tx.s.keys.policy(*z), encodePolicy(p))
}

// Holding is a host that somebody owns or edits.
type Holding struct {
	Zone, Host  model.Name
	Incarnation uint64 // of the zone
	Owned       bool
}

// Holdings is the hosts of which a principal is the owner or an editor. Until they are
// swept away, those of incarnations of zones that are no more are among them.
func (tx *Tx) Holdings(principal string) ([]Holding, error) {
	prefix := tx.s.keys.ownBy(principal)
	kvs, err := tx.list(prefix, prefixEnd(prefix), 0)
	if err != nil {
		return nil, err
	}
	out := make([]Holding, len(kvs))
	for i, kv := range kvs {
		zone, rest, _ := strings.Cut(strings.TrimPrefix(string(kv.Key), prefix), "/")
		inc, name, _ := strings.Cut(rest, "/")
		out[i].Owned = string(kv.Value) == asOwner
		if out[i].Incarnation, out[i].Zone, out[i].Host, err = parseNameKey(zone, inc, name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// CountOwned is how many hosts of a zone a principal owns. One more before the commit
// makes the change be decided again.
func (tx *Tx) CountOwned(principal string, z *model.Zone) (int, error) {
	prefix := tx.s.keys.ownIn(principal, *z)
	kvs, err := tx.list(prefix, prefixEnd(prefix), 0)
	n := 0
	for _, kv := range kvs {
		if string(kv.Value) == asOwner {
			n++
		}
	}
	return n, err
}

// What stands in a list of what somebody has.
const (
	asOwner  = "owner"
	asEditor = "editor"
)

// hold keeps the list of what people have in step with a host's owner and editors.
func (tx *Tx) hold(z *model.Zone, name model.Name, old, next *model.HostControl) error {
	if old != nil && next != nil && old.Owner == next.Owner && slices.Equal(old.Editors, next.Editors) && len(old.Lost) == 0 {
		return nil
	}
	was, is := holders(old), holders(next)
	if old != nil {
		for _, e := range old.Lost {
			was[string(e)] = asEditor
		}
	}
	for who := range was {
		if is[who] == "" {
			is[who] = ""
		}
	}
	for who, as := range is {
		if as == was[who] {
			continue
		}
		key := tx.s.keys.own(who, *z, name)
		if _, err := tx.get(key); err != nil {
			return err
		}
		if as == "" {
			tx.put(key, nil)
		} else {
			tx.put(key, []byte(as))
		}
	}
	return nil
}

func holders(h *model.HostControl) map[string]string {
	out := map[string]string{}
	if h == nil {
		return out
	}
	for _, e := range h.Editors {
		out[string(e)] = asEditor
	}
	if _, err := model.ParsePrincipalName("", h.Owner); err == nil { // no admin token, which has all
		out[h.Owner] = asOwner
	}
	return out
}

// sweepPolicies and sweepHoldings remove what belonged to dead incarnations of zones.
func (s *Store) sweepPolicies(ctx context.Context, _ time.Time) (int, error) {
	return s.sweepGroups(ctx, s.keys.anyPolicy(), isDeadIncarnation)
}

func (s *Store) sweepHoldings(ctx context.Context, _ time.Time) (int, error) {
	removed := 0
	all := s.keys.holdings()
	for from := all; ; {
		next, err := s.rangeKeys(ctx, from, prefixEnd(all), 1)
		if err != nil || len(next) == 0 {
			return removed, err
		}
		who, _, _ := strings.Cut(strings.TrimPrefix(next[0], all), "/")
		prefix := all + who + "/"
		n, err := s.sweepGroups(ctx, prefix, isDeadIncarnation)
		removed += n
		if err != nil {
			return removed, err
		}
		from = prefixEnd(prefix)
	}
}

func isDeadIncarnation(tx *Tx, zone model.Name, inc uint64) (bool, error) {
	z, err := tx.Zone(zone)
	if model.KindOf(err) == model.NotFound && err != nil {
		return true, nil // what has an incarnation is only made together with a look at its zone
	}
	return err == nil && z.Incarnation != inc, err
}

func encodePolicy(p *model.ZonePolicy) []byte {
	schema := uint32(1)
	if p.NoPrivate {
		schema = 2 // who does not know of it would write the value back without it
	}
	return encode(&storepb.ZonePolicy{
		Schema: schema, Admins: texts(p.Admins), Register: uint32(p.Register), Groups: texts(p.Groups),
		Reserved: p.Reserved, OwnReserved: p.Reserved != nil, Depth: p.Depth, MaxHosts: p.MaxHosts, MaxChanges: p.MaxChanges,
		Quarantine: p.Quarantine, Lease: p.Lease, LeaseTime: seconds(p.LeaseTime), MaxRecords: p.MaxRecords, MaxOctets: p.MaxOctets, MaxNames: p.MaxNames,
		Grants: encodeGrants(p.Grants), Formers: encodeFormers(p.Formers), NoPrivateAddresses: p.NoPrivate,
	})
}

func decodePolicy(raw []byte, rev int64) (*model.ZonePolicy, error) {
	var p storepb.ZonePolicy
	if err := decode("policy of a zone", raw, &p); err != nil {
		return nil, err
	}
	out := &model.ZonePolicy{
		Admins: principals(p.Admins), Register: model.Register(p.Register), Groups: principals(p.Groups),
		Reserved: p.Reserved, Depth: p.Depth, MaxHosts: p.MaxHosts, MaxChanges: p.MaxChanges, ModRevision: rev,
		Quarantine: p.Quarantine, Lease: p.Lease, LeaseTime: fromSeconds(p.LeaseTime), MaxRecords: p.MaxRecords, MaxOctets: p.MaxOctets, MaxNames: p.MaxNames,
		Grants: decodeGrants(p.Grants), Formers: decodeFormers(p.Formers), NoPrivate: p.NoPrivateAddresses,
	}
	if p.OwnReserved && out.Reserved == nil {
		out.Reserved = []string{}
	}
	return out, nil
}

// Disabled reads why a person may do nothing; nil when they may.
func (tx *Tx) Disabled(person model.PrincipalName) (*model.Withdrawal, error) {
	kvs, err := tx.get(tx.s.keys.principal(string(person)))
	if err != nil || !kvs[0].there() {
		return nil, err
	}
	var p storepb.Principal
	if err := decode("principal", kvs[0].value, &p); err != nil {
		return nil, err
	}
	return decodeWithdrawal(p.Disabled), nil
}

// PutDisabled says of a person who was looked for with Disabled why they may do nothing;
// nil that they may.
func (tx *Tx) PutDisabled(person model.PrincipalName, why *model.Withdrawal) {
	var raw []byte
	if why != nil {
		raw = encode(&storepb.Principal{Schema: 1, Disabled: encodeWithdrawal(why)})
	}
	tx.put(tx.s.keys.principal(string(person)), raw)
}

func encodeGrants(in model.Grants) (out []*storepb.Grant) {
	for _, g := range in {
		out = append(out, &storepb.Grant{What: g.What, TokenSha256: g.Token})
	}
	return out
}

func decodeGrants(in []*storepb.Grant) (out model.Grants) {
	for _, g := range in {
		out = append(out, model.Grant{What: g.What, Token: g.TokenSha256})
	}
	return out
}

func encodeOffer(o *model.Offer) *storepb.Offer {
	if o == nil {
		return nil
	}
	return &storepb.Offer{To: string(o.To), ExpireTime: seconds(o.ExpireTime)}
}

func decodeOffer(o *storepb.Offer) *model.Offer {
	if o == nil {
		return nil
	}
	return &model.Offer{To: model.PrincipalName(o.To), ExpireTime: fromSeconds(o.ExpireTime)}
}

func encodeWithdrawal(w *model.Withdrawal) *storepb.Withdrawal {
	if w == nil {
		return nil
	}
	return &storepb.Withdrawal{Reason: w.Reason, Time: seconds(w.Time)}
}

func decodeWithdrawal(w *storepb.Withdrawal) *model.Withdrawal {
	if w == nil {
		return nil
	}
	return &model.Withdrawal{Reason: w.Reason, Time: fromSeconds(w.Time)}
}

func texts(in []model.PrincipalName) []string {
	var out []string
	for _, p := range in {
		out = append(out, string(p))
	}
	return out
}

func principals(in []string) []model.PrincipalName {
	var out []model.PrincipalName
	for _, p := range in {
		out = append(out, model.PrincipalName(p))
	}
	return out
}
