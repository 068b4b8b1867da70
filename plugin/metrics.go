package signpost

import (
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/prometheus/client_golang/prometheus"

	"signpost/internal/zone"
)

var answersTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: plugin.Namespace, Subsystem: pluginName, Name: "answers_total",
	Help: "Answers given, by zone and response code. Before there is a state the zone is the directive's.",
}, []string{"server", "cluster", "zone", "rcode"})

var batchPackets = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: plugin.Namespace, Subsystem: pluginName, Name: "batch_packets_total",
	Help: "Packets that were read in batches: answered at once, or left to the chain of plugins.",
}, []string{"server", "to"})

var batchesTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: plugin.Namespace, Subsystem: pluginName, Name: "batches_total",
	Help: "Batches of packets that were read.",
}, []string{"server"})

func init() { prometheus.MustRegister(answersTotal, batchPackets, batchesTotal, gauges{}) }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(plugin.Namespace, pluginName, name), help, append([]string{"server", "cluster"}, labels...), nil)
}

var (
	revisionDesc    = desc("revision", "The etcd revision that is answered from.")
	viewAgeDesc     = desc("view_age_seconds", "Time since the view was last known to be etcd's state.")
	namesDesc       = desc("names", "Names in the view, in all zones.")
	chosenDesc      = desc("chosen_hosts", "Hosts whose addresses are chosen among endpoints.")
	failOpenDesc    = desc("fail_open_hosts", "Of these, hosts that are answered with all that no operator took away, because too few are up.")
	badValuesDesc   = desc("bad_values", "Values in etcd that cannot be read; their last good ones are answered, or SERVFAIL.")
	guardedDesc     = desc("guarded_zones", "Zones that are kept as they were, because etcd would take away most of them.")
	guardedZoneDesc = desc("guarded_zone_names", "Names that are served of a zone that is kept as it was.", "zone")
	snapshotAgeDesc = desc("snapshot_age_seconds", "Time since the state in the snapshot file was last known to be etcd's.")
	errorsDesc      = desc("follow_errors_total", "Troubles in following etcd and in keeping the snapshot.", "what")
	expiryDesc      = desc("certificate_expiry_timestamp_seconds", "When the certificate that is shown to etcd ends.")
	readyDesc       = desc("ready", "1 when questions are answered, 0 when there is no state or it is older than max_stale.")
)

// gauges reads the replicas when it is asked, so that nothing has to be kept up to
// date in between.
type gauges struct{}

// Describe implements prometheus.Collector.
func (gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{revisionDesc, viewAgeDesc, namesDesc, chosenDesc, failOpenDesc, badValuesDesc, guardedDesc, guardedZoneDesc, snapshotAgeDesc, errorsDesc, expiryDesc, readyDesc} {
		out <- d
	}
}

// source is whose series they are: directives that share a server and give their etcds
// no names, or the same one, share them.
type source struct{ server, cluster string }

// Collect implements prometheus.Collector. Series that are shared are of the reader
// that is worst off.
func (gauges) Collect(out chan<- prometheus.Metric) {
	worst, ends := map[source]status{}, map[source]time.Time{}
	shared.each(func(rd *reader) {
		st := rd.status()
		for _, server := range rd.servers {
			of := source{server, rd.cluster}
			if was, ok := worst[of]; !ok || st.worse(was) {
				worst[of] = st
			}
			if at, ok := ends[of]; !st.expires.IsZero() && (!ok || st.expires.Before(at)) {
				ends[of] = st.expires
			}
		}
	})
	for of, st := range worst {
		st.collect(out, of)
	}
	for of, at := range ends {
		out <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, float64(at.UnixNano())/float64(time.Second), of.server, of.cluster)
	}
}

type status struct {
	view                   *zone.View
	ready                  bool
	confirmed, snapshotted time.Time
	troubles               map[string]uint64
	expires                time.Time // of the certificate; zero: there is none
}

func (rd *reader) status() status {
	r := rd.replica
	var expires time.Time
	if r.settings.tls != nil && r.settings.tls.Cert != nil {
		expires = r.settings.tls.Cert.Expires() // which looks at the files: not under the lock
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	st := status{view: r.view, ready: rd.view.Load() != nil, confirmed: r.confirmed, snapshotted: r.disk.at, troubles: map[string]uint64{}, expires: expires}
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

func (st status) collect(out chan<- prometheus.Metric, of source) {
	gauge := func(d *prometheus.Desc, v float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, of.server, of.cluster)
	}
	ready := 0.0
	if st.ready {
		ready = 1
	}
	gauge(readyDesc, ready)
	for what, n := range st.troubles {
		out <- prometheus.MustNewConstMetric(errorsDesc, prometheus.CounterValue, float64(n), of.server, of.cluster, what)
	}
	if !st.snapshotted.IsZero() {
		gauge(snapshotAgeDesc, time.Since(st.snapshotted).Seconds())
	}
	if st.view == nil {
		return
	}
	gauge(revisionDesc, float64(st.view.Revision()))
	gauge(namesDesc, float64(st.view.Names()))
	gauge(chosenDesc, float64(st.view.Chosen()))
	gauge(failOpenDesc, float64(st.view.FailOpen()))
	gauge(badValuesDesc, float64(st.view.BadValues()))
	gauge(viewAgeDesc, time.Since(st.confirmed).Seconds())
	gauge(guardedDesc, float64(len(st.view.Held())))
	for _, h := range st.view.Held() {
		out <- prometheus.MustNewConstMetric(guardedZoneDesc, prometheus.GaugeValue, float64(h.Names), of.server, of.cluster, h.Zone.String())
	}
}
