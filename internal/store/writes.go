package store

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	mathrand "math/rand/v2"
	"regexp"
	"strconv"
	"time"

	"signpost/internal/model"
)

// NewNumber is a number for an incarnation, a generation of a zone or of an
// endpoint: larger than all made at earlier revisions, and never the same twice.
func (tx *Tx) NewNumber() (uint64, error) {
	rev, err := tx.Revision()
	return uint64(rev)<<20 | mathrand.Uint64N(1<<20), err
}

// MadeAt is the revision that a number was made at.
func MadeAt(number uint64) int64 { return int64(number >> 20) }

// PutZone writes a zone that was looked for with Zone or ZoneAbove. One that cannot
// be served makes the change fail, with the kind Invalid.
func (tx *Tx) PutZone(z *model.Zone) {
	tx.bad = errors.Join(tx.bad, z.Check())
	tx.answers(z.Name)
	tx.put(tx.s.keys.zone(z.Name), encodeZone(z))
}

// DeleteZone removes a zone and with it, in the same revision, all that is in it:
// the names and hosts of no zone's generation and incarnation do not exist. Sweep
// clears them away. Replicas take it as meant.
func (tx *Tx) DeleteZone(z *model.Zone) {
	tx.Accept(z.Name)
	tx.put(tx.s.keys.zone(z.Name), nil)
}

// PutName writes what DNS needs of a name that was read; data without record sets
// and host removes it. With a host that it takes away goes the check, with an endpoint
// what was said of it.
func (tx *Tx) PutName(z *model.Zone, name model.Name, data *model.NameData) {
	tx.answers(z.Name)
	tx.bad = errors.Join(tx.bad, tx.forget(z, name, data))
	var raw []byte
	if data != nil && (len(data.RRsets) > 0 || data.Host != nil) {
		raw = encodeName(data)
	}
	tx.put(tx.s.keys.name(z.Name, z.Generation, name), raw)
}

// PutHost writes a host's control value that was read, in the place of old; nil removes
// it, or says that there was none. Secrets of endpoints and the certificate do not go over
// to another owner, nor to a host that is made where another was.
func (tx *Tx) PutHost(z *model.Zone, name model.Name, old, next *model.HostControl) {
	var raw []byte
	if next != nil && old != nil && next.Owner != old.Owner {
		others := *next
		others.Secrets = nil
		next = &others
	}
	if next != nil {
		raw = encodeHostControl(next)
	} else {
		tx.drop(tx.s.keys.hostUse(*z, name))
	}
	if old != nil && (next == nil || next.Owner != old.Owner || !next.CreateTime.Equal(old.CreateTime)) {
		tx.drop(tx.s.keys.cert(*z, name))
	}
	tx.put(tx.s.keys.host(*z, name), raw)
	tx.bad = errors.Join(tx.bad, tx.hold(z, name, old, next))
}

// Audit adds a record of who changed what to the transaction. It is written only
// when something changes.
func (tx *Tx) Audit(a model.AuditRecord) { tx.audits = append(tx.audits, a) }

// newAuditID sorts by time, and within a millisecond by the revision that was decided
// on.
func newAuditID(at time.Time, rev int64) string {
	var b [4]byte
	rand.Read(b[:])
	id := make([]byte, 0, auditKeyLen)
	id = append(appendPadded(id, at.UnixMilli(), 10, auditTimeLen), '-')
	id = append(appendPadded(id, rev, 16, 11), '-')
	return string(hex.AppendEncode(id, b[:]))
}

// appendPadded appends a number with zeros before it, up to a width.
func appendPadded(to []byte, n int64, base, width int) []byte {
	var buf [20]byte
	digits := strconv.AppendInt(buf[:0], n, base)
	for range width - len(digits) {
		to = append(to, '0')
	}
	return append(to, digits...)
}

// firstAuditID is the first id that a record of a time could have. Of times that thirteen
// digits of milliseconds cannot say it is the next that they can.
func firstAuditID(at time.Time) string {
	ms := min(max(at.UnixMilli(), 0), 9_999_999_999_999)
	return string(appendPadded(nil, ms, 10, auditTimeLen)) + "-00000000000-00000000"
}

const (
	auditTimeLen = 13
	auditKeyLen  = auditTimeLen + 1 + 11 + 1 + 8
)

var auditID = regexp.MustCompile(`^[0-9]{13}-[0-9a-f]{11}-[0-9a-f]{8}(-[0-9a-f]{2})?$`)

// IsAuditID reports whether an audit record could have this id.
func IsAuditID(id string) bool { return auditID.MatchString(id) }
