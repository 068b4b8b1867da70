package group

import (
	"context"
	"errors"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// exchange is one transaction on its way, as gRPC's codec of it: the request is written
// and the answer read without the messages in between, of which there would be a dozen
// for each change.
type exchange struct {
	request []byte
	Outcome
	each []bool // which nested transactions were made
}

// txn sends a request, an etcdserverpb.TxnRequest.
func txn(ctx context.Context, kv pb.KVClient, request []byte) (*exchange, error) {
	x := &exchange{request: request}
	_, err := kv.Txn(ctx, nil, grpc.ForceCodecV2(x))
	return x, err
}

var errAnswer = errors.New("etcd's answer to a transaction cannot be read")

func (x *exchange) Name() string { return "proto" }

func (x *exchange) Marshal(any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(x.request)}, nil
}

func (x *exchange) Unmarshal(data mem.BufferSlice, _ any) error {
	x.Outcome, x.each = Outcome{}, nil
	if !x.read(data.Materialize()) {
		return errAnswer
	}
	return nil
}

// read reads an etcdserverpb.TxnResponse.
func (x *exchange) read(raw []byte) bool {
	return eachField(raw, func(num protowire.Number, n uint64, octets []byte) bool {
		switch num {
		case respHeader:
			return eachField(octets, func(num protowire.Number, n uint64, _ []byte) bool {
				if num == headerRevision {
					x.Revision = int64(n)
				}
				return true
			})
		case respSucceeded:
			x.Made = n != 0
		case respResponses:
			made := false
			ok := eachField(octets, func(num protowire.Number, _ uint64, octets []byte) bool {
				return num != respTxn || eachField(octets, func(num protowire.Number, n uint64, _ []byte) bool {
					if num == respSucceeded {
						made = n != 0
					}
					return true
				})
			})
			x.each = append(x.each, made)
			return ok
		}
		return true
	})
}

// eachField goes through a message and reports whether it is one and take took all: n of
// a field that is a varint, octets of one that has a length.
func eachField(raw []byte, take func(num protowire.Number, n uint64, octets []byte) bool) bool {
	for len(raw) > 0 {
		num, typ, size := protowire.ConsumeTag(raw)
		if size < 0 {
			return false
		}
		raw = raw[size:]
		var n uint64
		var octets []byte
		switch typ {
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(raw)
		case protowire.BytesType:
			octets, size = protowire.ConsumeBytes(raw)
		default:
			size = protowire.ConsumeFieldValue(num, typ, raw)
		}
		if size < 0 || !take(num, n, octets) {
			return false
		}
		raw = raw[size:]
	}
	return true
}
