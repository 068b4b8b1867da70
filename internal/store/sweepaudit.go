package store

import (
	"cmp"
	"context"
	"hash/maphash"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// The bounds of the audit in etcd; what is for keeping is in the log and the audit file.
const (
	auditKept  = 30 * 24 * time.Hour
	auditBytes = 256 << 20
	auditRing  = 16 // records of each ringed action about one host

	auditAnyway = 24 * time.Hour // between looks for what is too old

	// For each page etcd counts all keys that follow: small pages take it long.
	auditSweepPage = 10_000
)

// auditBounds is what etcd keeps of the audit.
type auditBounds struct {
	age    time.Duration
	octets int
}

func (c Config) auditBounds() auditBounds {
	return auditBounds{cmp.Or(c.AuditKept, auditKept), cmp.Or(c.AuditBytes, auditBytes)}
}

// ringed is the actions that routers make by themselves, day and night: of one host's
// only the newest few are kept, so that they do not push everything else out.
var ringed = map[string]bool{"host.set-addresses": true}

// auditMark is what the audit was after a sweep.
type auditMark struct {
	at    time.Time
	count int64
}

// due says whether it is worth reading all of it again.
func (m *auditMark) due(now time.Time, count int64) bool {
	return m == nil || count > m.count+m.count/10 || now.Sub(m.at) >= auditAnyway
}

// sweepAudit keeps the audit within its bounds, the newest record always; the
// oldest go first. It walks the audit once to count, once more where a ring or the
// age asks for it, and removes from its beginning what is too much in all. It does so
// when the audit has grown by a tenth, or for its age once a day.
//
// Rings are cut here and not where records are written: a host's older records are
// not to be found without a read or an index, which every address update would pay
// for. The price is that a host may have more than its ring until the next sweep,
// and that a sweep reads what the audit holds.
func (s *Store) sweepAudit(ctx context.Context, now time.Time) (int, error) {
	count, err := s.countAudit(ctx)
	if err != nil || !s.audited.Load().due(now, count) {
		return 0, err
	}
	removed, err := s.trimAudit(ctx, s.keys.audit(firstAuditID(now.Add(-s.kept.age))), s.kept.octets)
	if err == nil && removed > 0 {
		count, err = s.countAudit(ctx)
	}
	if err == nil {
		s.audited.Store(&auditMark{now, count})
	}
	return removed, err
}

func (s *Store) countAudit(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*callTimeout)
	defer cancel()
	resp, err := s.client.Get(ctx, s.keys.audits(), clientv3.WithRange(prefixEnd(s.keys.audits())), clientv3.WithCountOnly())
	if err != nil {
		return 0, translate(err, "sweep", "")
	}
	return resp.Count, nil
}

// trimAudit removes records with keys before oldest, those past a ring, and as many keys
// of the oldest as make keys and values more than most octets.
func (s *Store) trimAudit(ctx context.Context, oldest string, most int) (int, error) {
	c := auditCount{hosts: map[uint64]uint32{}, seed: maphash.MakeSeed()}
	if err := s.walkAudit(ctx, func(kv *mvccpb.KeyValue) (auditCut, bool) {
		c.count(kv)
		return auditCut{}, true
	}); err != nil {
		return 0, err
	}
	removed := 0
	remove := func(kv *mvccpb.KeyValue) (auditCut, bool) {
		c.size -= auditSize(kv)
		removed += len(auditsOf(kv))
		return auditCut{all: true}, true
	}
	if c.excess > 0 || c.first < oldest {
		if err := s.walkAudit(ctx, func(kv *mvccpb.KeyValue) (auditCut, bool) {
			some, all := c.pastRing(kv)
			switch {
			case string(kv.Key) == c.newest:
			case all || string(kv.Key) < oldest:
				return remove(kv)
			case len(some) > 0:
				rest := withoutAudits(kv, some)
				c.size -= len(kv.Value) - len(rest)
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
	return removed, s.walkAudit(ctx, func(kv *mvccpb.KeyValue) (auditCut, bool) {
		if c.size <= most || string(kv.Key) == c.newest {
			return auditCut{}, false
		}
		return remove(kv)
	})
}

// auditCut is what becomes of a key: nothing, it goes, or it keeps some of its records.
type auditCut struct {
	all  bool
	rest []byte
}

// walkAudit looks at each key, the oldest first, and cuts it as see says, as long as it
// says on.
func (s *Store) walkAudit(ctx context.Context, see func(*mvccpb.KeyValue) (cut auditCut, on bool)) error {
	var cut []clientv3.Op
	flush := func() error {
		if len(cut) == 0 {
			return nil
		}
		err := s.sweepWith(ctx, cut)
		cut = cut[:0]
		return err
	}
	for from, end, on := s.keys.audits(), prefixEnd(s.keys.audits()), true; on; {
		kvs, err := s.auditPage(ctx, from, end)
		if err != nil {
			return err
		}
		on = len(kvs) == auditSweepPage
		for _, kv := range kvs {
			c, more := see(kv)
			switch {
			case c.all:
				cut = append(cut, clientv3.OpDelete(string(kv.Key)))
			case c.rest != nil: // if it is as it was: another sweeper may have taken it away
				cut = append(cut, clientv3.OpTxn([]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(string(kv.Key)), "=", kv.ModRevision)},
					[]clientv3.Op{clientv3.OpPut(string(kv.Key), string(c.rest))}, nil))
			}
			if len(cut) == chunk {
				if err := flush(); err != nil {
					return err
				}
			}
			if !more {
				return flush()
			}
			from = string(kv.Key) + "\x00"
		}
	}
	return flush()
}

// auditPage is in key order: etcd reads a whole range to give it in any other.
func (s *Store) auditPage(ctx context.Context, from, to string) ([]*mvccpb.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*callTimeout)
	defer cancel()
	resp, err := s.client.Get(ctx, from, clientv3.WithRange(to), clientv3.WithLimit(auditSweepPage))
	if err != nil {
		return nil, translate(err, "sweep", "")
	}
	return resp.Kvs, nil
}

// auditCount is what the audit holds.
type auditCount struct {
	size          int // octets of keys and values
	first, newest string
	excess        uint32 // records past their ring
	// How many records the ring of each host has, by a hash: two hosts that share one
	// lose a few records early.
	hosts map[uint64]uint32
	seed  maphash.Seed
}

func (c *auditCount) count(kv *mvccpb.KeyValue) {
	if c.first == "" {
		c.first = string(kv.Key)
	}
	c.newest = string(kv.Key)
	c.size += auditSize(kv)
	for _, rec := range auditsOf(kv) {
		if ring, ok := c.ring(rec); ok {
			if c.hosts[ring]++; c.hosts[ring] > auditRing {
				c.excess++
			}
		}
	}
}

// pastRing is the places of the records of the next newer key that are older than the
// newest of their rings, and whether that is all of them.
func (c *auditCount) pastRing(kv *mvccpb.KeyValue) (some map[int]bool, all bool) {
	records := auditsOf(kv)
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
	return some, len(some) > 0 && len(some) == len(records)
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
