package thrift

import (
	"cmp"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
)

// Room has the garbage collector wait until there are so many octets of garbage, or as
// much as is in use if that is more, until release is called. As much as is in use is
// Go's own rule; for a process whose state is small it is little, so that it would
// collect many times a second when it is busy, and be late with all else meanwhile. Of
// several rooms the largest counts. Room does nothing where the operator has said
// otherwise with GOGC; GOMEMLIMIT holds in any case.
func Room(octets uint64) (release func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	r := &room{octets}
	collector.makeRoom(r)
	return func() { collector.takeRoom(r) }
}

type room struct{ octets uint64 }

func (s *setting) makeRoom(r *room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rooms = append(s.rooms, r)
	before := s.swapLocked(s.percentLocked())
	if len(s.rooms) == 1 {
		s.usual = before
		s.chain++
		s.afterEach(s.chain)
	}
}

func (s *setting) takeRoom(r *room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.rooms, r)
	if i < 0 {
		return // it was taken before
	}
	if s.rooms = slices.Delete(s.rooms, i, i+1); len(s.rooms) == 0 {
		s.swapLocked(s.usual)
	} else {
		s.swapLocked(s.percentLocked())
	}
}

// afterEach sets what is right after each collection, until there is another chain or no
// room is asked for.
func (s *setting) afterEach(chain int) {
	type sentinel struct{ _ *int } // with a pointer it has an allocation of its own
	runtime.AddCleanup(&sentinel{}, func(chain int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.rooms) > 0 && s.chain == chain {
			s.swapLocked(s.percentLocked())
			s.afterEach(chain)
		}
	}, chain)
}

// swapLocked is debug.SetGCPercent for when nobody is thrifty.
func (s *setting) swapLocked(percent int) (before int) {
	if s.users > 0 {
		before, s.before, s.now = s.before, percent, percent
		return before
	}
	if percent == s.now {
		return percent // to set it stops the process for a moment
	}
	s.now = percent
	return debug.SetGCPercent(percent)
}

// liveHeap is how much was in use at the last collection.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// percentLocked is GOGC for the largest room.
func (s *setting) percentLocked() int {
	most := slices.MaxFunc(s.rooms, func(a, b *room) int { return cmp.Compare(a.octets, b.octets) })
	return percentFor(liveHeap(), most.octets)
}

// percentFor is in steps, so that it does not have to be set after every collection.
func percentFor(live, room uint64) int {
	const step, most = 50, 1600
	return max(100, min(most, int(100*room/max(live, 1))/step*step))
}
