package zonefile

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"signpost/controlapi/message"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

const (
	// MaxImport is how many octets a zone file may have.
	MaxImport = 256 << 20
	// importIdle is how long the next piece of a zone file may take.
	importIdle      = 30 * time.Second
	reportEvery     = time.Second
	differencesSent = 100 // in one message
)

type importStream = grpc.BidiStreamingServer[pb.ImportZoneRequest, pb.ImportZoneResponse]

// upload is a zone file that is read while it comes.
type upload struct {
	ctx    context.Context
	pieces chan received
	idle   time.Duration
	most   int
	name   string // as the first piece gives it
	rest   []byte // of the piece that came last
	size   int
	hash   hash.Hash
	ended  bool  // with its end
	err    error // why it ended before its end
}

type received struct {
	in  *pb.ImportZoneRequest
	err error
}

// receive begins to receive; it goes on until the stream's context ends.
func (s *Service) receive(stream importStream) *upload {
	u := &upload{ctx: stream.Context(), pieces: make(chan received), idle: s.idle, most: s.size, hash: sha256.New()}
	go func() {
		for {
			in, err := stream.Recv()
			select {
			case u.pieces <- received{in, err}:
			case <-u.ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return u
}

// first is the piece that says what all of it is about, without its data; an empty
// one when there is none.
func (u *upload) first() (*pb.ImportZoneRequest, error) {
	in, err := u.piece()
	if err != nil {
		if u.ended = errors.Is(err, io.EOF); u.ended {
			err = nil
		}
		return &pb.ImportZoneRequest{}, err
	}
	u.name, u.rest = in.GetName(), in.Data
	in.Data = nil
	return in, u.took(len(u.rest))
}

func (u *upload) piece() (*pb.ImportZoneRequest, error) {
	wait := time.NewTimer(u.idle)
	defer wait.Stop()
	select {
	case p := <-u.pieces:
		if p.err != nil && !errors.Is(p.err, io.EOF) {
			return nil, model.E(model.Unavailable, "receive zone file", u.name).From(p.err)
		}
		return p.in, p.err
	case <-u.ctx.Done():
		return nil, model.E(model.Unavailable, "receive zone file", u.name).From(u.ctx.Err())
	case <-wait.C:
		return nil, model.E(model.Invalid, "import zone", u.name).In("data").
			Because("nothing of the zone file came for " + u.idle.String()).Hint("send it again")
	}
}

// took counts what came.
func (u *upload) took(n int) error {
	if u.size += n; u.size > u.most {
		return model.E(model.Invalid, "import zone", u.name).In("data").
			Because(fmt.Sprintf("the zone file is larger than %d MiB", u.most>>20)).Hint("make zones of their own of parts of it")
	}
	return nil
}

// Read gives the zone file; u.err keeps an error that is not its end.
func (u *upload) Read(p []byte) (int, error) {
	for len(u.rest) == 0 {
		if u.ended || u.err != nil {
			return 0, cmp.Or(u.err, io.EOF)
		}
		in, err := u.piece()
		if err == nil {
			if n := in.GetName(); n != "" && n != u.name {
				err = model.E(model.Invalid, "import zone", u.name).In("name").Because("a later piece names another zone")
			} else {
				u.rest = in.GetData()
				err = u.took(len(u.rest))
			}
		}
		if err != nil {
			if u.ended = errors.Is(err, io.EOF); !u.ended {
				u.err = err
			}
			return 0, err
		}
	}
	n := copy(p, u.rest)
	u.hash.Write(u.rest[:n]) // it has no error
	u.rest = u.rest[n:]
	return n, nil
}

// sum tells the file from others.
func (u *upload) sum() []byte { return u.hash.Sum(nil) }

// answer tells the caller, and those who look at the zone, how far an import is. A
// caller who takes no messages misses reports and holds up nothing but its own answer:
// the import waits for no report to be sent, and the next one says how far it is then.
type answer struct {
	stream  importStream
	sending sync.Mutex // one message at a time; held for as long as the caller takes none
	differ  func(name model.Name, before, after []model.RRset)
	held    []*pb.Difference
	mu      sync.Mutex // of claim, never held while something is sent
	claim   *store.Claim
	at      atomic.Pointer[string]
	done    atomic.Int64
	total   atomic.Int64
	stop    context.CancelFunc
	ended   sync.WaitGroup
}

// answerTo begins to report, to the caller and to the others each at their own pace.
func answerTo(stream importStream, every time.Duration) *answer {
	a := &answer{stream: stream}
	a.phase("receiving", 0)
	a.differ = a.difference
	ctx, stop := context.WithCancel(stream.Context())
	a.stop = stop
	for _, report := range []func(){a.tell, a.show} {
		a.ended.Go(func() {
			tick := time.NewTicker(every) // what falls due during a report is left out
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					report()
				}
			}
		})
	}
	return a
}

// end stops the reports. It waits until the caller has taken the last one or is gone,
// so it comes when the import holds nothing any more.
func (a *answer) end() {
	a.stop()
	a.ended.Wait()
}

func (a *answer) phase(name string, total int64) {
	a.at.Store(&name)
	a.done.Store(0)
	a.total.Store(total)
}

func (a *answer) step()       { a.done.Add(1) }
func (a *answer) steps(n int) { a.done.Add(int64(n)) }

// claimed says under which claim others see the reports; nil: none.
func (a *answer) claimed(c *store.Claim) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.claim = c
}

func (a *answer) now() model.ImportProgress {
	p := model.ImportProgress{Phase: *a.at.Load(), Done: a.done.Load(), Total: a.total.Load()}
	if p.Total > 0 {
		p.Done = min(p.Done, p.Total)
	}
	return p
}

// tell has no use for an error: what it means, the import finds out by itself. Nor
// has show.
func (a *answer) tell() {
	_ = a.send(&pb.ImportZoneResponse{Progress: message.ImportProgress(a.now())})
}

func (a *answer) send(m *pb.ImportZoneResponse) error {
	a.sending.Lock()
	defer a.sending.Unlock()
	return a.stream.Send(m)
}

// show is for those who look at the zone.
func (a *answer) show() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.claim != nil {
		_ = a.claim.Report(a.now())
	}
}

// difference collects what would change at a name.
func (a *answer) difference(name model.Name, before, after []model.RRset) {
	add := func(b, f model.RRset, t uint16) {
		d := &pb.Difference{Name: name.Text(), Type: model.TypeName(t), TtlBefore: b.TTL, TtlAfter: f.TTL}
		d.Before, d.After = b.Text(), f.Text()
		if a.held = append(a.held, d); len(a.held) >= differencesSent {
			a.flush()
		}
	}
	for _, b := range before {
		if f, ok := model.FindRRset(after, b.Type); !ok || !f.Equal(b) {
			add(b, f, b.Type)
		}
	}
	for _, f := range after {
		if _, ok := model.FindRRset(before, f.Type); !ok {
			add(model.RRset{}, f, f.Type)
		}
	}
}

// flush waits for the caller. Only a dry run has differences to tell, and holds no claim.
func (a *answer) flush() {
	if len(a.held) == 0 {
		return
	}
	_ = a.send(&pb.ImportZoneResponse{Differences: a.held}) // a stream that is broken fails at its result
	a.held = nil
}

// result is the last message.
func (a *answer) result(out *pb.ImportZoneResponse) error {
	a.end()
	a.flush()
	if err := a.send(out); err != nil {
		return model.E(model.Unavailable, "answer import", "").From(err)
	}
	return nil
}
