package store

import (
	"errors"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"signpost/internal/model"
)

// HostWord reads the operator's word on a host; nil: there is none.
func (tx *Tx) HostWord(z *model.Zone, name model.Name) (*model.Word, error) {
	h, err := tx.one(tx.s.keys.hostWord(z.Name, name))
	if err != nil {
		return nil, err
	}
	return wordIn(z, h)
}

// PutHostWord writes the word on a host; nil takes it back.
func (tx *Tx) PutHostWord(z *model.Zone, name model.Name, w *model.Word) {
	tx.answers(z.Name)
	tx.putWord(tx.s.keys.hostWord(z.Name, name), w, z.Incarnation)
}

// EndpointWords reads the words on endpoints of a host, by their ids.
func (tx *Tx) EndpointWords(z *model.Zone, name model.Name) (map[string]*model.Word, error) {
	out := map[string]*model.Word{}
	return out, tx.eachOf(tx.s.keys.endpointWords()+hostPart(z.Name, name)+"/", func(id string, h held) error {
		w, err := wordIn(z, h)
		if w != nil {
			out[id] = w
		}
		return err
	})
}

// PutEndpointWord writes the word on an endpoint; nil takes it back.
func (tx *Tx) PutEndpointWord(z *model.Zone, name model.Name, id string, w *model.Word) {
	tx.answers(z.Name)
	tx.putWord(tx.s.keys.endpointWord(z.Name, name, id), w, z.Incarnation)
}

// SiteWord reads the operator's word on a site; nil: there is none.
func (tx *Tx) SiteWord(site string) (*model.Word, error) {
	h, err := tx.one(tx.s.keys.siteWord(site))
	if err != nil || !h.there() {
		return nil, err
	}
	return decodeWord(h.value, h.mod)
}

// SiteWords reads the words on all sites.
func (tx *Tx) SiteWords() (map[string]*model.Word, error) {
	out := map[string]*model.Word{}
	return out, tx.eachOfAll(tx.s.keys.siteWords(), func(site string, kv *mvccpb.KeyValue) (err error) {
		out[site], err = decodeWord(kv.Value, kv.ModRevision)
		return err
	})
}

// PutSiteWord writes the word on a site; nil takes it back.
func (tx *Tx) PutSiteWord(site string, w *model.Word) {
	tx.answersAll()
	tx.putWord(tx.s.keys.siteWord(site), w, 0)
}

// Freeze reads the freeze switch; nil: it is off.
func (tx *Tx) Freeze() (*model.Freeze, error) {
	h, err := tx.one(tx.s.keys.freeze())
	if err != nil || !h.there() {
		return nil, err
	}
	return decodeFreeze(h.value, h.mod)
}

// PutFreeze turns the freeze switch on; nil turns it off.
func (tx *Tx) PutFreeze(f *model.Freeze) {
	tx.answersAll()
	var raw []byte
	if f != nil {
		raw = encodeFreeze(f)
	}
	tx.replace(tx.s.keys.freeze(), raw)
}

func (tx *Tx) putWord(key string, w *model.Word, inc uint64) {
	var raw []byte
	if w != nil {
		of := *w
		of.Incarnation = inc
		raw = encodeWord(&of)
	}
	tx.replace(key, raw)
}

// wordIn is a word on something of a zone; one of another incarnation is none.
func wordIn(z *model.Zone, h held) (*model.Word, error) {
	if !h.there() {
		return nil, nil
	}
	w, err := decodeWord(h.value, h.mod)
	if err != nil || w.Incarnation != z.Incarnation {
		return nil, err
	}
	return w, nil
}

// replace is put for a key that need not have been read; nil deletes.
func (tx *Tx) replace(key string, value []byte) {
	if _, err := tx.get(key); err != nil {
		tx.bad = errors.Join(tx.bad, err)
		return
	}
	tx.put(key, value)
}

// eachOf reads what is kept of the endpoints of a host under a prefix. All of it, and
// that there is no more, is compared at commit.
func (tx *Tx) eachOf(prefix string, take func(id string, h held) error) error {
	kvs, err := tx.list(prefix, prefixEnd(prefix), 0)
	if err != nil {
		return err
	}
	for _, kv := range kvs {
		tx.compare(string(kv.Key))
		id, err := parsePart(strings.TrimPrefix(string(kv.Key), prefix))
		if err == nil {
			err = take(id, held{kv.Value, kv.ModRevision})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// eachOfAll reads what is kept of all sites under a prefix. However much that is, one
// comparison stands for all of it: the mark of what changes the answers of all zones.
func (tx *Tx) eachOfAll(prefix string, take func(site string, kv *mvccpb.KeyValue) error) error {
	if _, err := tx.one(tx.s.keys.revAll()); err != nil {
		return err
	}
	kvs, err := tx.list(prefix, prefixEnd(prefix), 0)
	if err != nil {
		return err
	}
	for _, kv := range kvs {
		site, err := parsePart(strings.TrimPrefix(string(kv.Key), prefix))
		if err == nil {
			err = take(site, kv)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
