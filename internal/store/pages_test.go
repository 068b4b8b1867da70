package store

import (
	"context"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"signpost/internal/model"
)

// fronted is a store whose etcd has something else before it.
func fronted(t *testing.T, front pb.KVServer) *Store {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	pb.RegisterKVServer(srv, front)
	go srv.Serve(l)
	t.Cleanup(srv.Stop)
	s, err := Open(Config{Endpoints: []string{"http://" + l.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// unstreaming is an etcd that cannot stream a range.
type unstreaming struct {
	pb.UnimplementedKVServer
	real pb.KVClient
}

func (o unstreaming) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	return o.real.Range(ctx, r)
}

// faltering sends a piece of every stream and then nothing more, up to a number of
// streams.
type faltering struct {
	unstreaming
	falters int32
	streams atomic.Int32
}

func (f *faltering) RangeStream(r *pb.RangeRequest, to grpc.ServerStreamingServer[pb.RangeStreamResponse]) error {
	real, err := f.real.RangeStream(to.Context(), r)
	if err != nil {
		return err
	}
	n := f.streams.Add(1)
	for {
		piece, err := real.Recv()
		if err != nil {
			return nil // all of it came
		}
		if err := to.Send(piece); err != nil {
			return err
		}
		if n <= f.falters {
			<-to.Context().Done()
			return to.Context().Err()
		}
	}
}

func TestTheWholeIsReadToItsEnd(t *testing.T) {
	_, s := etcdAndStore(t)
	const names = 700 // several pieces: etcd begins with ten keys
	for some := range slices.Chunk(slices.Collect(func(yield func(int) bool) {
		for i := range names {
			yield(i)
		}
	}), 100) {
		var ops []clientv3.Op
		for _, i := range some {
			ops = append(ops, putName(s, i))
		}
		commit(t, s, ops...)
	}
	real := pb.NewKVClient(s.client.ActiveConnection())
	for what, c := range map[string]struct {
		s    *Store
		most int // pages
	}{
		"a stream":                      {s, 20},
		"an etcd that cannot stream":    {fronted(t, unstreaming{real: real}), 1},
		"streams that fall silent":      {fronted(t, &faltering{unstreaming: unstreaming{real: real}, falters: 2}), 20},
		"pages, because that is wanted": {s, names/100 + 1},
	} {
		p := pages{s: c.s, from: s.keys.dns(), to: prefixEnd(s.keys.dns()), rev: mustRevision(t, s), within: 250 * time.Millisecond}
		if what == "pages, because that is wanted" {
			p.limit = 100
		}
		var got []string
		n := 0
		for last := false; !last; n++ {
			page := p.next(t.Context())
			if page.err != nil {
				t.Fatalf("%s: %v", what, page.err)
			}
			for _, kv := range page.kvs {
				got = append(got, string(kv.Key))
			}
			last = page.last
		}
		if want := everyKey(t, s); !slices.Equal(got, want) || n > c.most {
			t.Errorf("%s: %d keys in %d pages, want %d", what, len(got), n, len(want))
		}
	}
}

// mute never sends anything of a stream.
type mute struct{ unstreaming }

func (mute) RangeStream(_ *pb.RangeRequest, to grpc.ServerStreamingServer[pb.RangeStreamResponse]) error {
	<-to.Context().Done()
	return to.Context().Err()
}

func TestSilenceIsNotTheEndOfTheState(t *testing.T) {
	_, s := etcdAndStore(t)
	commit(t, s, putName(s, 1))
	silent := fronted(t, mute{unstreaming{real: pb.NewKVClient(s.client.ActiveConnection())}})
	p := pages{s: silent, from: s.keys.dns(), to: prefixEnd(s.keys.dns()), rev: mustRevision(t, s), within: 10 * time.Millisecond}
	if got := p.next(t.Context()); model.KindOf(got.err) != model.Unavailable || got.last {
		t.Errorf("%+v", got)
	}
}

func mustRevision(t *testing.T, s *Store) int64 {
	t.Helper()
	resp, err := s.client.Get(t.Context(), s.keys.revAll())
	if err != nil {
		t.Fatal(err)
	}
	return resp.Header.Revision
}

func everyKey(t *testing.T, s *Store) (all []string) {
	t.Helper()
	resp, err := s.client.Get(t.Context(), s.keys.dns(), clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range resp.Kvs {
		all = append(all, string(kv.Key))
	}
	if len(all) < 1 {
		t.Fatal("there is nothing in etcd")
	}
	return all
}
