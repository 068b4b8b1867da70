package spread

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"signpost/test/bench/load"
	"signpost/test/bench/question"
)

// watch is an address that a name must come to have.
type watch struct {
	name  int
	want  netip.Addr
	since time.Time // the update's reply
}

// missed stands for a delay that was longer than the patience.
const missed = time.Duration(1<<63 - 1)

// poller asks one replica for what is watched. The time between two questions about
// a name is a twentieth of the time that it is watched already, at least minGap and
// at most maxGap: so exact are the delays, and a slow system is not flooded.
type poller struct {
	addr     netip.AddrPort
	patience time.Duration
	fd       int
	pending  []*open
	byID     map[uint16]*open
	delays   []time.Duration // in the order in which the watches came
}

const (
	minGap = 250 * time.Microsecond
	maxGap = 50 * time.Millisecond
	// look is how long a new watch may wait while others are pending.
	look = 100 * time.Microsecond
)

// open is a watch that has not been seen yet.
type open struct {
	watch
	n    int // in delays
	set  *question.Set
	next time.Time
	seen bool
}

func newPoller(addr netip.AddrPort, patience time.Duration) (*poller, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket: %w", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())}); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to %s: %w", addr, err), unix.Close(fd))
	}
	return &poller{addr: addr, patience: patience, fd: fd, byID: map[uint16]*open{}}, nil
}

// run takes watches until there are no more and all are seen or missed, and gives
// their delays in the order in which they came.
func (p *poller) run(ctx context.Context, in <-chan watch) ([]time.Duration, error) {
	defer func() { _ = unix.Close(p.fd) }() // nothing is left to be lost
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer load.ExactTimer()()
	for more := true; more || len(p.pending) > 0; {
		if len(p.pending) == 0 {
			select {
			case w, ok := <-in:
				if more = ok; ok {
					if err := p.add(w); err != nil {
						return nil, err
					}
				}
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			continue
		}
		select {
		case w, ok := <-in:
			if !ok {
				more, in = false, nil
			} else if err := p.add(w); err != nil {
				return nil, err
			}
			continue
		default:
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err := p.step(); err != nil {
			return nil, fmt.Errorf("ask %s: %w", p.addr, err)
		}
	}
	return p.delays, nil
}

func (p *poller) add(w watch) error {
	set, err := question.For(w.name, w.want)
	if err != nil {
		return err
	}
	o := &open{watch: w, n: len(p.delays), set: set}
	p.delays = append(p.delays, missed)
	p.pending = append(p.pending, o)
	p.byID[uint16(o.n)] = o
	return nil
}

// step asks what is due, waits a little and takes what has come.
func (p *poller) step() error {
	now := time.Now()
	wait := look
	kept := p.pending[:0]
	for _, o := range p.pending {
		if o.seen || now.Sub(o.since) > p.patience {
			delete(p.byID, uint16(o.n))
			continue
		}
		kept = append(kept, o)
		if now.After(o.next) {
			q := append([]byte(nil), o.set.Packet(0)...)
			binary.BigEndian.PutUint16(q, uint16(o.n))
			// A replica that is not there yet refuses, a full buffer loses: the next
			// question will tell.
			if _, err := unix.Write(p.fd, q); err != nil && !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.EAGAIN) {
				return err
			}
			o.next = now.Add(min(max(now.Sub(o.since)/20, minGap), maxGap))
		}
		wait = min(wait, max(o.next.Sub(now), 0))
	}
	clear(p.pending[len(kept):])
	p.pending = kept
	ts := unix.NsecToTimespec(wait.Nanoseconds())
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
	if _, err := unix.Ppoll(fds, &ts, nil); err != nil && !errors.Is(err, unix.EINTR) {
		return err
	}
	return p.take()
}

func (p *poller) take() error {
	var buf [4096]byte
	for {
		n, _, err := unix.Recvfrom(p.fd, buf[:], unix.MSG_DONTWAIT)
		if errors.Is(err, unix.ECONNREFUSED) {
			continue
		}
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			return nil
		}
		if err != nil {
			return err
		}
		now := time.Now()
		if n < 2 {
			continue
		}
		o := p.byID[binary.BigEndian.Uint16(buf[:])]
		if o != nil && !o.seen && o.set.Right(0, buf[:n]) {
			o.seen = true
			p.delays[o.n] = now.Sub(o.since)
		}
	}
}
