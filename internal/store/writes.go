package store

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"signpost/internal/model"
)

// NewNumber is a number for an incarnation, a generation of a zone or of an
// endpoint: larger than all made at earlier revisions, and never the same twice.
func (tx *Tx) NewNumber() (uint64, error) {
	rev, err := tx.Revision()
	return uint64(rev)<<20 | mathrand.Uint64N(1<<20), err
}

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
// and host removes it.
func (tx *Tx) PutName(z *model.Zone, name model.Name, data *model.NameData) {
	tx.answers(z.Name)
	var raw []byte
	if data != nil && (len(data.RRsets) > 0 || data.Host != nil) {
		raw = encodeName(data)
	}
	tx.put(tx.s.keys.name(z.Name, z.Generation, name), raw)
}

// PutHost writes a host's control value that was read; nil removes it.
func (tx *Tx) PutHost(z *model.Zone, name model.Name, h *model.HostControl) {
	var raw []byte
	if h != nil {
		raw = encodeHostControl(h)
	}
	tx.put(tx.s.keys.host(*z, name), raw)
}

// PutToken writes a credential that was looked for with Token.
func (tx *Tx) PutToken(sum []byte, t *model.Token) { tx.put(tx.s.keys.token(sum), encodeToken(t)) }

// Audit adds a record of who changed what to the transaction. It is written only
// when something changes.
func (tx *Tx) Audit(a model.AuditRecord) { tx.audits = append(tx.audits, a) }

// newAuditID sorts by time, and within a millisecond by the revision that was decided
// on.
func newAuditID(at time.Time, rev int64) string {
	var b [4]byte
	rand.Read(b[:])
	return fmt.Sprintf("%013d-%011x-%s", at.UnixMilli(), rev, hex.EncodeToString(b[:]))
}
