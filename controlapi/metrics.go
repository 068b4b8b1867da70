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
	}
	if reg == nil {
		return m, nil
	}
	return m, errors.Join(reg.Register(m.calls), reg.Register(m.seconds), reg.Register(m.streams), reg.Register(m.cut))
}

func (m metrics) observe(method string, err error, took time.Duration) {
	code := "ok"
	if err != nil {
		code = strings.ReplaceAll(model.KindOf(err).String(), " ", "_")
	}
	m.calls.WithLabelValues(method, code).Inc()
	m.seconds.WithLabelValues(method).Observe(took.Seconds())
}
