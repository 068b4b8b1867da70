package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"signpost/test/bench/question"
)

// firstEvery is how often a server that starts is asked; so exact is the time of its
// first answer.
const firstEvery = time.Millisecond

// First asks the first question of the set again and again until there is a right
// reply, and gives the time of that. It stops when ended gives an error.
func First(ctx context.Context, addr netip.AddrPort, set *question.Set, ended func() error) (time.Time, error) {
	s, err := dial(addr, set, 1)
	if err != nil {
		return time.Time{}, err
	}
	defer s.close()
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	buf := make([]byte, replySize)
	last := []byte("nothing")
	for ctx.Err() == nil {
		if err := ended(); err != nil {
			return time.Time{}, err
		}
		// Not yet there, not yet listening: the next will tell.
		if _, err := unix.Write(s.fd, set.Packet(0)); err != nil && !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.EAGAIN) {
			return time.Time{}, fmt.Errorf("ask %s: %w", addr, err)
		}
		asked := time.Now()
		if err := poll(fds, firstEvery); err != nil {
			return time.Time{}, err
		}
		for {
			n, _, err := unix.Recvfrom(s.fd, buf, unix.MSG_DONTWAIT)
			if err != nil || n <= 0 {
				break
			}
			if set.Right(0, buf[:n]) {
				return time.Now(), nil
			}
			last = buf[:n:n]
		}
		if err := poll(nil, firstEvery-time.Since(asked)); err != nil {
			return time.Time{}, err
		}
	}
	return time.Time{}, fmt.Errorf("wait for the first right answer of %s, the last was %x: %w", addr, last, ctx.Err())
}
