package store

import (
	"context"
	"hash/maphash"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// The bounds of a page of the audit. For each one etcd counts all keys that follow: small
// pages take it long.
const (
	auditSweepPage  = 5000
	auditFirstPage  = 500
	auditPageOctets = 4 << 20 // more or less
)

// auditCount is what the audit held at a revision, and what is left of it.
type auditCount struct {
	rev    int64
	size   int     // octets of keys and values
	left   []int32 // of these, those of each key
	first  string
	newest string
	excess uint32 // records past their ring
	// How many records the ring of each host has, by a hash: two hosts that share one
	// lose a few records early.
	hosts map[uint64]uint32
	seed  maphash.Seed
}

func (s *Store) countedAudit(ctx context.Context) (*auditCount, error) {
	c := &auditCount{hosts: map[uint64]uint32{}, seed: maphash.MakeSeed()}
	err := s.walkAudit(ctx, c, func(_ int, kv *mvccpb.KeyValue) (auditCut, bool) {
		c.count(kv)
		return auditCut{}, true
	})
	return c, err
}

// cutAudit removes of what was counted keys before oldest, records past a ring, and as many
// of the oldest keys as make it more than most octets. It looks at what was counted, and
// not at what is there by now: another who sweeps meanwhile takes the same away, and no
// more.
func (s *Store) cutAudit(ctx context.Context, c *auditCount, oldest string, most int) (removed int, err error) {
	keep := func(i int, size int) {
		c.size -= int(c.left[i]) - size
		c.left[i] = int32(size)
	}
	if c.excess > 0 || c.first < oldest {
		if err := s.walkAudit(ctx, c, func(i int, kv *mvccpb.KeyValue) (auditCut, bool) {
			some, all := c.pastRing(kv)
			switch {
			case string(kv.Key) == c.newest:
			case all || string(kv.Key) < oldest:
				keep(i, 0)
				removed += len(auditsOf(kv))
				return auditCut{all: true}, true
			case len(some) > 0:
				rest := withoutAudits(kv, some)
				keep(i, len(kv.Key)+len(rest))
				removed += len(some)
				return auditCut{rest: rest}, true
			}
			return auditCut{}, c.excess > 0 || string(kv.Key) < oldest
		}); err != nil {
			return 0, err
		}
	}
	if c.size <= most {
		return removed, nil
	}
	return removed, s.walkAudit(ctx, c, func(i int, kv *mvccpb.KeyValue) (auditCut, bool) {
		if c.size <= most || string(kv.Key) == c.newest {
			return auditCut{}, false
		}
		if c.left[i] == 0 {
			return auditCut{}, true
		}
		keep(i, 0)
		removed += len(auditsOf(kv))
		return auditCut{all: true}, true
	})
}

// auditCut is what becomes of a key: nothing, it goes, or it keeps some of its records.
type auditCut struct {
	all  bool
	rest []byte
}

// walkAudit looks at each key that was there at c's revision, or now and sets that; the
// oldest first. It cuts it as see says, which is told how many were before, as long as it
// says on.
func (s *Store) walkAudit(ctx context.Context, c *auditCount, see func(i int, kv *mvccpb.KeyValue) (cut auditCut, on bool)) error {
	var cut []clientv3.Op
	size := 0
	flush := func() error {
		if len(cut) == 0 {
			return nil
		}
		err := s.sweepWith(ctx, cut)
		cut, size = cut[:0], 0
		return err
	}
	i := -1
	for p := (auditPages{from: s.keys.audits(), end: prefixEnd(s.keys.audits()), rev: c.rev}); !p.last; {
		kvs, err := s.auditPage(ctx, &p)
		if err != nil {
			return err
		}
		c.rev = p.rev
		for _, kv := range kvs {
			i++
			k, more := see(i, kv)
			if len(cut) > 0 && size+len(k.rest) > chunkBytes {
				if err := flush(); err != nil {
					return err
				}
			}
			switch {
			case k.all:
				cut = append(cut, clientv3.OpDelete(string(kv.Key)))
			case k.rest != nil: // if it is as it was: another sweeper may have taken it away
				size += len(k.rest)
				cut = append(cut, clientv3.OpTxn([]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(string(kv.Key)), "=", kv.ModRevision)},
					[]clientv3.Op{clientv3.OpPut(string(kv.Key), string(k.rest))}, nil))
			}
			if len(cut) == chunk {
				if err := flush(); err != nil {
					return err
				}
			}
			if !more {
				return flush()
			}
		}
	}
	return flush()
}

// auditPages goes through a range of the audit.
type auditPages struct {
	from, end string
	rev       int64 // that is looked at; 0: that of the first page
	limit     int64
	last      bool // there are no more
}

// auditPage is the next, in key order: etcd reads a whole range to give it in any other.
func (s *Store) auditPage(ctx context.Context, p *auditPages) ([]*mvccpb.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*callTimeout)
	defer cancel()
	if p.limit == 0 {
		p.limit = auditFirstPage
	}
	resp, err := s.client.Get(ctx, p.from, clientv3.WithRange(p.end), clientv3.WithLimit(p.limit), clientv3.WithRev(p.rev))
	if err != nil {
		return nil, translate(err, "sweep", "")
	}
	if p.rev == 0 {
		p.rev = resp.Header.Revision
	}
	if p.last = !resp.More; len(resp.Kvs) > 0 {
		size := 0
		for _, kv := range resp.Kvs {
			size += auditSize(kv)
		}
		p.from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
		p.limit = int64(min(max(auditPageOctets*len(resp.Kvs)/size, 1), auditSweepPage))
	}
	return resp.Kvs, nil
}

func (c *auditCount) count(kv *mvccpb.KeyValue) {
	if c.first == "" {
		c.first = string(kv.Key)
	}
	c.newest = string(kv.Key)
	c.size += auditSize(kv)
	c.left = append(c.left, int32(auditSize(kv)))
	for _, rec := range auditsOf(kv) {
		if ring, ok := c.ring(rec); ok {
			if c.hosts[ring]++; c.hosts[ring] > auditRing {
				c.excess++
			}
		}
	}
}

// pastRing is the places of the records of the next newer key that are older than the
// newest of their rings, and whether that is all that it has.
func (c *auditCount) pastRing(kv *mvccpb.KeyValue) (some map[int]bool, all bool) {
	records, err := decodeAudits("", kv)
	for _, rec := range records {
		ring, ok := c.ring(rec)
		if !ok || c.hosts[ring] <= auditRing {
			continue
		}
		c.hosts[ring]--
		c.excess--
		if some == nil {
			some = map[int]bool{}
		}
		some[rec.place] = true
	}
	return some, len(some) > 0 && len(some) == len(records) && err == nil
}

func (c *auditCount) ring(rec auditEntry) (uint64, bool) {
	if !ringed[rec.Action] {
		return 0, false
	}
	return maphash.String(c.seed, rec.Action+" "+string(rec.Zone)+" "+string(rec.Name)), true
}

func auditSize(kv *mvccpb.KeyValue) int { return len(kv.Key) + len(kv.Value) }

// auditsOf is the records of a key that can be read.
func auditsOf(kv *mvccpb.KeyValue) []auditEntry {
	records, _ := decodeAudits("", kv)
	return records
}
