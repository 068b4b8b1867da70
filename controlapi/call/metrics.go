package call

import (
	"errors"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"signpost/internal/model"
)

type metrics struct {
	calls   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	barred  *prometheus.CounterVec
	guesses *prometheus.CounterVec
	paced   prometheus.Counter
	summed  prometheus.Counter

	pacedReads prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (metrics, error) {
	m := metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_api_calls_total", Help: "Calls of the API by method and outcome.",
		}, []string{"method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "signpost_api_call_seconds", Help: "How long calls of the API took, waiting for visibility included.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method"}),
		barred: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_api_barred_total", Help: "Calls that the configuration's lists of who is blocked refused, by list: address, agent, host or principal.",
		}, []string{"by"}),
		guesses: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_wrong_credentials_total", Help: "Calls with a wrong credential, by what became of them: wrong, too_many, locked.",
		}, []string{"outcome"}),
		paced: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "signpost_paced_changes_total", Help: "Changes, and calls that were to make some, that were refused because their principal makes too many.",
		}),
		pacedReads: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "signpost_paced_reads_total", Help: "Calls that change nothing and were refused because their principal, or network, makes too many.",
		}),
		summed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "signpost_refusals_summed_total", Help: "Refused calls that have no line of their own in the log and the audit file, because there were too many.",
		}),
	}
	return m, Register(reg, m.calls, m.seconds,
		m.guesses, m.paced, m.summed, m.pacedReads, m.barred)
}

// Register registers metrics; reg may be nil: nowhere.
func Register(reg prometheus.Registerer, all ...prometheus.Collector) error {
	if reg == nil {
		return nil
	}
	var problems []error
	for _, m := range all {
		problems = append(problems, reg.Register(m))
	}
	if err := errors.Join(problems...); err != nil {
		return model.E(model.Internal, "start control service", "").From(err)
	}
	return nil
}

func (m metrics) observe(method string, err error, took time.Duration) {
	code := "ok"
	if err != nil {
		code = KindLabel(err)
	}
	m.calls.WithLabelValues(method, code).Inc()
	m.seconds.WithLabelValues(method).Observe(took.Seconds())
}

// KindLabel is an error's kind as metrics show it.
func KindLabel(err error) string { return strings.ReplaceAll(model.KindOf(err).String(), " ", "_") }
