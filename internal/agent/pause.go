package agent

import (
	"time"

	"signpost/internal/model"
)

const (
	firstPause  = time.Second
	mostPause   = time.Minute
	mostRefused = 5 * time.Minute
)

// pause is the wait before the next try, after so many have failed in a row. Each is twice
// the one before, up to a minute, and up to five when the last try was refused, since what
// was refused passes only when a person does something. draw makes it up to a half less, so
// that machines that failed together do not come back together.
func pause(tries int, refused bool, draw float64) time.Duration {
	most := mostPause
	if refused {
		most = mostRefused
	}
	d := most
	if tries < 16 { // or it overflows
		d = min(firstPause<<tries, most)
	}
	return jittered(d, 0.5, draw)
}

// jittered is d, or less by up to a part of it.
func jittered(d time.Duration, part, draw float64) time.Duration {
	return d - time.Duration(float64(d)*part*draw)
}

// refused reports whether the service has spoken and does not want it.
func refused(err error) bool {
	switch model.KindOf(err) {
	case model.Unavailable, model.Aborted, model.Internal:
		return false
	}
	return err != nil
}
