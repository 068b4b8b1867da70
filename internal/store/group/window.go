package group

import (
	"hash/maphash"
)

// What one shared transaction may hold.
const (
	// maxOps is etcd's default --max-txn-ops: of the outer transaction, and of each
	// nested one together with the outer.
	maxOps     = 128
	maxMembers = 64
	// maxJoined is how many values are put as one.
	maxJoined = 256
	// enough is how many share the cost of a transaction well. More are worth less than
	// that all are made at once, which takes the operations of all.
	enough = 40
	// maxSize leaves room for the frame in etcd's 1.5 MiB.
	maxSize = 1 << 20
	// maxDeletes is below the least number of names whose loss in one revision makes a
	// replica's guard suspicious: changes that are each no reason for that must not be
	// one together.
	maxDeletes = 64
)

// footprint is what matters of a change to others: the hashes of the keys that it
// compares and writes. Two keys that hash alike only keep their changes apart.
type footprint struct {
	compared []uint64
	written  []uint64
	shared   []int // of Then: puts of shared keys
	ranges   []span
	alone    bool // it shares with nobody
	joins    int  // puts that join those of others
	ops      int
	size     int
	deletes  int
}

// span is [from, to) of keys.
type span struct{ from, to string }

func (s span) holds(key string) bool { return key >= s.from && key < s.to }

var seed = maphash.MakeSeed()

func (c *Change) footprint(shared func(key string) bool) footprint {
	f := footprint{
		ops: max(len(c.If), len(c.Then)), alone: c.Alone,
		compared: make([]uint64, 0, len(c.If)), written: make([]uint64, 0, len(c.Then)),
	}
	const frame = 48 // of what protobuf and etcd add to a key
	for i := range c.If {
		cmp := &c.If[i]
		f.size += len(cmp.Key) + len(cmp.End) + frame
		if cmp.End != "" {
			f.ranges = append(f.ranges, span{cmp.Key, cmp.End})
		} else {
			f.compared = append(f.compared, maphash.String(seed, cmp.Key))
		}
	}
	for i := range c.Then {
		w := &c.Then[i]
		f.size += len(w.Key) + len(w.Value) + frame
		switch {
		case w.Joins:
			f.joins++
		case !w.Delete && shared(w.Key):
			f.shared = append(f.shared, i)
		case w.Delete:
			f.deletes++
			fallthrough
		default:
			f.written = append(f.written, maphash.String(seed, w.Key))
		}
	}
	return f
}

// window is changes that are looked at together.
type window struct {
	members  []*pending
	compared map[uint64]bool
	written  map[uint64]bool
	shared   map[uint64]bool
	sharedBy map[string]int // how many members put a shared key
	ranges   bool           // a member compares a range
	alone    bool
	joins    int
	ops      int // of the largest member
	size     int
	deletes  int
}

func newWindow() *window {
	return &window{compared: map[uint64]bool{}, written: map[uint64]bool{}, shared: map[uint64]bool{}, sharedBy: map[string]int{}}
}

func (w *window) clear() {
	clear(w.compared)
	clear(w.written)
	clear(w.shared)
	clear(w.sharedBy)
	*w = window{compared: w.compared, written: w.written, shared: w.shared, sharedBy: w.sharedBy}
}

func (w *window) add(p *pending) {
	w.members = append(w.members, p)
	for _, k := range p.compared {
		w.compared[k] = true
	}
	for _, k := range p.written {
		w.written[k] = true
	}
	for _, i := range p.shared {
		key := p.Then[i].Key
		w.shared[maphash.String(seed, key)] = true
		w.sharedBy[key]++
	}
	w.ranges = w.ranges || len(p.ranges) > 0
	w.alone = w.alone || p.footprint.alone
	w.joins += p.joins
	w.ops = max(w.ops, p.ops)
	w.size += p.size
	w.deletes += p.deletes
}

// together is the shared keys that several members put, with the value that each gets.
func (w *window) together() map[string][]byte {
	var out map[string][]byte
	for _, p := range w.members {
		for _, i := range p.shared {
			put := &p.Then[i]
			if w.sharedBy[put.Key] < 2 {
				continue
			}
			if out == nil {
				out = map[string][]byte{}
			}
			out[put.Key] = put.Value
		}
	}
	return out
}

// full reports whether changes of the size of those in the window had better go without
// another.
func (w *window) full() bool {
	ops := max(len(w.compared), len(w.written)+len(w.shared)+min(w.joins, 1))
	return len(w.members) == maxMembers || len(w.members) >= enough && ops+w.ops > maxOps
}

// fits reports whether a change may share a transaction with all that are in the
// window: neither gets in the other's way, and all of it is within etcd's limits. An
// empty window takes any change.
func (w *window) fits(p *pending) bool {
	if len(w.members) == 0 {
		return true
	}
	n, more := len(w.members)+1, 0
	for _, i := range p.shared {
		if w.sharedBy[p.Then[i].Key] == 0 {
			more++
		}
	}
	return n <= maxMembers && n+len(w.sharedBy)+more+max(w.ops, p.ops) <= maxOps &&
		w.size+p.size <= maxSize && w.deletes+p.deletes <= maxDeletes && w.joins+p.joins <= maxJoined && w.apart(p)
}

// apart reports whether a change and those in the window can be made in one
// transaction or in any order, with the same outcome. etcd evaluates all compares of a
// transaction, the nested ones too, before any of its writes, and refuses to write a
// key twice.
//
//	one               the other                 apart
//	compares k        compares k                yes
//	compares k        writes k, also shared     no: it would be compared as it was before
//	compares a range  writes a key in it        no, likewise; also when it deletes
//	writes k          writes k                  no
//	writes k          puts k as shared          no
//	puts k as shared  puts k as shared          yes: it is put once, with the value of either
func (w *window) apart(p *pending) bool {
	if w.alone || p.footprint.alone {
		return len(w.members) == 0
	}
	for _, k := range p.compared {
		if w.written[k] || w.shared[k] {
			return false
		}
	}
	for _, k := range p.written {
		if w.compared[k] || w.written[k] || w.shared[k] {
			return false
		}
	}
	for _, i := range p.shared {
		if k := maphash.String(seed, p.Then[i].Key); w.compared[k] || w.written[k] {
			return false
		}
	}
	if !w.ranges && len(p.ranges) == 0 {
		return true
	}
	for _, m := range w.members {
		if m.looksInto(p) || p.looksInto(m) {
			return false
		}
	}
	return true
}

// looksInto reports whether p compares a range in which o writes.
func (p *pending) looksInto(o *pending) bool {
	for _, r := range p.ranges {
		for i := range o.Then {
			if r.holds(o.Then[i].Key) {
				return true
			}
		}
	}
	return false
}
