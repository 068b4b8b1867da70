package model

import (
	"testing"
	"time"
)

func TestWhenACertificateIsToBeRenewed(t *testing.T) {
	begin := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	day := func(n float64) time.Time { return begin.Add(time.Duration(n * 24 * float64(time.Hour))) }
	for _, tt := range []struct {
		says     string
		from, to time.Time
		want     func(time.Time) bool
	}{
		{"nothing is said", time.Time{}, time.Time{}, day(60).Equal},
		{"later", day(70), day(80), day(60).Equal},
		{"earlier", day(10), day(12), func(at time.Time) bool { return at.After(day(10)) && at.Before(day(12)) }},
		{"before it was issued", day(-2), day(-1), func(at time.Time) bool { return at.Before(begin) }},
	} {
		c := Certificate{Serial: "1f", NotBefore: begin, NotAfter: day(90), RenewFrom: tt.from, RenewTo: tt.to}
		at := c.RenewTime()
		if !tt.want(at) {
			t.Errorf("%s: at %v", tt.says, at)
		}
		if !c.Fresh(at) || c.Fresh(at.Add(1)) {
			t.Errorf("%s: it is not fresh until then", tt.says)
		}
		if !c.Lasts(day(60)) || c.Lasts(day(60.1)) {
			t.Errorf("%s: what the authority says changes how long it lasts", tt.says)
		}
	}
	// Certificates are spread over what is said, each in its own place.
	seen := map[time.Time]bool{}
	for _, serial := range []string{"a", "b", "c"} {
		c := Certificate{Serial: serial, NotBefore: begin, NotAfter: day(90), RenewFrom: day(10), RenewTo: day(12)}
		if at := c.RenewTime(); seen[at] || !at.Equal(c.RenewTime()) {
			t.Errorf("%s: at %v", serial, at)
		}
		seen[c.RenewTime()] = true
	}
}
