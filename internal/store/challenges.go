package store

import (
	"slices"
	"strings"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

// Challenge reads what an order has set below a host; nil: nothing.
func (tx *Tx) Challenge(z *model.Zone, host model.Name) (*model.Challenge, error) {
	h, err := tx.one(tx.s.keys.challenge(*z, host))
	if err != nil || !h.there() {
		return nil, err
	}
	return decodeChallenge(h.value, h.mod)
}

// PutChallenge keeps in mind what an order sets below a host, after a look with Challenge;
// nil: it is taken away.
func (tx *Tx) PutChallenge(z *model.Zone, host model.Name, c *model.Challenge) {
	var raw []byte
	if c != nil {
		raw = encode(&storepb.Challenge{Schema: 1, Values: c.Values, Order: c.Order, ExpireTime: seconds(c.ExpireTime)})
	}
	tx.put(tx.s.keys.challenge(*z, host), raw)
}

// Challenges is the hosts below which something is set, of zones as they are now.
func (tx *Tx) Challenges() ([]HostAt, error) {
	var out []HostAt
	prefix := tx.s.keys.anyChallenge()
	for kv, err := range tx.walk(prefix) {
		if err != nil {
			return nil, err
		}
		zone, rest, _ := strings.Cut(strings.TrimPrefix(string(kv.Key), prefix), "/")
		inc, name, _ := strings.Cut(rest, "/")
		number, at, host, err := parseNameKey(zone, inc, name)
		if err != nil {
			continue // not ours; etcdctl shows it
		}
		z, err := tx.Zone(at)
		if err != nil && model.KindOf(err) != model.NotFound {
			return nil, err
		}
		if err == nil && z.Incarnation == number {
			out = append(out, HostAt{Zone: at, Name: host})
		}
	}
	return out, nil
}

func decodeChallenge(raw []byte, rev int64) (*model.Challenge, error) {
	var p storepb.Challenge
	if err := decode("challenge", raw, &p); err != nil {
		return nil, err
	}
	return &model.Challenge{Values: slices.Clone(p.Values), Order: p.Order, ExpireTime: fromSeconds(p.ExpireTime), ModRevision: rev}, nil
}
