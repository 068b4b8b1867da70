package load

import (
	"errors"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// batch is messages that one system call sends or receives on a connected socket.
// Nothing is allocated per message.
type batch struct {
	hdrs []mmsghdr
	vecs []unix.Iovec
}

func newBatch(n int) *batch {
	b := &batch{hdrs: make([]mmsghdr, n), vecs: make([]unix.Iovec, n)}
	for i := range b.hdrs {
		b.hdrs[i].hdr.Iov = &b.vecs[i]
		b.hdrs[i].hdr.Iovlen = 1
	}
	return b
}

// put makes p the i-th message.
func (b *batch) put(i int, p []byte) {
	b.vecs[i].Base = &p[0]
	b.vecs[i].SetLen(len(p))
}

// len is how much came as the i-th message.
func (b *batch) len(i int) int { return int(b.hdrs[i].n) }

// call sends or receives up to n messages and gives how many it was. It never waits.
func (b *batch) call(number uintptr, fd, n int) (int, error) {
	for {
		got, _, errno := unix.Syscall6(number, uintptr(fd), uintptr(unsafe.Pointer(&b.hdrs[0])), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
		runtime.KeepAlive(b)
		switch errno {
		case 0:
			return int(got), nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, nil
		default:
			return 0, errno
		}
	}
}

// poll waits until something has come or the time is over.
func poll(fds []unix.PollFd, d time.Duration) error {
	ts := unix.NsecToTimespec(max(d, 0).Nanoseconds())
	if _, err := unix.Ppoll(fds, &ts, nil); err != nil && !errors.Is(err, unix.EINTR) {
		return err
	}
	return nil
}
