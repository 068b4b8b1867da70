package store

import (
	"encoding/binary"
	"fmt"

	"signpost/internal/model"
)

// snapshotReader reads on until something does not fit; then all it gives is empty.
type snapshotReader struct {
	data   []byte
	at     int
	failed bool
	format uint64
	key    []byte // that was read last
}

func (r *snapshotReader) take(n uint64) []byte {
	if r.failed || n > uint64(len(r.data)-r.at) {
		r.failed = true
		return nil
	}
	b := r.data[r.at : r.at+int(n) : r.at+int(n)]
	r.at += int(n)
	return b
}

func (r *snapshotReader) number() uint64 {
	if r.failed {
		return 0
	}
	v, n := binary.Uvarint(r.data[r.at:])
	if n <= 0 {
		r.failed = true
		return 0
	}
	r.at += n
	return v
}

func (r *snapshotReader) text() []byte { return r.take(r.number()) }

// entry gives a key until the next is read; at the end it is empty.
func (r *snapshotReader) entry() (key []byte, rev int64, value []byte) {
	same := uint64(0)
	if r.format != wholeKeys {
		same = r.number()
	}
	rest := r.text()
	if same == 0 && len(rest) == 0 {
		return nil, 0, nil
	}
	if same > uint64(len(r.key)) {
		r.failed = true
		return nil, 0, nil
	}
	r.key = append(r.key[:same], rest...)
	return r.key, int64(r.number()), r.text()
}

// walk goes through all entries and reports whether they end where they should.
func (r *snapshotReader) walk() bool {
	n := uint64(0)
	for key, _, _ := r.entry(); len(key) > 0; key, _, _ = r.entry() {
		n++
	}
	return r.number() == n && !r.failed && r.at == len(r.data)
}

const (
	entriesAtOnce = 2 * bulkSlab
	piecesAhead   = 4
)

// changes has the entries read by another goroutine, somewhat ahead: who takes them
// has as much to do with each.
func (r snapshotReader) changes(yield func(model.Change, error) bool) {
	pieces, enough := make(chan []found, piecesAhead), make(chan struct{})
	defer close(enough)
	go r.readAhead(pieces, enough)
	for piece := range pieces {
		for _, f := range piece {
			if f.err != nil {
				yield(model.Change{}, fmt.Errorf("read snapshot: %w", f.err))
				return
			}
			if f.known && !yield(f.change, nil) {
				return
			}
		}
	}
}

func (r snapshotReader) readAhead(pieces chan<- []found, enough <-chan struct{}) {
	defer close(pieces)
	b := newBulk(snapshotKeys)
	for more := true; more; {
		for range entriesAtOnce {
			key, rev, value := r.entry()
			if more = len(key) > 0; !more {
				break
			}
			b.add(key, rev, value)
		}
		select {
		case pieces <- b.take():
		case <-enough:
			return
		}
	}
}
