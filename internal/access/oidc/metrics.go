package oidc

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"signpost/internal/access"
	"signpost/internal/model"
)

// noIssuer is the label of tokens of no issuer of ours, which no issuer can have as its
// name.
const noIssuer = "none"

type metrics struct{ fetches, tokens *prometheus.CounterVec }

// What came of reading keys, and of looking at a token.
const (
	fine        = "ok"
	unavailable = "unavailable"
	refused     = "wrong"
	expired     = "expired"
)

func newMetrics(reg prometheus.Registerer, issuers []Issuer) (metrics, error) {
	m := metrics{
		fetches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_issuer_key_fetches_total", Help: "How often an issuer's keys were read, by outcome: ok, unavailable.",
		}, []string{"issuer", "outcome"}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_issuer_tokens_total", Help: "Tokens that were looked at, not counting those known from a moment ago, by outcome: ok, wrong, expired, unavailable.",
		}, []string{"issuer", "outcome"}),
	}
	for _, i := range issuers { // so that a rate sees the first one
		m.fetches.WithLabelValues(i.Name, fine)
		m.fetches.WithLabelValues(i.Name, unavailable)
		for _, outcome := range []string{fine, refused, expired, unavailable} {
			m.tokens.WithLabelValues(i.Name, outcome)
		}
	}
	if reg == nil {
		return m, nil
	}
	return m, errors.Join(reg.Register(m.fetches), reg.Register(m.tokens))
}

func (m metrics) fetch(issuer string, err error) {
	outcome := fine
	if err != nil {
		outcome = unavailable
	}
	m.fetches.WithLabelValues(issuer, outcome).Inc()
}

// token counts a token of an issuer; nil is none of ours.
func (m metrics) token(of *issuer, err error) {
	name, outcome := noIssuer, fine
	if of != nil {
		name = of.Name
	}
	switch {
	case access.HasEnded(err):
		outcome = expired
	case err != nil && model.KindOf(err) == model.Unauthenticated:
		outcome = refused
	case err != nil:
		outcome = unavailable
	}
	m.tokens.WithLabelValues(name, outcome).Inc()
}
