package group

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// appendFlat appends changes as one etcdserverpb.TxnRequest that makes all or none of
// them, which etcd does with less work than the same nested. It is not ok when that takes
// more operations than etcd allows.
func appendFlat(b []byte, members []*pending, together map[string][]byte) (request []byte, ok bool) {
	first := members[0].If
	compares, writes := 0, len(together)
	var joined joint
	for i, p := range members {
		for _, c := range p.If {
			if i == 0 || !slices.Contains(first, c) {
				b = appendCompare(b, c)
				compares++
			}
		}
	}
	for _, p := range members {
		for _, w := range p.Then {
			if w.Joins {
				joined.take(w)
				continue
			}
			if _, elsewhere := together[w.Key]; !elsewhere {
				b = appendWrite(b, w)
				writes++
			}
		}
	}
	if joined.key != "" {
		b = joined.append(b, members)
		writes++
	}
	return appendTogether(b, together), max(compares, writes) <= maxOps
}

// joint is the one put of the writes that join.
type joint struct {
	key  string // the greatest
	size int    // of the values
}

func (j *joint) take(w Write) {
	j.key = max(j.key, w.Key)
	j.size += len(w.Value)
}

func (j *joint) append(b []byte, members []*pending) []byte {
	b = appendOp(b, opPut, lenOfText(writeKey, j.key)+protowire.SizeTag(putValue)+protowire.SizeBytes(j.size))
	b = appendHead(appendText(b, writeKey, j.key), putValue, j.size)
	for _, p := range members {
		for _, w := range p.Then {
			if w.Joins {
				b = append(b, w.Value...)
			}
		}
	}
	return b
}

// appendNested appends changes as one etcdserverpb.TxnRequest that makes each by itself,
// the changes first and in order. What all of them compare, such as their zone, is
// compared once, in the outer transaction: where it does not hold, none of them is made.
func appendNested(b []byte, members []*pending, together map[string][]byte) []byte {
	var common []Compare
	for _, c := range members[0].If {
		if !slices.ContainsFunc(members[1:], func(p *pending) bool { return !slices.Contains(p.If, c) }) {
			common = append(common, c)
			b = appendCompare(b, c)
		}
	}
	var inner []byte
	for _, p := range members {
		inner = p.append(inner[:0], common, together)
		b = appendOp(b, opTxn, len(inner))
		b = append(b, inner...)
	}
	return appendTogether(b, together)
}

func appendTogether(b []byte, together map[string][]byte) []byte {
	for key, value := range together {
		b = appendWrite(b, Write{Key: key, Value: value})
	}
	return b
}

// append appends the change as an etcdserverpb.TxnRequest, without the compares and puts
// that are made elsewhere.
func (c *Change) append(b []byte, compared []Compare, put map[string][]byte) []byte {
	for _, cmp := range c.If {
		if !slices.Contains(compared, cmp) {
			b = appendCompare(b, cmp)
		}
	}
	for _, w := range c.Then {
		if _, elsewhere := put[w.Key]; !elsewhere {
			b = appendWrite(b, w)
		}
	}
	return b
}

// The numbers of etcd's messages, in rpc.proto.
const (
	txnCompare, txnSuccess                   = 1, 2 // of a TxnRequest
	opPut, opDelete, opTxn                   = 2, 3, 4
	writeKey, putValue                       = 1, 2
	compareResult, compareTarget, compareKey = 1, 2, 3
	compareModRevision, compareRangeEnd      = 6, 64
	resultLess, targetMod                    = 2, 2
	respHeader, respSucceeded, respResponses = 1, 2, 3 // of a TxnResponse
	headerRevision                           = 3
	respTxn                                  = 4
)

func appendCompare(b []byte, c Compare) []byte {
	size := lenOf(compareTarget, targetMod) + lenOfText(compareKey, c.Key) + lenOf(compareModRevision, uint64(c.Mod))
	if c.End != "" {
		size += lenOf(compareResult, resultLess) + lenOfText(compareRangeEnd, c.End)
	}
	b = appendHead(b, txnCompare, size)
	if c.End != "" {
		b = appendNumber(b, compareResult, resultLess)
	}
	b = appendNumber(b, compareTarget, targetMod)
	b = appendText(b, compareKey, c.Key)
	b = appendNumber(b, compareModRevision, uint64(c.Mod))
	if c.End != "" {
		b = appendText(b, compareRangeEnd, c.End)
	}
	return b
}

func appendWrite(b []byte, w Write) []byte {
	size := lenOfText(writeKey, w.Key)
	if w.Delete {
		return appendText(appendOp(b, opDelete, size), writeKey, w.Key)
	}
	size += protowire.SizeTag(putValue) + protowire.SizeBytes(len(w.Value))
	b = appendText(appendOp(b, opPut, size), writeKey, w.Key)
	return protowire.AppendBytes(protowire.AppendTag(b, putValue, protowire.BytesType), w.Value)
}

// appendOp appends what is before a message of a size that is the one of a kind in an
// operation.
func appendOp(b []byte, kind protowire.Number, size int) []byte {
	b = appendHead(b, txnSuccess, protowire.SizeTag(kind)+protowire.SizeBytes(size))
	return appendHead(b, kind, size)
}

func appendHead(b []byte, num protowire.Number, size int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.BytesType), uint64(size))
}

func appendText(b []byte, num protowire.Number, text string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), text)
}

func appendNumber(b []byte, num protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), n)
}

func lenOfText(num protowire.Number, text string) int {
	return protowire.SizeTag(num) + protowire.SizeBytes(len(text))
}

func lenOf(num protowire.Number, n uint64) int {
	return protowire.SizeTag(num) + protowire.SizeVarint(n)
}
