package store

import (
	"errors"

	"signpost/internal/model"
)

// forget plans that with a change of a name goes what is said of endpoints that are no
// more: words, marks and checks would count again for the next of that name. Votes would
// not, for they name the endpoint's generation; Sweep takes them.
func (tx *Tx) forget(z *model.Zone, name model.Name, next *model.NameData) error {
	old, err := tx.hostBefore(z, name)
	if err != nil {
		return err
	}
	var now *model.Host
	if next != nil {
		now = next.Host
	}
	k := tx.s.keys
	switch {
	case old == nil && now != nil: // what an import has left, which took the host away
		return tx.dropAll(k.check(z.Name, z.Incarnation, name), k.hostWord(z.Name, name), k.endpointWords()+hostPart(z.Name, name)+"/", k.overs()+hostPart(z.Name, name)+"/")
	case old != nil && now == nil:
		tx.replace(k.check(z.Name, z.Incarnation, name), nil)
		tx.replace(k.hostWord(z.Name, name), nil)
		gone := func(key func(z, n model.Name, id string) string) func(string, held) error {
			return func(id string, _ held) error { tx.put(key(z.Name, name, id), nil); return nil }
		}
		return errors.Join(tx.eachOf(k.endpointWords()+hostPart(z.Name, name)+"/", gone(k.endpointWord)),
			tx.eachOf(k.overs()+hostPart(z.Name, name)+"/", gone(k.over)))
	case old != nil:
		for i := range old.Endpoints {
			if id := old.Endpoints[i].ID; now.Endpoint(id) == nil {
				tx.replace(k.endpointWord(z.Name, name, id), nil)
				tx.replace(k.over(z.Name, name, id), nil)
			}
		}
	}
	return nil
}

// hostBefore is the host at a name that was read, as it is stored; nil: none.
func (tx *Tx) hostBefore(z *model.Zone, name model.Name) (*model.Host, error) {
	at := tx.reads.find(tx.s.keys.name(z.Name, z.Generation, name))
	if at < 0 || !tx.reads.all[at].there() {
		return nil, nil // put says it when it was not read
	}
	data, err := decodeName(tx.reads.all[at].value, 0)
	if err != nil {
		return nil, err
	}
	return data.Host, nil
}

// dropAll plans to delete keys, and those that begin with a prefix that ends in a slash,
// which nobody writes as long as there is no host. Nothing rests on them.
func (tx *Tx) dropAll(keys ...string) error {
	for _, key := range keys {
		to := key + "\x00"
		if key[len(key)-1] == '/' {
			to = prefixEnd(key)
		}
		kvs, err := tx.page(key, to)
		if err != nil {
			return err
		}
		for _, kv := range kvs {
			tx.drop(string(kv.Key))
		}
	}
	return nil
}
