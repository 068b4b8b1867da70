package store

import (
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// auditPage is how many records are looked at in one read.
const auditPage = 1000

// AuditRecords reads audit records that match, the newest first, at most limit,
// starting with those older than the record with id before ("" for the newest).
// It looks at no more than 100,000 records; more says where to go on, "" at the end.
func (tx *Tx) AuditRecords(before string, limit int, match func(*model.AuditRecord) bool) (out []*model.AuditRecord, more string, err error) {
	from, to := tx.s.keys.audits(), prefixEnd(tx.s.keys.audits())
	if before != "" {
		to = tx.s.keys.audit(before)
	}
	for range 100 {
		kvs, err := tx.list(from, to, auditPage, clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend))
		if err != nil {
			return nil, "", err
		}
		for _, kv := range kvs {
			id := strings.TrimPrefix(string(kv.Key), from)
			rec, err := decodeAudit(id, kv.Value, kv.ModRevision)
			if err != nil || !match(rec) {
				continue
			}
			if out = append(out, rec); len(out) == limit {
				return out, id, nil
			}
		}
		if len(kvs) < auditPage {
			return out, "", nil
		}
		to = string(kvs[len(kvs)-1].Key)
	}
	return out, strings.TrimPrefix(to, from), nil
}
