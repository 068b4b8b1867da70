package store

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// The bounds of looking for audit records.
const (
	auditPage = 1000   // records of one read, more or less, and keys at most
	auditLook = 20_000 // records of one call, more or less
	// Spans of time that are read at once: the first, by which factor they grow and
	// shrink, and the longest.
	firstSpan   = time.Minute
	spanFactor  = 8
	longestSpan = 50 * 365 * 24 * time.Hour
)

// AuditRecords reads audit records that match, the newest first, at most limit,
// starting with those older than the record with id before ("" for the newest), none from
// before since. It looks at about 20,000 records at most; more says where to go on, "" at
// the end.
//
// It reads span after span of time, each in the order of the keys: to give the newest of a
// range first, etcd would read all of it, for each page anew.
func (tx *Tx) AuditRecords(before string, since time.Time, limit int, match func(*model.AuditRecord) bool) (out []*model.AuditRecord, more string, err error) {
	prefix := tx.s.keys.audits()
	w := auditWindow{tx: tx, from: tx.s.keys.audit(firstAuditID(since)), to: prefixEnd(prefix), end: time.Now().Truncate(time.Millisecond), span: firstSpan, page: auditPage / spanFactor}
	key, place := splitAuditID(before)
	if before != "" {
		w.to, w.end = tx.s.keys.audit(key), auditTime(before)
		if place >= 0 {
			w.to += "\x00" // some of it are older
		}
	}
	for w.looked < auditLook {
		kvs, last, err := w.next()
		if err != nil {
			return nil, "", err
		}
		for i := len(kvs) - 1; i >= 0; i-- {
			id := strings.TrimPrefix(string(kvs[i].Key), prefix)
			records, _ := decodeAudits(id, kvs[i]) // what cannot be read is not shown
			for _, rec := range slices.Backward(records) {
				if id == key && rec.place >= place || rec.Time.UnixMilli() < since.UnixMilli() || !match(rec.AuditRecord) {
					continue
				}
				if out = append(out, rec.AuditRecord); len(out) == limit {
					return out, rec.ID, nil
				}
			}
		}
		if last {
			return out, "", nil
		}
	}
	return out, strings.TrimPrefix(w.to, prefix), nil
}

// auditWindow goes back in time over [from, to).
type auditWindow struct {
	tx       *Tx
	from, to string
	end      time.Time // of to, as far as is known: how many records a span holds rests on it, and no more
	span     time.Duration
	page     int // keys of the next read: of one record each, or of as many as share a transaction
	looked   int // records
}

// look counts what was read.
func (w *auditWindow) look(kvs []*mvccpb.KeyValue) {
	records := 0
	for _, kv := range kvs {
		raws, _ := splitAudits(kv.Value)
		records += max(len(raws), 1)
	}
	w.looked += records
	if len(kvs) > 0 {
		w.page = max(auditPage*len(kvs)/records, spanFactor)
	}
}

// next is the records of the span before to, the oldest first, and whether there are none
// before them.
func (w *auditWindow) next() (kvs []*mvccpb.KeyValue, last bool, err error) {
	for {
		at := w.end.Add(-w.span).Truncate(time.Millisecond) // before to: ids know no less
		begin := w.tx.s.keys.audit(firstAuditID(at))        // a whole id: a list may go on there
		if last = begin <= w.from; last {
			begin = w.from
		}
		switch {
		case w.to <= begin && last:
			return nil, true, nil
		case w.to <= begin: // to is the first that end could be
			w.end = at
			continue
		}
		page := w.page
		if w.span < time.Millisecond { // so many in one that only their order is left
			kvs, err := w.tx.list(begin, w.to, int64(page), clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend))
			w.look(kvs)
			full := len(kvs) == page
			return w.reversed(kvs, full, begin, at), last && !full, err
		}
		if kvs, err = w.tx.list(begin, w.to, int64(page)); err != nil {
			return nil, false, err
		}
		w.look(kvs)
		if len(kvs) == page { // perhaps not all
			w.span /= spanFactor
			continue
		}
		w.to, w.end = begin, at
		if len(kvs) < page/spanFactor {
			w.span = min(w.span*spanFactor, longestSpan)
		}
		return kvs, last, nil
	}
}

// reversed takes a page that begins with the newest, and goes on before it. A full one may
// not be all.
func (w *auditWindow) reversed(kvs []*mvccpb.KeyValue, full bool, begin string, at time.Time) []*mvccpb.KeyValue {
	out := make([]*mvccpb.KeyValue, len(kvs))
	for i, kv := range kvs {
		out[len(kvs)-1-i] = kv
	}
	if full {
		w.to = string(out[0].Key)
		w.end = auditTime(strings.TrimPrefix(w.to, w.tx.s.keys.audits()))
	} else {
		w.to, w.end = begin, at
	}
	w.span = time.Millisecond
	return out
}

// auditTime is the time in the id of an audit record; the zero time in what is none.
func auditTime(id string) time.Time {
	ms, err := strconv.ParseInt(id[:min(len(id), auditTimeLen)], 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms + 1) // its end: others of the same millisecond are before it
}
