package controlapi

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
	streams prometheus.Gauge
	cut     prometheus.Counter
	leases  *prometheus.CounterVec
	barred  *prometheus.CounterVec
	orders  *prometheus.CounterVec
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
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "signpost_watch_streams", Help: "Streams of changes that are open.",
		}),
		cut: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "signpost_watch_cut_total", Help: "Streams of changes that were ended because they were read too slowly.",
		}),
		barred: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_api_barred_total", Help: "Calls that the configuration's lists of who is blocked refused, by list: address, agent, host or principal.",
		}, []string{"by"}),
		leases: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_leases_ended_total", Help: "Hosts that were not refreshed in time, by what was done: host.disable (withdrawn) or host.delete (freed).",
		}, []string{"action"}),
		orders: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_certificate_orders_total", Help: "Orders of certificates that were begun here, by what became of them: issued, kept (there was one by then), or the kind of error.",
		}, []string{"outcome"}),
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
	m.orders.WithLabelValues("issued") // so that it is there before the first
	if reg == nil {
		return m, nil
	}
	return m, errors.Join(reg.Register(m.calls), reg.Register(m.seconds), reg.Register(m.streams), reg.Register(m.cut),
		reg.Register(m.guesses), reg.Register(m.paced), reg.Register(m.summed), reg.Register(m.pacedReads), reg.Register(m.leases), reg.Register(m.barred), reg.Register(m.orders))
}

func (m metrics) observe(method string, err error, took time.Duration) {
	code := "ok"
	if err != nil {
		code = kindLabel(err)
	}
	m.calls.WithLabelValues(method, code).Inc()
	m.seconds.WithLabelValues(method).Observe(took.Seconds())
}

// kindLabel is an error's kind as metrics show it.
func kindLabel(err error) string { return strings.ReplaceAll(model.KindOf(err).String(), " ", "_") }
