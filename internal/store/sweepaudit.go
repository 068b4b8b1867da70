package store

import (
	"cmp"
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// The bounds of the audit in etcd; what is for keeping is in the log and the audit file.
const (
	auditKept  = 30 * 24 * time.Hour
	auditBytes = 256 << 20
	auditRing  = 16 // records of each ringed action about one host

	auditAnyway = 24 * time.Hour // between looks for what is too old
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

// auditMark is what the audit was after a sweep, and what has come since.
type auditMark struct {
	at    time.Time
	count int64 // keys
	size  int   // octets
	seen  string
	grown int // octets of keys after the one that was after a sweep the newest, up to seen
}

// due says whether it is worth reading all of it again.
func (m *auditMark) due(now time.Time, count int64) bool {
	return m == nil || count > m.count+m.count/10 || m.grown > m.size/10 || now.Sub(m.at) >= auditAnyway
}

// sweepAudit keeps the audit within its bounds, the newest key always; the
// oldest go first. It walks the audit once to count, once more where a ring or the
// age asks for it, and removes from its beginning what is too much in all. It does so
// when the audit has grown by a tenth, of keys or of octets, or for its age once a day.
//
// Rings are cut here and not where records are written: a host's older records are
// not to be found without a read or an index, which every address update would pay
// for. The price is that a host may have more than its ring until the next sweep,
// and that a sweep reads what the audit holds.
func (s *Store) sweepAudit(ctx context.Context, now time.Time) (int, error) {
	count, err := s.countAudit(ctx)
	if err != nil {
		return 0, err
	}
	mark := s.audited.Load()
	if !mark.due(now, count) {
		if mark, err = s.readOn(ctx, *mark); err != nil {
			return 0, err
		}
		s.audited.Store(mark)
		if !mark.due(now, count) {
			return 0, nil
		}
	}
	c, err := s.countedAudit(ctx)
	if err != nil {
		return 0, err
	}
	removed, err := s.cutAudit(ctx, c, s.keys.audit(firstAuditID(now.Add(-s.kept.age))), s.kept.octets)
	if err == nil && removed > 0 {
		count, err = s.countAudit(ctx)
	}
	if err == nil {
		s.audited.Store(&auditMark{at: now, count: count, size: c.size, seen: c.newest})
	}
	return removed, err
}

// readOn adds up what has come since, as far as to know that it is worth a sweep: a key may
// have one record or as many as can share a transaction.
func (s *Store) readOn(ctx context.Context, m auditMark) (*auditMark, error) {
	p := auditPages{from: m.seen + "\x00", end: prefixEnd(s.keys.audits())}
	if m.seen == "" {
		p.from = s.keys.audits()
	}
	for !p.last && m.grown <= m.size/10 {
		kvs, err := s.auditPage(ctx, &p)
		if err != nil {
			return nil, err
		}
		for _, kv := range kvs {
			m.seen = string(kv.Key)
			m.grown += auditSize(kv)
		}
	}
	return &m, nil
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
