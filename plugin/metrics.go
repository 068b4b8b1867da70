package signpost

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/rcode"
	"github.com/prometheus/client_golang/prometheus"

	"signpost/internal/model"
	"signpost/internal/zone"
)

var answersTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: plugin.Namespace, Subsystem: pluginName, Name: "answers_total",
	Help: "Answers given, by zone and response code. Before there is a state the zone is the directive's.",
}, []string{"server", "zone", "rcode"})

func init() { prometheus.MustRegister(answersTotal, gauges{}) }

// counts is the counters of a directive's answers, found without a lock: the map
// is never changed, only replaced when zones come or go. There are series of zones
// that exist and of the directive's own only.
type counts struct {
	mu     sync.Mutex
	tables atomic.Pointer[map[countKey]*table]
}

type countKey struct {
	server string
	zone   model.Name
}

// table is the counters of one server and zone by rcode, each made when it is
// first needed.
type table [16]atomic.Pointer[prometheus.Counter]

func (c *counts) add(server string, zone model.Name, code int) {
	var t *table
	if m := c.tables.Load(); m != nil {
		t = (*m)[countKey{server, zone}]
	}
	if t == nil || code >= len(t) {
		return // a server or zone that has just gone
	}
	counter := t[code].Load()
	if counter == nil {
		made := answersTotal.WithLabelValues(server, zone.String(), rcode.ToString(code))
		counter = &made
		t[code].Store(counter)
	}
	(*counter).Inc()
}

// countZones makes the tables those of the view's zones and drops the series of
// zones that are gone.
func (s *Signpost) countZones(v *zone.View) {
	names := map[model.Name]bool{}
	for _, z := range s.zones {
		names[z] = true
	}
	if v != nil {
		for z := range v.Zones() {
			if s.serves(z) {
				names[z.Name()] = true
			}
		}
	}
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	next := make(map[countKey]*table, len(names)*len(s.reader.servers))
	var old map[countKey]*table
	if m := s.counts.tables.Load(); m != nil {
		old = *m
	}
	for _, server := range s.reader.servers {
		for z := range names {
			k := countKey{server, z}
			if next[k] = old[k]; next[k] == nil {
				next[k] = new(table)
			}
		}
	}
	s.counts.tables.Store(&next)
	for k := range old {
		if next[k] == nil {
			answersTotal.DeletePartialMatch(prometheus.Labels{"server": k.server, "zone": k.zone.String()})
		}
	}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(plugin.Namespace, pluginName, name), help, append([]string{"server"}, labels...), nil)
}

var (
	revisionDesc    = desc("revision", "The etcd revision that is answered from.")
	viewAgeDesc     = desc("view_age_seconds", "Time since the view was last known to be etcd's state.")
	namesDesc       = desc("names", "Names in the view, in all zones.")
	badValuesDesc   = desc("bad_values", "Values in etcd that cannot be read; their last good ones are answered, or SERVFAIL.")
	guardedDesc     = desc("guarded_zones", "Zones that are kept as they were, because etcd would take away most of them.")
	guardedZoneDesc = desc("guarded_zone_names", "Names that are served of a zone that is kept as it was.", "zone")
	snapshotAgeDesc = desc("snapshot_age_seconds", "Time since the state in the snapshot file was last known to be etcd's.")
	errorsDesc      = desc("follow_errors_total", "Troubles in following etcd and in keeping the snapshot.", "what")
	readyDesc       = desc("ready", "1 when questions are answered, 0 when there is no state or it is older than max_stale.")
)

// gauges reads the replicas when it is asked, so that nothing has to be kept up to
// date in between.
type gauges struct{}

// Describe implements prometheus.Collector.
func (gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{revisionDesc, viewAgeDesc, namesDesc, badValuesDesc, guardedDesc, guardedZoneDesc, snapshotAgeDesc, errorsDesc, readyDesc} {
		out <- d
	}
}

// Collect implements prometheus.Collector. Directives that share a server share
// its series: they are of the reader that is worst off.
func (gauges) Collect(out chan<- prometheus.Metric) {
	worst := map[string]status{}
	shared.each(func(rd *reader) {
		st := rd.status()
		for _, server := range rd.servers {
			if was, ok := worst[server]; !ok || st.worse(was) {
				worst[server] = st
			}
		}
	})
	for server, st := range worst {
		st.collect(out, server)
	}
}

type status struct {
	view                   *zone.View
	ready                  bool
	confirmed, snapshotted time.Time
	troubles               map[string]uint64
}

func (rd *reader) status() status {
	r := rd.replica
	r.mu.Lock()
	defer r.mu.Unlock()
	st := status{view: r.view, ready: rd.view.Load() != nil, confirmed: r.confirmed, snapshotted: r.disk.at, troubles: map[string]uint64{}}
	for what, n := range r.troubles {
		st.troubles[what] = n
	}
	return st
}

func (st status) worse(than status) bool {
	if st.ready != than.ready {
		return than.ready
	}
	return st.confirmed.Before(than.confirmed)
}

func (st status) collect(out chan<- prometheus.Metric, server string) {
	gauge := func(d *prometheus.Desc, v float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, server)
	}
	ready := 0.0
	if st.ready {
		ready = 1
	}
	gauge(readyDesc, ready)
	for what, n := range st.troubles {
		out <- prometheus.MustNewConstMetric(errorsDesc, prometheus.CounterValue, float64(n), server, what)
	}
	if !st.snapshotted.IsZero() {
		gauge(snapshotAgeDesc, time.Since(st.snapshotted).Seconds())
	}
	if st.view == nil {
		return
	}
	gauge(revisionDesc, float64(st.view.Revision()))
	gauge(namesDesc, float64(st.view.Names()))
	gauge(badValuesDesc, float64(st.view.BadValues()))
	gauge(viewAgeDesc, time.Since(st.confirmed).Seconds())
	gauge(guardedDesc, float64(len(st.view.Held())))
	for _, h := range st.view.Held() {
		out <- prometheus.MustNewConstMetric(guardedZoneDesc, prometheus.GaugeValue, float64(h.Names), server, h.Zone.String())
	}
}
