package store

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"signpost/internal/model"
)

// Named is a name with what is stored of it.
type Named struct {
	Name model.Name
	Data *model.NameData    // what DNS needs; nil when there is none
	Host *model.HostControl // what control keeps; nil when not read or not there
}

// Zone reads a zone. Errors: NotFound.
func (tx *Tx) Zone(name model.Name) (*model.Zone, error) {
	kvs, err := tx.get(tx.s.keys.zone(name))
	if err != nil {
		return nil, err
	}
	if kvs[0] == nil {
		return nil, model.E(model.NotFound, "find zone", name.Text()).Because("there is no such zone").Hint("signpost zone list shows those there are")
	}
	return decodeZone(name, kvs[0].Value, kvs[0].ModRevision)
}

// ZoneAbove reads the zone that a name belongs to: the longest that contains it.
// All zones that could are compared at commit. Errors: NotFound.
func (tx *Tx) ZoneAbove(name model.Name) (*model.Zone, error) {
	var candidates []model.Name
	for n, ok := name, true; ok; n, ok = n.Parent() {
		candidates = append(candidates, n)
	}
	keys := make([]string, len(candidates))
	for i, n := range candidates {
		keys[i] = tx.s.keys.zone(n)
	}
	kvs, err := tx.get(keys...)
	if err != nil {
		return nil, err
	}
	for i, kv := range kvs {
		if kv != nil {
			return decodeZone(candidates[i], kv.Value, kv.ModRevision)
		}
	}
	return nil, model.E(model.NotFound, "find zone of", name.Text()).Because("no zone here contains it").Hint("signpost zone list shows those there are")
}

// Path reads what is stored of a name and of every name between it and its zone's
// apex, the name itself first, with hosts' control values. The name must be below
// the zone.
func (tx *Tx) Path(z *model.Zone, name model.Name) ([]Named, error) {
	var path []Named
	var keys []string
	for n := name; n.Below(z.Name); n, _ = n.Parent() {
		path = append(path, Named{Name: n})
		keys = append(keys, tx.s.keys.name(z.Name, z.Generation, n), tx.s.keys.host(*z, n))
	}
	kvs, err := tx.get(keys...)
	if err != nil {
		return nil, err
	}
	for i := range path {
		if path[i].Data, err = nameOf(kvs[2*i]); err != nil {
			return nil, err
		}
		if kv := kvs[2*i+1]; kv != nil {
			if path[i].Host, err = decodeHostControl(kv.Value, kv.ModRevision); err != nil {
				return nil, err
			}
		}
	}
	return path, nil
}

func nameOf(kv *mvccpb.KeyValue) (*model.NameData, error) {
	if kv == nil {
		return nil, nil
	}
	return decodeName(kv.Value, kv.ModRevision)
}

// Below reads the names strictly below one, at most limit (0: all), in key order.
// A name that appears or changes there before the commit makes the change be
// decided again.
func (tx *Tx) Below(z *model.Zone, name model.Name, limit int) ([]Named, error) {
	from := tx.s.keys.name(z.Name, z.Generation, name)
	return tx.names(from+"\x00", prefixEnd(from), limit)
}

// Names reads names of the zone in key order, at most limit, starting after a
// name ("" for the first).
func (tx *Tx) Names(z *model.Zone, after model.Name, limit int) ([]Named, error) {
	prefix := tx.s.keys.namesOf(*z)
	from := prefix
	if after != "" {
		from = tx.s.keys.name(z.Name, z.Generation, after) + "\x00"
	}
	return tx.names(from, prefixEnd(prefix), limit)
}

func (tx *Tx) names(from, to string, limit int) ([]Named, error) {
	kvs, err := tx.list(from, to, int64(limit))
	if err != nil {
		return nil, err
	}
	out := make([]Named, len(kvs))
	for i, kv := range kvs {
		k, ok, err := tx.s.keys.parse(string(kv.Key))
		if err != nil || !ok {
			return nil, model.E(model.Internal, "read names", "").Because("there is a foreign key among them").From(err)
		}
		data, err := nameOf(kv)
		if err != nil {
			return nil, err
		}
		out[i] = Named{Name: k.Name, Data: data}
	}
	return out, nil
}

// Zones reads zones in key order, at most limit, starting after a zone ("" for the
// first). A zone whose value cannot be read is left out.
func (tx *Tx) Zones(after model.Name, limit int) ([]*model.Zone, error) {
	from := tx.s.keys.zones()
	to := prefixEnd(from)
	if after != "" {
		from = tx.s.keys.zone(after) + "\x00"
	}
	kvs, err := tx.list(from, to, int64(limit))
	if err != nil {
		return nil, err
	}
	var zones []*model.Zone
	for _, kv := range kvs {
		k, ok, err := tx.s.keys.parse(string(kv.Key))
		if err != nil || !ok {
			continue
		}
		if z, err := decodeZone(k.Zone, kv.Value, kv.ModRevision); err == nil {
			zones = append(zones, z)
		}
	}
	return zones, nil
}

// ZonesBelow reads the zones strictly below a name.
func (tx *Tx) ZonesBelow(name model.Name) ([]model.Name, error) {
	from := tx.s.keys.zone(name)
	to := prefixEnd(from)
	if name == model.Root {
		from, to = tx.s.keys.zones(), prefixEnd(tx.s.keys.zones())
	}
	kvs, err := tx.list(from, to, 0)
	if err != nil {
		return nil, err
	}
	var below []model.Name
	for _, kv := range kvs {
		if k, ok, err := tx.s.keys.parse(string(kv.Key)); err == nil && ok && k.Zone.Below(name) {
			below = append(below, k.Zone)
		}
	}
	return below, nil
}

// Hosts reads the hosts of a zone in key order, at most limit, starting after a
// name ("" for the first), with both of their values.
func (tx *Tx) Hosts(z *model.Zone, after model.Name, limit int) ([]Named, error) {
	prefix := tx.s.keys.hosts(*z)
	from := prefix
	if after != "" {
		from = tx.s.keys.host(*z, after) + "\x00"
	}
	kvs, err := tx.list(from, prefixEnd(prefix), int64(limit))
	if err != nil {
		return nil, err
	}
	hosts := make([]Named, 0, len(kvs))
	keys := make([]string, 0, len(kvs))
	for _, kv := range kvs {
		_, _, name, err := tx.s.keys.parseHost(string(kv.Key))
		if err != nil {
			return nil, err
		}
		c, err := decodeHostControl(kv.Value, kv.ModRevision)
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, Named{Name: name, Host: c})
		keys = append(keys, tx.s.keys.name(z.Name, z.Generation, name))
	}
	datas, err := tx.get(keys...)
	if err != nil {
		return nil, err
	}
	for i, kv := range datas {
		if hosts[i].Data, err = nameOf(kv); err != nil {
			return nil, err
		}
	}
	return hosts, nil
}

// ZoneRevision is the revision of the last change of a zone's answers, for its
// serial. Once read, any change of the zone's answers makes the change be decided
// again.
func (tx *Tx) ZoneRevision(name model.Name) (int64, error) {
	kvs, err := tx.get(tx.s.keys.rev(name), tx.s.keys.revAll())
	if err != nil {
		return 0, err
	}
	var rev int64
	for _, kv := range kvs {
		if kv != nil {
			rev = max(rev, kv.ModRevision)
		}
	}
	return rev, nil
}

// NewNumber is a number for an incarnation, a generation of a zone or of an
// endpoint: larger than all made at earlier revisions, and never the same twice.
func (tx *Tx) NewNumber() (uint64, error) {
	rev, err := tx.Revision()
	return uint64(rev)<<20 | mathrand.Uint64N(1<<20), err
}

// PutZone writes a zone that was looked for with Zone or ZoneAbove.
func (tx *Tx) PutZone(z *model.Zone) {
	tx.answers(z.Name)
	tx.put(tx.s.keys.zone(z.Name), encodeZone(z))
}

// DeleteZone removes a zone and with it, in the same revision, all that is in it:
// the names and hosts of no zone's generation and incarnation do not exist. Sweep
// clears them away. Replicas take it as meant.
func (tx *Tx) DeleteZone(z *model.Zone) {
	tx.Accept(z.Name)
	tx.put(tx.s.keys.zone(z.Name), nil)
}

// PutName writes what DNS needs of a name that was read; data without record sets
// and host removes it.
func (tx *Tx) PutName(z *model.Zone, name model.Name, data *model.NameData) {
	tx.answers(z.Name)
	var raw []byte
	if data != nil && (len(data.RRsets) > 0 || data.Host != nil) {
		raw = encodeName(data)
	}
	tx.put(tx.s.keys.name(z.Name, z.Generation, name), raw)
}

// PutHost writes a host's control value that was read; nil removes it.
func (tx *Tx) PutHost(z *model.Zone, name model.Name, h *model.HostControl) {
	var raw []byte
	if h != nil {
		raw = encodeHostControl(h)
	}
	tx.put(tx.s.keys.host(*z, name), raw)
}

// Token reads a credential by the SHA-256 of its secret; nil when there is none.
func (tx *Tx) Token(sum []byte) (*model.Token, error) {
	kvs, err := tx.get(tx.s.keys.token(sum))
	if err != nil || kvs[0] == nil {
		return nil, err
	}
	return decodeToken(kvs[0].Value, kvs[0].ModRevision)
}

// PutToken writes a credential that was looked for with Token.
func (tx *Tx) PutToken(sum []byte, t *model.Token) { tx.put(tx.s.keys.token(sum), encodeToken(t)) }

// Audit adds a record of who changed what to the transaction. It is written only
// when something changes.
func (tx *Tx) Audit(a model.AuditRecord) { tx.audits = append(tx.audits, a) }

// newAuditID sorts by time.
func newAuditID(at time.Time) string {
	var b [6]byte
	rand.Read(b[:])
	return fmt.Sprintf("%013d-%s", at.UnixMilli(), hex.EncodeToString(b[:]))
}

// prefixEnd is the first key after all that start with prefix.
func prefixEnd(prefix string) string {
	b := []byte(prefix)
	b[len(b)-1]++ // a prefix ends in "/" or ".", never in 0xff
	return string(b)
}
