package store

import (
	"context"
	"strconv"
	"time"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

// Certificate reads the certificate of a host; nil: it has none.
func (tx *Tx) Certificate(z *model.Zone, host model.Name) (*model.Certificate, error) {
	h, err := tx.one(tx.s.keys.cert(*z, host))
	if err != nil || !h.there() {
		return nil, err
	}
	return decodeCertificate(h.value, h.mod)
}

// PutCertificate keeps the certificate of a host that was looked for with Certificate. It
// goes with the host, and when the host becomes another's.
func (tx *Tx) PutCertificate(z *model.Zone, host model.Name, c *model.Certificate) {
	tx.put(tx.s.keys.cert(*z, host), encodeCertificate(c))
}

// PlaceOrder counts one more order of an authority's: of these very names, of the host's
// owner, "" for one who has no count, and of the zone. Errors: Exhausted, with the time
// after which there is room, when one of them has as many in a week as most says; a most
// of 0 is no bound.
func (tx *Tx) PlaceOrder(of OrderedBy, most OrderedMost, now time.Time) error {
	for _, b := range of.bounds(tx.s.keys, most) {
		o, err := tx.ordersAt(b.key)
		if err != nil {
			return err
		}
		if wait := o.Wait(b.most, now); b.most > 0 && wait > 0 {
			return model.E(model.Exhausted, "order certificate for", of.Names.Text()).
				Because(b.what + " in the last seven days, as many as one may").
				Hint("try again at " + now.Add(wait).UTC().Format(time.RFC3339)).After(wait)
		}
		tx.put(b.key, encodeOrders(o.With(now, b.grain)))
	}
	return nil
}

// TakeOrderBack counts an order no longer that was never placed.
func (tx *Tx) TakeOrderBack(of OrderedBy) error {
	for _, b := range of.bounds(tx.s.keys, OrderedMost{}) {
		o, err := tx.ordersAt(b.key)
		if err != nil {
			return err
		}
		var raw []byte
		if o = o.Without(); len(o) > 0 {
			raw = encodeOrders(o)
		}
		tx.put(b.key, raw)
	}
	return nil
}

// CountOrders is how many orders of these names there were in the last week.
func (tx *Tx) CountOrders(names model.Name, now time.Time) (int, error) {
	o, err := tx.ordersAt(tx.s.keys.ordersOfNames(names))
	return o.Count(now), err
}

func (tx *Tx) ordersAt(key string) (model.Orders, error) {
	h, err := tx.one(key)
	if err != nil || !h.there() {
		return nil, err
	}
	return decodeOrders(h.value)
}

// OrderedBy is whose orders an order is one of.
type OrderedBy struct {
	Names model.Name // the host, or "*" below it when that is ordered, too
	Owner string     // "": nobody's whose orders are counted
	Zone  model.Name
}

// OrderedMost is how many orders there may be in a week.
type OrderedMost struct{ Names, Owner, Zone int }

func times(n int) string { return strconv.Itoa(n) + " times" }

type orderBound struct {
	key, what string
	most      int
	grain     time.Duration
}

func (of OrderedBy) bounds(k keys, most OrderedMost) []orderBound {
	out := []orderBound{
		{k.ordersOfNames(of.Names), "its certificate was ordered " + times(most.Names), most.Names, time.Second},
		{k.ordersOfZone(of.Zone), "certificates in zone " + of.Zone.Text() + " were ordered " + times(most.Zone), most.Zone, time.Hour},
	}
	if of.Owner != "" {
		out = append(out, orderBound{k.ordersOfOwner(of.Owner), "certificates of its owner's hosts were ordered " + times(most.Owner), most.Owner, time.Second})
	}
	return out
}

// sweepCertificates removes what belonged to dead incarnations of zones, and counts of
// orders that are over.
func (s *Store) sweepCertificates(ctx context.Context, now time.Time) (int, error) {
	removed := 0
	for _, under := range []string{s.keys.anyCert(), s.keys.anyOrder(), s.keys.anyChallenge()} {
		n, err := s.sweepGroups(ctx, under, isDeadIncarnation)
		removed += n
		if err != nil {
			return removed, err
		}
	}
	n, err := s.sweepOld(ctx, s.keys.orders(), func(raw []byte, _ int64) ([]byte, bool) {
		o, err := decodeOrders(raw)
		return nil, err != nil || len(o) > 0 && now.Sub(o[len(o)-1].Time) < model.OrderSpan
	})
	return removed + n, err
}

func encodeOrders(in model.Orders) []byte {
	p := &storepb.Orders{Schema: 1}
	for _, c := range in {
		p.Counts = append(p.Counts, &storepb.OrderCount{Time: seconds(c.Time), Count: c.Count})
	}
	return encode(p)
}

func decodeOrders(raw []byte) (model.Orders, error) {
	var p storepb.Orders
	if err := decode("count of orders", raw, &p); err != nil {
		return nil, err
	}
	var out model.Orders
	for _, c := range p.Counts {
		out = append(out, model.OrderCount{Time: fromSeconds(c.Time), Count: c.Count})
	}
	return out, nil
}

func encodeCertificate(c *model.Certificate) []byte {
	return encode(&storepb.Certificate{
		Schema: 1, Chain: c.Chain, KeySha256: c.KeyID[:], Wildcard: c.Wildcard, Serial: c.Serial,
		NotBefore: seconds(c.NotBefore), NotAfter: seconds(c.NotAfter), IssueTime: seconds(c.IssueTime),
		RenewFrom: seconds(c.RenewFrom), RenewTo: seconds(c.RenewTo), CertId: c.CertID, Directory: c.Directory,
	})
}

func decodeCertificate(raw []byte, rev int64) (*model.Certificate, error) {
	var p storepb.Certificate
	if err := decode("certificate", raw, &p); err != nil {
		return nil, err
	}
	if len(p.KeySha256) != 32 {
		return nil, model.E(model.Internal, "read stored certificate", "").Because("its key is not named by 32 octets")
	}
	return &model.Certificate{
		Chain: p.Chain, KeyID: [32]byte(p.KeySha256), Wildcard: p.Wildcard, Serial: p.Serial,
		NotBefore: fromSeconds(p.NotBefore), NotAfter: fromSeconds(p.NotAfter), IssueTime: fromSeconds(p.IssueTime),
		RenewFrom: fromSeconds(p.RenewFrom), RenewTo: fromSeconds(p.RenewTo), CertID: p.CertId, Directory: p.Directory, ModRevision: rev,
	}, nil
}
