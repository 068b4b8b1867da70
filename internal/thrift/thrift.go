// Package thrift answers one question: how much garbage may there be? Little while a
// process reads or writes a large state, so that it does not take twice the memory that
// it keeps; more than Go would have it in a busy service whose state is small.
package thrift

import (
	"runtime/debug"
	"sync"
)

// percent is how much the heap may grow between two collections meanwhile: nearly all
// that is allocated then is garbage at once, and what is kept has few pointers to
// follow, so that to collect often costs little.
const percent = 50

// setting is that of the garbage collector, which all in the process share.
type setting struct {
	mu     sync.Mutex
	users  int
	before int
	rooms  []*room
	chain  int // of what is done after each collection; only the newest goes on
	usual  int // before there was room
	now    int // what room has set, 0 before
}

var collector setting

// Do does something that makes much garbage. An operator's GOGC below ours holds
// meanwhile, and GOMEMLIMIT always. Several may be under way at once.
func Do(it func()) {
	collector.enter()
	defer collector.leave()
	it()
}

// GiveBack lets the system have what was taken and is not needed any more, which Go
// would do over minutes. It takes some hundredths of a second for a million names.
func GiveBack() { debug.FreeOSMemory() }

func (s *setting) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users++; s.users > 1 {
		return
	}
	s.before = debug.SetGCPercent(percent)
	if s.before >= 0 && s.before < percent {
		debug.SetGCPercent(s.before)
	}
}

func (s *setting) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users == 0 {
		debug.SetGCPercent(s.before)
	}
}
