package group

import (
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// plain gives the change to etcd's own client.
func (c *Change) plain(txn clientv3.Txn) clientv3.Txn {
	cmps, ops := c.clients()
	return txn.If(cmps...).Then(ops...)
}

// clients is the change in the words of etcd's client.
func (c *Change) clients() (cmps []clientv3.Cmp, ops []clientv3.Op) {
	for _, x := range c.If {
		if x.End != "" {
			cmps = append(cmps, clientv3.Compare(clientv3.ModRevision(x.Key), "<", x.Mod).WithRange(x.End))
		} else {
			cmps = append(cmps, clientv3.Compare(clientv3.ModRevision(x.Key), "=", x.Mod))
		}
	}
	for _, w := range c.Then {
		if w.Delete {
			ops = append(ops, clientv3.OpDelete(w.Key))
		} else {
			ops = append(ops, clientv3.OpPut(w.Key, string(w.Value)))
		}
	}
	return cmps, ops
}

func opTxnOf(c *Change) *pb.RequestOp {
	cmps, ops := c.clients()
	in := &pb.TxnRequest{}
	for i := range cmps {
		in.Compare = append(in.Compare, cmps[i].GetCompare())
	}
	for _, op := range ops {
		if op.IsDelete() {
			in.Success = append(in.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: op.KeyBytes()}}})
		} else {
			in.Success = append(in.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: op.KeyBytes(), Value: op.ValueBytes()}}})
		}
	}
	return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: in}}
}

func drawChange(r *rapid.T) Change {
	text := rapid.StringN(0, 5, 300)
	return Change{
		If: rapid.SliceOfN(rapid.Custom(func(r *rapid.T) Compare {
			return Compare{text.Draw(r, "key"), text.Draw(r, "end"), rapid.Int64Min(0).Draw(r, "mod")}
		}), 0, 4).Draw(r, "if"),
		Then: rapid.SliceOfN(rapid.Custom(func(r *rapid.T) Write {
			w := Write{Key: text.Draw(r, "key"), Delete: rapid.Bool().Draw(r, "delete")}
			if !w.Delete {
				w.Value = rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(r, "value")
			}
			return w
		}), 0, 4).Draw(r, "then"),
	}
}

// TestRequestsAreWhatEtcdsClientWouldSend reads with protobuf what was written without.
func TestRequestsAreWhatEtcdsClientWouldSend(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		changes := rapid.SliceOfN(rapid.Custom(drawChange), 1, 5).Draw(r, "changes")
		same := func(what string, raw []byte, want *pb.TxnRequest) {
			var got pb.TxnRequest
			if err := proto.Unmarshal(raw, &got); err != nil || !proto.Equal(&got, want) {
				r.Errorf("%s: %v, %v; want %v", what, &got, err, want)
			}
		}
		same("one", changes[0].append(nil, nil, nil), opTxnOf(&changes[0]).GetRequestTxn())

		zone, mark := Compare{Key: "zone", Mod: 7}, Write{Key: "rev/z", Value: []byte("mark")}
		outer := opTxnOf(&Change{If: []Compare{zone}, Then: []Write{mark}}).GetRequestTxn()
		marks := outer.Success
		outer.Success = nil
		var members []*pending
		for i := range changes {
			changes[i].If = append([]Compare{{Key: "own", Mod: int64(i)}}, changes[i].If...)
			for j := range changes[i].If[1:] {
				changes[i].If[1+j].Mod = changes[i].If[1+j].Mod/8*8 + int64(i) // no two have it
			}
			outer.Success = append(outer.Success, opTxnOf(&changes[i]))
			with := Change{If: append([]Compare{zone}, changes[i].If...), Then: append(changes[i].Then[:len(changes[i].Then):len(changes[i].Then)], mark)}
			members = append(members, &pending{Change: with})
		}
		if len(members) == 1 { // it has all of its compares in common with all
			outer.Compare = append(outer.Compare, outer.Success[0].GetRequestTxn().Compare...)
			outer.Success[0].GetRequestTxn().Compare = nil
		}
		outer.Success = append(outer.Success, marks...)
		same("together", appendNested(nil, members, map[string][]byte{mark.Key: mark.Value}), outer)
	})
}

// TestAnswersAreRead writes with protobuf what is read without.
func TestAnswersAreRead(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		header := &pb.ResponseHeader{ClusterId: 1 << 63, MemberId: 2, Revision: rapid.Int64().Draw(r, "revision"), RaftTerm: 4}
		in := &pb.TxnResponse{Header: header, Succeeded: rapid.Bool().Draw(r, "succeeded")}
		each := rapid.SliceOf(rapid.Bool()).Draw(r, "each")
		for _, made := range each {
			in.Responses = append(in.Responses, &pb.ResponseOp{Response: &pb.ResponseOp_ResponseTxn{ResponseTxn: &pb.TxnResponse{
				Header: &pb.ResponseHeader{Revision: 9}, Succeeded: made,
				Responses: []*pb.ResponseOp{{Response: &pb.ResponseOp_ResponsePut{ResponsePut: &pb.PutResponse{Header: &pb.ResponseHeader{Revision: 8}}}}},
			}}})
		}
		in.Responses = append(in.Responses, &pb.ResponseOp{Response: &pb.ResponseOp_ResponsePut{ResponsePut: &pb.PutResponse{}}})
		raw, err := proto.Marshal(in)
		if err != nil {
			r.Fatal(err)
		}
		var x exchange
		if !x.read(raw) || x.Revision != header.Revision || x.Made != in.Succeeded || len(x.each) != len(each)+1 {
			r.Fatalf("read %+v of %v", x, in)
		}
		for i, made := range each {
			if x.each[i] != made {
				r.Errorf("nested %d: made %v, want %v", i, x.each[i], made)
			}
		}
		cut := rapid.IntRange(0, len(raw)-1).Draw(r, "cut")
		(&exchange{}).read(raw[:cut]) // it may be read or not; it does not panic
	})
}
