package controlapi

import (
	"github.com/prometheus/client_golang/prometheus"

	"signpost/controlapi/call"
)

type serviceMetrics struct {
	leases *prometheus.CounterVec
}

func newServiceMetrics(reg prometheus.Registerer) (serviceMetrics, error) {
	m := serviceMetrics{
		leases: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_leases_ended_total", Help: "Hosts that were not refreshed in time, by what was done: host.disable (withdrawn) or host.delete (freed).",
		}, []string{"action"}),
	}
	return m, call.Register(reg, m.leases)
}
