package oidc_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"signpost/internal/access/oidc"
	"signpost/internal/access/oidc/oidctest"
)

func TestIssuersAreCounted(t *testing.T) {
	up, down := oidctest.New(t), oidctest.New(t)
	down.Down(true)
	reg := prometheus.NewRegistry()
	v, err := oidc.New(oidc.Config{Metrics: reg, Issuers: []oidc.Issuer{
		{Name: "up", URL: up.URL, AuthorizedParties: []string{oidctest.PublicClient}},
		{Name: "down", URL: down.URL, AuthorizedParties: []string{oidctest.PublicClient}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	right := up.Token(nil)
	for _, token := range []string{
		right, right, // the second is known
		up.Token(map[string]any{"azp": "other"}), up.Token(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}),
		up.Token(map[string]any{"iss": "https://aai.example.org"}), "a.b.c", down.Token(nil),
	} {
		_, _ = v.Verify(t.Context(), token)
	}
	got := map[string]float64{}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			l := m.GetLabel()
			got[fmt.Sprint(f.GetName(), " ", l[0].GetValue(), " ", l[1].GetValue())] = m.GetCounter().GetValue()
		}
	}
	for what, want := range map[string]float64{
		"signpost_issuer_tokens_total up ok": 1, "signpost_issuer_tokens_total up wrong": 1, "signpost_issuer_tokens_total up expired": 1,
		"signpost_issuer_tokens_total up unavailable": 0, "signpost_issuer_tokens_total none wrong": 2, "signpost_issuer_tokens_total down unavailable": 1,
		"signpost_issuer_key_fetches_total up ok": 1, "signpost_issuer_key_fetches_total up unavailable": 0,
		"signpost_issuer_key_fetches_total down ok": 0, "signpost_issuer_key_fetches_total down unavailable": 1,
	} {
		if n, there := got[what]; n != want || !there {
			t.Errorf("%s: %g, want %g", what, n, want)
		}
	}
}
