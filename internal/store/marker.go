package store

import (
	"context"
	"math"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// Marker makes a leased key whose end ends a timed word: no clock but etcd's counts. A
// change of etcd's leader begins the time anew. Errors: Unavailable.
func (s *Store) Marker(ctx context.Context, ttl time.Duration) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	lease, err := s.client.Grant(ctx, int64(math.Ceil(ttl.Seconds())))
	if err != nil {
		return "", translate(err, "begin timed word", "")
	}
	id = strconv.FormatUint(uint64(lease.ID), 16)
	if _, err := s.client.Put(ctx, s.keys.marker(id), "", clientv3.WithLease(lease.ID)); err != nil {
		s.EndMarker(context.WithoutCancel(ctx), id)
		return "", translate(err, "begin timed word", "")
	}
	return id, nil
}

// EndMarker ends a marker now, for a word that was taken back or never said. If it
// cannot, the marker ends in its time.
func (s *Store) EndMarker(ctx context.Context, id string) {
	lease, err := strconv.ParseUint(id, 16, 64)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, _ = s.client.Revoke(ctx, clientv3.LeaseID(lease))
}

// WordOn is an operator's word with the key that says what it is on.
type WordOn struct {
	On   model.Key
	Word *model.Word
}

// EndedWords reads the timed words whose time is over, all of etcd's. EndWord removes
// one.
func (tx *Tx) EndedWords() ([]WordOn, error) {
	var timed []WordOn
	for kv, err := range tx.walk(tx.s.keys.words()) {
		if err != nil {
			return nil, err
		}
		on, ok, err := tx.s.keys.parse(string(kv.Key))
		if err != nil || !ok || on.Kind == model.FreezeKey {
			continue
		}
		if w, err := decodeWord(kv.Value, kv.ModRevision); err == nil && w.Marker != "" {
			timed = append(timed, WordOn{on, w})
		}
	}
	if timed == nil {
		return nil, nil
	}
	there := map[string]bool{}
	for kv, err := range tx.walk(tx.s.keys.markers()) {
		if err != nil {
			return nil, err
		}
		there[string(kv.Key)] = true
	}
	ended := timed[:0]
	for _, w := range timed {
		if !there[tx.s.keys.marker(w.Word.Marker)] {
			ended = append(ended, w)
		}
	}
	return ended, nil
}

// EndWord removes a word if it still is that and its marker is gone, both compared at
// commit, and reports whether it does.
func (tx *Tx) EndWord(w WordOn) (bool, error) {
	key := tx.s.keys.of(w.On)
	kvs, err := tx.get(key, tx.s.keys.marker(w.Word.Marker))
	if err != nil || kvs[0].mod != w.Word.ModRevision || kvs[1].there() {
		return false, err
	}
	if w.On.Kind == model.SiteWordKey {
		tx.answersAll()
	} else {
		tx.answers(w.On.Zone)
	}
	tx.put(key, nil)
	return true, nil
}
