package monitor

import (
	"github.com/prometheus/client_golang/prometheus"

	"signpost/internal/model"
)

// metrics is what a monitor shows of itself.
type metrics struct {
	attempts *prometheus.CounterVec
	took     *prometheus.HistogramVec
	verdicts *prometheus.CounterVec
	votes    *prometheus.CounterVec
	failed   prometheus.Counter
	troubles *prometheus.CounterVec
}

func newMetrics(m *Monitor, reg prometheus.Registerer) *metrics {
	x := &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_monitor_attempts_total", Help: "Attempts to reach targets, by kind of check and how they ended.",
		}, []string{"kind", "reason"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "signpost_monitor_attempt_seconds", Help: "How long attempts took.",
			Buckets: []float64{0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10},
		}, []string{"kind"}),
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_monitor_verdicts_total", Help: "Changes of mind about an endpoint, by what it is taken for since.",
		}, []string{"verdict"}),
		votes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_monitor_votes_written_total", Help: "Votes written to etcd.",
		}, []string{"verdict"}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "signpost_monitor_votes_failed_total", Help: "Attempts to write votes that failed, and are made again.",
		}),
		troubles: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_monitor_follow_troubles_total", Help: "Troubles in following etcd.",
		}, []string{"what"}),
	}
	reg.MustRegister(x.attempts, x.took, x.verdicts, x.votes, x.failed, x.troubles)
	for _, k := range model.CheckKinds() { // those that a rate is asked of are there from the begin
		x.attempts.WithLabelValues(k.String(), model.Fine.String())
		x.took.WithLabelValues(k.String())
	}
	for v := model.NoVerdict; v.Known(); v++ {
		x.verdicts.WithLabelValues(v.String())
		x.votes.WithLabelValues(v.String())
	}
	gauge := func(name, help string, read func(b *book) float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			m.mu.Lock()
			defer m.mu.Unlock()
			return read(m.book)
		}))
	}
	gauge("signpost_monitor_targets", "Addresses that are tried, and heartbeats that are awaited.", func(b *book) float64 { return float64(len(b.targets)) })
	gauge("signpost_monitor_targets_awaited", "Targets whose full first round is awaited before the registration.", func(b *book) float64 { return float64(len(b.awaited)) })
	gauge("signpost_monitor_hosts_held", "Hosts of which something is not tried, since they had too many new addresses in an hour.", func(b *book) float64 { return float64(len(b.held)) })
	gauge("signpost_monitor_votes_unwritten", "Endpoints of which etcd may not have what is thought.", func(b *book) float64 { return float64(len(b.unsaid)) })
	gauge("signpost_monitor_votes_withheld", "Bad verdicts that are not told because of self-doubt.", func(b *book) float64 { return float64(b.judge.Withheld()) })
	gauge("signpost_monitor_doubt", "Self-doubt: 0 none, 1 of heartbeats, 2 of everything.", func(b *book) float64 { return float64(b.judge.Doubt()) })
	gauge("signpost_monitor_registered", "1 when the checker of this site is registered.", func(b *book) float64 { return number(b.checker != nil) })
	gauge("signpost_monitor_standby", "1 while another monitor checks for this site.", func(b *book) float64 { return number(!b.active) })
	gauge("signpost_monitor_frozen", "1 while the freeze switch is on, and nothing is written.", func(b *book) float64 { return number(b.frozen) })
	return x
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func (x *metrics) attempt(k model.CheckKind, a model.Attempt) {
	x.attempts.WithLabelValues(k.String(), a.Reason.String()).Inc()
	x.took.WithLabelValues(k.String()).Observe(a.Took.Seconds())
}
