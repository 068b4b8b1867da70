package signpost

import (
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/coredns/coredns/plugin/pkg/rcode"
	"github.com/prometheus/client_golang/prometheus"

	"signpost/internal/model"
	"signpost/internal/zone"
)

// counts is the counters of a directive's answers, found without a lock: a map is never
// changed, only replaced by one with a zone more, when the zone is first answered from,
// or less, when it is gone. There are series of zones that exist and of the directive's
// own only. There are many maps, so that to replace one stays cheap among many zones.
type counts struct {
	cluster string                     // as reader has it
	has     func(countKey) bool        // whether there is such a server and zone now; nil: nothing is counted
	mu      sync.Mutex                 // to replace a map
	shards  [64]atomic.Pointer[tables] // by the zone
}

type tables map[countKey]*table

type countKey struct {
	server string
	zone   model.Name
}

// table is the counters of one server and zone by rcode, each made when it is
// first needed.
type table [16]atomic.Pointer[prometheus.Counter]

var countSeed = maphash.MakeSeed()

func (c *counts) shard(zone model.Name) *atomic.Pointer[tables] {
	return &c.shards[maphash.String(countSeed, string(zone))%uint64(len(c.shards))]
}

func (c *counts) add(server string, zone model.Name, code int) { c.addMany(server, zone, code, 1) }

func (c *counts) addMany(server string, zone model.Name, code int, n float64) {
	k := countKey{server, zone}
	var t *table
	if m := c.shard(zone).Load(); m != nil {
		t = (*m)[k]
	}
	if t == nil {
		t = c.made(k)
	}
	if t == nil || code >= len(t) {
		return // a server or zone that has just gone
	}
	counter := t[code].Load()
	if counter == nil {
		made := answersTotal.WithLabelValues(server, c.cluster, zone.String(), rcode.ToString(code))
		counter = &made
		t[code].Store(counter)
	}
	(*counter).Add(n)
}

// made is the table of a zone that was not answered from until now, nil when it is gone.
func (c *counts) made(k countKey) *table {
	if c.has == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.shard(k.zone)
	next := tables{}
	if old := at.Load(); old != nil {
		if t := (*old)[k]; t != nil {
			return t
		}
		next = maps.Clone(*old)
	}
	if !c.has(k) {
		return nil
	}
	t := new(table)
	next[k] = t
	at.Store(&next)
	return t
}

// leave drops the series of what is gone.
func (c *counts) leave(gone func(countKey) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.shards {
		old := c.shards[i].Load()
		if old == nil {
			continue
		}
		var left []countKey
		for k := range *old {
			if gone(k) {
				left = append(left, k)
			}
		}
		if len(left) == 0 {
			continue
		}
		next := maps.Clone(*old)
		for _, k := range left {
			delete(next, k)
		}
		c.shards[i].Store(&next)
		for _, k := range left {
			answersTotal.DeletePartialMatch(prometheus.Labels{"server": k.server, "cluster": c.cluster, "zone": k.zone.String()})
		}
	}
}

// counted reports whether there may be series of a server and zone: the directive's own
// zones, and those that it serves from v, which may be nil.
func (s *Signpost) counted(k countKey, v *zone.View) bool {
	if !slices.Contains(s.reader.servers, k.server) {
		return false
	}
	if slices.Contains(s.zones, k.zone) {
		return true
	}
	if v == nil {
		return false
	}
	z := v.Zone(k.zone)
	return z != nil && s.serves(z)
}

// leaveZones drops the series of zones that v has no more.
func (s *Signpost) leaveZones(v *zone.View) {
	s.counts.leave(func(k countKey) bool { return !s.counted(k, v) })
}
