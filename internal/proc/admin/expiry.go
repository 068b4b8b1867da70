package admin

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"signpost/internal/certs"
)

// WatchExpiry shows when certificates end, by what they are for. Who asks for the metric
// also makes the files be looked at.
func WatchExpiry(reg prometheus.Registerer, pairs map[string]*certs.Pair) {
	for use, pair := range pairs {
		if pair == nil {
			continue
		}
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "signpost_certificate_expiry_timestamp_seconds", Help: "When the certificate in use ends.", ConstLabels: prometheus.Labels{"use": use},
		}, func() float64 { return float64(pair.Expires().UnixNano()) / float64(time.Second) }))
	}
}
