package webhook

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics is what is counted of all hooks of a process.
type Metrics struct {
	deliveries *prometheus.CounterVec
	retries    *prometheus.CounterVec
	waiting    *prometheus.GaugeVec
	duty       *prometheus.GaugeVec
}

// counts is those of one hook.
type counts struct {
	sent, failed, dropped, retried prometheus.Counter
	waiting                        prometheus.Gauge
}

// NewMetrics registers them.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_webhook_messages_total", Help: "Messages to receivers: sent; failed: given up; dropped: too many waited.",
		}, []string{"hook", "outcome"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_webhook_retries_total", Help: "Attempts that a receiver did not take and that were to be made again.",
		}, []string{"hook"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "signpost_webhook_queue", Help: "Messages that wait for a receiver or are on their way, at most 1,000 and a few.",
		}, []string{"hook"}),
		duty: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "signpost_webhook_duty", Help: "1 at the control service that tells the receiver; another one takes over when it is gone.",
		}, []string{"hook"}),
	}
	return m, errors.Join(reg.Register(m.deliveries), reg.Register(m.retries), reg.Register(m.waiting), reg.Register(m.duty))
}

func (m *Metrics) of(hook string) counts {
	return counts{
		sent: m.deliveries.WithLabelValues(hook, "sent"), failed: m.deliveries.WithLabelValues(hook, "failed"),
		dropped: m.deliveries.WithLabelValues(hook, "dropped"), retried: m.retries.WithLabelValues(hook), waiting: m.waiting.WithLabelValues(hook),
	}
}

// show has the metrics of a hook be there from the start.
func (m *Metrics) show(hook string) {
	m.of(hook)
	m.duty.WithLabelValues(hook).Set(0)
}
