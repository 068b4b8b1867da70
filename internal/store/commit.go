package store

import (
	"bytes"
	"errors"
	"slices"
	"strconv"

	"signpost/internal/model"
	"signpost/internal/store/group"
)

// ops is what is really to be written, and whether that is a change.
func (tx *Tx) ops() (ops []group.Write, changed bool) {
	ops = make([]group.Write, 0, len(tx.writes)+len(tx.drops)+len(tx.losses)+len(tx.zones)+len(tx.audits))
	for _, w := range tx.writes {
		if !tx.differs(w) {
			continue
		}
		key := tx.reads.all[w.of].key
		changed = changed || key != tx.result
		ops = append(ops, group.Write{Key: key, Value: w.value, Delete: w.value == nil})
	}
	if !changed && len(tx.losses) == 0 {
		return ops, false
	}
	for _, k := range tx.drops {
		if at := tx.reads.find(k); at >= 0 && tx.reads.all[at].write > 0 {
			continue // it was written since
		}
		ops = append(ops, group.Write{Key: k, Delete: true})
	}
	for _, z := range tx.losses {
		ops = append(ops, group.Write{Key: tx.s.keys.accept(z), Value: strconv.AppendInt(nil, tx.rev, 10)})
	}
	for _, z := range tx.zones {
		ops = append(ops, group.Write{Key: tx.s.keys.rev(z), Value: []byte(newMark())})
	}
	if tx.everywhere {
		ops = append(ops, group.Write{Key: tx.s.keys.revAll(), Value: []byte(newMark())})
	}
	for i := range tx.audits {
		ops = append(ops, group.Write{Key: tx.s.keys.audit(newAuditID(tx.audits[i].Time, tx.rev)), Value: encodeAudit(&tx.audits[i]), Joins: true})
	}
	return ops, true
}

// writesAny reports whether there is anything to commit.
func (tx *Tx) writesAny() bool {
	return len(tx.losses) > 0 || slices.ContainsFunc(tx.writes, tx.differs)
}

// differs reports whether a planned write changes what is there.
func (tx *Tx) differs(w write) bool {
	old := &tx.reads.all[w.of]
	if w.value == nil || !old.there() {
		return w.value != nil || old.there()
	}
	return !bytes.Equal(w.value, old.value)
}

func (tx *Tx) commit() (Result, bool, error) {
	rev, err := tx.Revision()
	if err = errors.Join(err, tx.bad); err != nil {
		return Result{}, false, err
	}
	ops, changed := tx.ops()
	if len(ops) == 0 {
		return Result{Revision: rev}, true, nil
	}
	cmps := tx.compares()
	if len(ops) > maxOps || len(cmps) > maxOps {
		return Result{}, false, model.E(model.Exhausted, "change", "").Because("it touches too many names at once").Hint("do it in smaller steps")
	}
	out, err := tx.s.commits.Commit(tx.ctx, group.Change{If: cmps, Then: ops, Alone: tx.alone})
	if err != nil {
		return Result{}, false, unknownOutcome(err)
	}
	return Result{Revision: out.Revision, Changed: changed}, out.Made, nil
}

// compares is one for each key that was read by itself or is written, and one for
// each range.
func (tx *Tx) compares() []group.Compare {
	cmps := make([]group.Compare, 0, len(tx.reads.all)+len(tx.ranges))
	for i := range tx.reads.all {
		if r := &tx.reads.all[i]; r.exact {
			cmps = append(cmps, group.Compare{Key: r.key, Mod: r.mod})
		}
	}
	for _, r := range tx.ranges {
		cmps = append(cmps, group.Compare{Key: r.from, End: r.to, Mod: tx.rev + 1})
	}
	return cmps
}
