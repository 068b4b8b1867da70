package store

import "signpost/internal/model"

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
	if !kvs[0].there() {
		return nil, model.E(model.NotFound, "find zone", name.Text()).Because("there is no such zone").Hint("signpost zone list shows those there are")
	}
	return tx.s.zones.decode(name, kvs[0].value, kvs[0].mod)
}

// ZoneAbove reads the zone that a name belongs to: the longest that contains it. It, and
// that there is no longer one, is compared at commit. Errors: NotFound.
func (tx *Tx) ZoneAbove(name model.Name) (*model.Zone, error) {
	if tx.world == nil { // all in one round trip
		var keys []string
		for n, ok := name, true; ok; n, ok = n.Parent() {
			keys = append(keys, tx.s.keys.zone(n))
		}
		if _, err := tx.look(keys...); err != nil {
			return nil, err
		}
	}
	for n, ok := name, true; ok; n, ok = n.Parent() {
		h, err := tx.one(tx.s.keys.zone(n))
		if err != nil {
			return nil, err
		}
		if h.there() {
			return tx.s.zones.decode(n, h.value, h.mod)
		}
	}
	return nil, model.E(model.NotFound, "find zone of", name.Text()).Because("no zone here contains it").Hint("signpost zone list shows those there are")
}

// Path reads what is stored of a name and of every name between it and its zone's
// apex, the name itself first, with hosts' control values. The name must be below
// the zone.
func (tx *Tx) Path(z *model.Zone, name model.Name) ([]Named, error) {
	var names []model.Name
	for n := name; n.Below(z.Name); n, _ = n.Parent() {
		names = append(names, n)
	}
	return tx.HostsAt(z, names...)
}

// HostsAt reads names of a zone with both values of the hosts there, in the order given.
func (tx *Tx) HostsAt(z *model.Zone, names ...model.Name) ([]Named, error) {
	keys := make([]string, 0, 2*len(names))
	for _, n := range names {
		keys = append(keys, tx.s.keys.name(z.Name, z.Generation, n), tx.s.keys.host(*z, n))
	}
	kvs, err := tx.get(keys...)
	if err != nil {
		return nil, err
	}
	out := make([]Named, len(names))
	for i, n := range names {
		out[i].Name = n
		if out[i].Data, err = nameOf(kvs[2*i]); err != nil {
			return nil, err
		}
		if kv := kvs[2*i+1]; kv.there() {
			if out[i].Host, err = decodeHostControl(kv.value, kv.mod); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// Datas reads what is stored of names of a zone, nil for those that are not there.
func (tx *Tx) Datas(z *model.Zone, names ...model.Name) ([]*model.NameData, error) {
	keys := make([]string, len(names))
	for i, n := range names {
		keys[i] = tx.s.keys.name(z.Name, z.Generation, n)
	}
	kvs, err := tx.get(keys...)
	if err != nil {
		return nil, err
	}
	out := make([]*model.NameData, len(names))
	for i, kv := range kvs {
		if out[i], err = nameOf(kv); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func nameOf(kv held) (*model.NameData, error) {
	if !kv.there() {
		return nil, nil
	}
	return decodeName(kv.value, kv.mod)
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
		data, err := decodeName(kv.Value, kv.ModRevision)
		if err != nil {
			return nil, err
		}
		out[i] = Named{Name: k.Name, Data: data}
	}
	return out, nil
}

// Zones reads zones in key order, at most limit (0: all), starting after a zone ("" for the
// first); fewer only at the end. A zone whose value cannot be read is left out.
func (tx *Tx) Zones(after model.Name, limit int) ([]*model.Zone, error) {
	from := tx.s.keys.zones()
	to := prefixEnd(from)
	if after != "" {
		from = tx.s.keys.zone(after) + "\x00"
	}
	var zones []*model.Zone
	for {
		want := limit - len(zones)
		kvs, err := tx.list(from, to, int64(want))
		if err != nil {
			return nil, err
		}
		for _, kv := range kvs {
			k, ok, err := tx.s.keys.parse(string(kv.Key))
			if err != nil || !ok {
				continue
			}
			if z, err := decodeZone(k.Zone, kv.Value, kv.ModRevision); err == nil {
				zones = append(zones, z)
			}
		}
		if limit == 0 || len(kvs) < want || len(zones) == limit {
			return zones, nil
		}
		from = string(kvs[len(kvs)-1].Key) + "\x00"
	}
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

// OfZonesBelow runs look, which reads only what belongs to zones strictly below a
// name. However much that is, one comparison stands for all of it: any change of
// those zones' answers before the commit makes the change be decided again.
func (tx *Tx) OfZonesBelow(name model.Name, look func() error) error {
	from := tx.s.keys.rev(name)
	if name == model.Root {
		from = tx.s.keys.revs()
	}
	if _, err := tx.list(from, prefixEnd(from), 0); err != nil {
		return err
	}
	n := len(tx.ranges)
	defer func() { tx.ranges = tx.ranges[:n] }()
	return tx.reads.inexactly(look)
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
		rev = max(rev, kv.mod)
	}
	return rev, nil
}

// prefixEnd is the first key after all that start with prefix.
func prefixEnd(prefix string) string {
	b := []byte(prefix)
	b[len(b)-1]++ // a prefix ends in "/" or ".", never in 0xff
	return string(b)
}
