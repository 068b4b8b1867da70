package monitor

import (
	"maps"
	"slices"
	"time"

	"signpost/internal/health"
	"signpost/internal/model"
)

// book is all that the checker of a site has to keep in mind: what etcd says, what is to
// be tried, what it thinks of that, and what etcd has not been told of it. It does
// nothing by itself and is not safe for concurrent use.
type book struct {
	*scene
	limit *limit
	judge *health.Judge[uint64]

	active   bool // it checks; else it stands by
	subjects map[Host][]*subject
	byName   map[Endpoint]*subject
	targets  map[uint64]*target
	last     uint64              // the id that was given last
	awaited  map[uint64]struct{} // whose first round must be over before it registers
	held     map[Host]struct{}   // with more new addresses than their owners may have now
	unsaid   map[Endpoint]struct{}
	term     uint64 // of its votes; 0: none
	first    bool   // nothing was arranged yet
	// turned is called when an opinion has formed or changed.
	turned func(*subject)
}

func newBook(site string) *book {
	b := &book{scene: newScene(site), turned: func(*subject) {}}
	b.rest()
	return b
}

// rest forgets all that was found out: somebody else checks for this site.
func (b *book) rest() (drop []uint64) {
	drop = slices.Collect(maps.Keys(b.targets))
	b.active, b.judge, b.limit = false, health.NewJudge[uint64](), newLimit()
	b.subjects, b.byName, b.targets = map[Host][]*subject{}, map[Endpoint]*subject{}, map[uint64]*target{}
	b.awaited, b.held, b.unsaid = map[uint64]struct{}{}, map[Host]struct{}{}, map[Endpoint]struct{}{}
	b.term, b.first = 0, false
	return drop
}

// begin is called once all was loaded and nobody else checks for this site. What is to be
// tried from then on is given by the next arrange.
func (b *book) begin() {
	b.active, b.first = true, true
	for n := range b.hosts {
		b.touched[n.Host] = struct{}{}
	}
}

// arrange compares what is to be tried with what is being tried, where that may differ.
func (b *book) arrange(now time.Duration) (put []*target, drop []uint64) {
	if !b.active {
		clear(b.touched)
		clear(b.spoken)
		return nil, nil
	}
	first := b.first
	b.first = false
	for h := range b.touched {
		p, d := b.arrangeHost(h, first, now)
		put, drop = append(put, p...), append(drop, d...)
	}
	clear(b.touched)
	if first {
		for _, t := range put {
			if !t.of.slow() {
				b.awaited[t.id] = struct{}{}
			}
		}
	}
	for e := range b.spoken {
		if b.byName[e] != nil {
			b.unsaid[e] = struct{}{}
		}
	}
	clear(b.spoken)
	return put, drop
}

// votesIn takes the term of the votes. In another one nothing was said yet.
func (b *book) votesIn(term uint64) {
	if term == b.term {
		return
	}
	b.term, b.removed = term, false
	for e := range b.byName {
		b.unsaid[e] = struct{}{}
	}
}

func (b *book) arrangeHost(h Host, first bool, now time.Duration) (put []*target, drop []uint64) {
	wanted := b.scene.subjects(h)
	is := b.subjects[h]
	for i, w := range wanted {
		if j := slices.IndexFunc(is, w.same); j >= 0 && is[j].owner == w.owner {
			is[j].rests = w.rests
			wanted[i] = is[j]
		}
	}
	for _, s := range is {
		if slices.Contains(wanted, s) {
			continue
		}
		for _, t := range s.targets {
			drop = append(drop, t.id)
			delete(b.targets, t.id)
			delete(b.awaited, t.id)
			b.judge.Remove(t.id)
		}
		b.limit.leave(s, now)
		delete(b.byName, s.Endpoint)
		delete(b.unsaid, s.Endpoint)
	}
	delete(b.held, h)
	wanted = slices.DeleteFunc(wanted, func(s *subject) bool {
		if b.byName[s.Endpoint] == s || b.limit.enter(s, first, now) {
			return false
		}
		b.held[h] = struct{}{}
		return true
	})
	for _, s := range wanted {
		if b.byName[s.Endpoint] == s {
			continue
		}
		b.byName[s.Endpoint] = s
		for _, a := range s.addrs {
			b.last++
			t := &target{id: b.last, of: s, addr: a}
			s.targets = append(s.targets, t)
			b.targets[t.id] = t
			b.judge.Put(t.id, health.Target{Site: s.site, Owner: s.owner, Check: s.check, Stranger: !first || b.saidDown(s)})
			put = append(put, t)
		}
	}
	if b.subjects[h] = wanted; len(wanted) == 0 {
		delete(b.subjects, h)
	}
	return put, drop
}

// saidDown reports whether this site's checker has said before that it is down.
func (b *book) saidDown(s *subject) bool {
	v := b.votes[s.Endpoint]
	return v.Generation == s.generation && v.Verdict == model.Down
}

// retry looks again at those who had too many new addresses.
func (b *book) retry() {
	for h := range b.held {
		b.touched[h] = struct{}{}
	}
}

// see takes an attempt.
func (b *book) see(id uint64, a model.Attempt, now time.Duration) {
	t := b.targets[id]
	if t == nil || a.Reason == model.CheckerInDifficulty && t.of.check.Kind == model.CheckHeartbeat {
		return // gone, or no heartbeat is due yet: its round has not begun
	}
	b.tell(b.judge.See(id, a, now))
	if t.verdict == model.NoVerdict {
		t.reason = a.Reason
	}
	if !t.round && b.judge.Settled(id) {
		t.round = true
		delete(b.awaited, id)
		b.think(t.of)
	}
}

// tell takes what the judge says.
func (b *book) tell(changes []health.Change[uint64]) {
	for _, c := range changes {
		t := b.targets[c.Target]
		if t == nil {
			continue // it is just being removed
		}
		t.verdict, t.reason = c.Verdict, c.Reason
		b.think(t.of)
	}
}

// think forms an opinion of an endpoint anew.
func (b *book) think(s *subject) {
	found := make([]seen, len(s.targets))
	for i, t := range s.targets {
		found[i] = t.seen
	}
	if is := judge(s.addrs, found); is.formed && (is.verdict != s.verdict || !s.formed) {
		s.opinion = is
		b.turned(s)
		b.unsaid[s.Endpoint] = struct{}{}
	}
}
