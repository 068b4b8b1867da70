package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"signpost/test/bench/question"
)

// maxWindow is how many questions a socket can have open: the number of the slot is
// one octet of the id.
const maxWindow = 256

const replySize = 4096

// socket is one client: a port of its own, with questions open in its slots.
type socket struct {
	fd       int
	set      *question.Set
	slots    []slot
	free     []uint8
	out, in  *batch
	sending  []uint8 // the slots of what is in out
	received [][]byte
}

// slot is a question that is open. Its id is the number of the slot with a count of
// its uses, so that a late reply is told from the one that is waited for.
type slot struct {
	packet   []byte
	question int
	uses     uint8
	open     bool
	at       time.Duration // when it was due
}

func (s *slot) id(number uint8) uint16 { return uint16(s.uses)<<8 | uint16(number) }

func dial(addr netip.AddrPort, set *question.Set, window int) (*socket, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket: %w", err)
	}
	s := &socket{fd: fd, set: set, slots: make([]slot, window), out: newBatch(window), in: newBatch(window)}
	// Replies must not be lost here; as much as is allowed will do.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())}); err != nil {
		s.close()
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	for i := range window {
		s.slots[i].packet = make([]byte, 0, 512)
		s.free = append(s.free, uint8(i))
		s.received = append(s.received, make([]byte, replySize))
		s.in.put(i, s.received[i])
	}
	return s, nil
}

func (s *socket) close() { _ = unix.Close(s.fd) } // nothing is left to be lost

// ask opens the q-th question, to be sent by flush. There must be a free slot.
func (s *socket) ask(q int, due time.Duration) {
	n := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	sl := &s.slots[n]
	sl.uses++
	sl.question, sl.open, sl.at = q, true, due
	sl.packet = append(sl.packet[:0], s.set.Packet(q)...)
	binary.BigEndian.PutUint16(sl.packet, sl.id(n))
	s.out.put(len(s.sending), sl.packet)
	s.sending = append(s.sending, n)
}

// flush sends what was asked. What the system does not take is as good as lost on
// the way, and is counted so when its time is over.
func (s *socket) flush() error {
	if len(s.sending) == 0 {
		return nil
	}
	for try := 0; ; try++ {
		_, err := s.out.call(unix.SYS_SENDMMSG, s.fd, len(s.sending))
		// An earlier packet was refused (the server is not there): that is told once.
		if errors.Is(err, unix.ECONNREFUSED) && try == 0 {
			continue
		}
		s.sending = s.sending[:0]
		if errors.Is(err, unix.ECONNREFUSED) {
			err = nil
		}
		return err
	}
}

// receive judges what has come and gives how many replies it was.
func (s *socket) receive(now time.Duration, r *Result) (int, error) {
	n, err := s.in.call(unix.SYS_RECVMMSG, s.fd, len(s.received))
	if errors.Is(err, unix.ECONNREFUSED) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("receive replies: %w", err)
	}
	for i := range n {
		s.judge(s.received[i][:s.in.len(i)], now, r)
	}
	return n, nil
}

func (s *socket) judge(b []byte, now time.Duration, r *Result) {
	if len(b) < 2 {
		r.Wrong++
		return
	}
	number := b[1]
	if int(number) >= len(s.slots) {
		r.Wrong++
		return
	}
	sl := &s.slots[number]
	if !sl.open || sl.id(number) != binary.BigEndian.Uint16(b) {
		r.Late++ // it was given up, or is a second reply
		return
	}
	sl.open = false
	s.free = append(s.free, number)
	if !s.set.Right(sl.question, b) {
		r.wrong(s.set.Packet(sl.question), b)
		return
	}
	r.Right++
	r.Octets += uint64(len(b))
	if r.keep {
		r.Latencies = append(r.Latencies, now-sl.at)
	}
}

// giveUp counts the questions that were due before a time as lost.
func (s *socket) giveUp(before time.Duration, r *Result) {
	for n := range s.slots {
		if sl := &s.slots[n]; sl.open && sl.at < before {
			sl.open = false
			s.free = append(s.free, uint8(n))
			r.Lost++
		}
	}
}

func (s *socket) idle() bool { return len(s.free) == len(s.slots) }
