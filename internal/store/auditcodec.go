package store

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/encoding/protowire"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

// auditRecords is the number of AuditRecords.records.
const auditRecords = 16

// encodeAudit is a storepb.AuditRecords of one record: after one another, several are one
// of all their records.
func encodeAudit(a *model.AuditRecord) []byte {
	raw := encode(&storepb.AuditRecord{
		Schema: 1, TimeMs: a.Time.UnixMilli(), Principal: a.Principal, Source: a.Source, RequestId: a.RequestID,
		Action: a.Action, Zone: string(a.Zone), Name: string(a.Name), Detail: a.Detail, Before: a.Before, After: a.After, Owner: a.Owner,
	})
	return protowire.AppendBytes(protowire.AppendTag(make([]byte, 0, len(raw)+4), auditRecords, protowire.BytesType), raw)
}

// auditEntry is a record and where it is among those of its key.
type auditEntry struct {
	*model.AuditRecord
	place int
}

// decodeAudits is the records of a key that can be read and are kept, in order. An error is
// that of the first that cannot be read.
func decodeAudits(id string, kv *mvccpb.KeyValue) (out []auditEntry, bad error) {
	raws, err := splitAudits(kv.Value)
	if err != nil {
		return nil, err
	}
	for i, raw := range raws {
		if len(raw) == 0 {
			continue
		}
		name := id
		if len(raws) > 1 {
			name = auditIDAt(id, i)
		}
		rec, err := decodeAudit(name, raw, kv.CreateRevision)
		if err != nil {
			bad = cmp.Or(bad, err)
			continue
		}
		out = append(out, auditEntry{rec, i})
	}
	return out, bad
}

func decodeAudit(id string, raw []byte, rev int64) (*model.AuditRecord, error) {
	var p storepb.AuditRecord
	if err := decode("audit record", raw, &p); err != nil {
		return nil, err
	}
	return &model.AuditRecord{
		ID: id, Time: time.UnixMilli(p.TimeMs).UTC(), Revision: rev, Principal: p.Principal, Source: p.Source,
		RequestID: p.RequestId, Action: p.Action, Zone: model.Name(p.Zone), Name: model.Name(p.Name),
		Detail: p.Detail, Before: p.Before, After: p.After, Owner: p.Owner,
	}, nil
}

// splitAudits is the records in a value, which may be one by itself.
func splitAudits(value []byte) (records [][]byte, err error) {
	for rest := value; len(rest) > 0; {
		num, typ, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return nil, errNoAudit
		}
		m := protowire.ConsumeFieldValue(num, typ, rest[n:])
		if m < 0 {
			return nil, errNoAudit
		}
		switch raw, _ := protowire.ConsumeBytes(rest[n:]); {
		case num == auditRecords && typ == protowire.BytesType:
			records = append(records, raw)
		case records == nil:
			return [][]byte{value}, nil // a record as it was once written
		}
		rest = rest[n+m:]
	}
	return records, nil
}

var errNoAudit = model.E(model.Internal, "read stored audit record", "").Because("the value is garbage")

// withoutAudits is the value of a key without the records at some places; the others keep
// theirs.
func withoutAudits(kv *mvccpb.KeyValue, gone map[int]bool) []byte {
	records, _ := splitAudits(kv.Value) // they were read
	b := make([]byte, 0, len(kv.Value))
	for i, raw := range records {
		if gone[i] {
			raw = nil
		}
		b = protowire.AppendBytes(protowire.AppendTag(b, auditRecords, protowire.BytesType), raw)
	}
	return b
}

// auditIDAt is the id of a record that shares a key.
func auditIDAt(id string, place int) string {
	return id + "-" + string(appendPadded(nil, int64(place), 16, 2))
}

// splitAuditID is the key's part of an id, and the place among the records of that key, -1
// for the only one.
func splitAuditID(id string) (key string, place int) {
	if len(id) <= auditKeyLen {
		return id, -1
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(id[auditKeyLen:], "-"), 16, 32)
	if err != nil {
		return id[:auditKeyLen], -1
	}
	return id[:auditKeyLen], int(n)
}
