package load

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// first lets this thread go first, as a client on another machine would; that needs
// root, and without it more is sent late. What it gives undoes it.
func first() (undo func()) {
	const ahead, normal = -15, 0
	tid := unix.Gettid()
	if unix.Setpriority(unix.PRIO_PROCESS, tid, ahead) != nil {
		return func() {}
	}
	return func() { _ = unix.Setpriority(unix.PRIO_PROCESS, tid, normal) } // it may: it is root
}

// ExactTimer makes what this thread waits for end in time instead of up to 50 µs
// later; what it gives undoes it, as servers that are started inherit it.
func ExactTimer() (undo func()) {
	const least, normal = 1, 0
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, least, 0, 0, 0) // it always may
	return func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, normal, 0, 0, 0) }
}

// processorTime is what this thread has used.
func processorTime() (time.Duration, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		return 0, fmt.Errorf("read the generator's processor time: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
