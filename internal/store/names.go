package store

import (
	"context"
	"iter"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// walkPage is how many keys are read at once by those who walk over many.
const walkPage = 5000

// Look is Read for those who look for longer: the look stays at its revision as long
// as ctx lasts. Without a copy in memory etcd may forget the revision meanwhile; then
// reads fail with Aborted.
func (s *Store) Look(ctx context.Context) (*Tx, error) {
	w, err := s.caughtUp(ctx)
	if err != nil {
		return nil, err
	}
	return s.reading(ctx, w), nil
}

// EachName walks the names of a zone in key order, those at and below a name or, with
// "", all. It keeps nothing: what a change rests on it, must be compared otherwise,
// by ZoneRevision. The walk ends with an error.
func (tx *Tx) EachName(z *model.Zone, at model.Name) iter.Seq2[Named, error] {
	prefix := tx.s.keys.namesOf(*z)
	if at != "" {
		prefix = tx.s.keys.name(z.Name, z.Generation, at)
	}
	return func(yield func(Named, error) bool) {
		for kv, err := range tx.walk(prefix) {
			var n Named
			if err == nil {
				n, err = tx.s.named(kv)
			}
			if !yield(n, err) || err != nil {
				return
			}
		}
	}
}

func (s *Store) named(kv *mvccpb.KeyValue) (Named, error) {
	k, ok, err := s.keys.parse(string(kv.Key))
	if err != nil || !ok {
		return Named{}, model.E(model.Internal, "read names", "").Because("there is a foreign key among them").From(err)
	}
	data, err := decodeName(kv.Value, kv.ModRevision)
	return Named{Name: k.Name, Data: data}, err
}

// walk reads the keys that start with a prefix, a page at a time.
func (tx *Tx) walk(prefix string) iter.Seq2[*mvccpb.KeyValue, error] {
	return func(yield func(*mvccpb.KeyValue, error) bool) {
		for from := prefix; ; {
			page, err := tx.page(from, prefixEnd(prefix))
			if err != nil {
				yield(nil, err)
				return
			}
			for _, kv := range page {
				if !yield(kv, nil) {
					return
				}
			}
			if len(page) < walkPage {
				return
			}
			from = string(page[len(page)-1].Key) + "\x00"
		}
	}
}

func (tx *Tx) page(from, to string) ([]*mvccpb.KeyValue, error) {
	if tx.inWorld(from) {
		return tx.world.list(from, to, walkPage), nil
	}
	rev, err := tx.Revision()
	if err != nil {
		return nil, err
	}
	resp, err := tx.s.get(tx.ctx, readTimeout, from, clientv3.WithRange(to), clientv3.WithLimit(walkPage), clientv3.WithRev(rev))
	if err != nil {
		return nil, err
	}
	return resp.Kvs, nil
}

// ChangedNames is the names of a zone's generation that are not in one look as they
// are in another, in key order.
func ChangedNames(before, now *Tx, z *model.Zone) ([]model.Name, error) {
	if before.world != nil && before.world == now.world {
		return nil, nil
	}
	prefix := now.s.keys.namesOf(*z)
	next, stop := iter.Pull2(before.walk(prefix))
	defer stop()
	was, err, more := next()
	var names []model.Name
	differs := func(kv *mvccpb.KeyValue) error {
		n, err := now.s.named(kv)
		names = append(names, n.Name)
		return err
	}
	for kv, problem := range now.walk(prefix) {
		for err == nil && problem == nil && more && string(was.Key) < string(kv.Key) {
			if err = differs(was); err == nil {
				was, err, more = next()
			}
		}
		switch {
		case err != nil:
			return nil, err
		case problem != nil:
			return nil, problem
		case more && string(was.Key) == string(kv.Key):
			if was.ModRevision != kv.ModRevision {
				err = differs(kv)
			}
			if err == nil {
				was, err, more = next()
			}
		default:
			err = differs(kv)
		}
	}
	for err == nil && more {
		if err = differs(was); err == nil {
			was, err, more = next()
		}
	}
	return names, err
}

// OrderNames orders names as their keys are: each just before those below it.
func OrderNames(a, b model.Name) int {
	if !plain(a) || !plain(b) {
		return strings.Compare(reversed(a), reversed(b))
	}
	for a != "" && b != "" {
		la, lb := lastLabel(a), lastLabel(b)
		if c := strings.Compare(string(la), string(lb)); c != 0 {
			return c
		}
		a, b = a[:len(a)-len(la)], b[:len(b)-len(lb)]
	}
	return len(a) - len(b)
}

// lastLabel is the rightmost label with its dot.
func lastLabel(n model.Name) model.Name {
	return n[strings.LastIndexByte(string(n[:len(n)-1]), '.')+1:]
}

// plain reports whether a key holds the name's labels as they are.
func plain(n model.Name) bool {
	for i := range len(n) {
		if n[i] != '.' && !plainOctet(n[i]) {
			return false
		}
	}
	return true
}
