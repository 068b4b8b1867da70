package model

import (
	"testing"
	"time"
)

func TestPatternsOfNames(t *testing.T) {
	for _, c := range []struct {
		pattern, name   string
		matches, covers bool
	}{
		{"www.example.org", "www.example.org", true, true},
		{"WWW.example.org.", "www.example.org", true, true},
		{"w*.example.org", "www.example.org", true, true},
		{"*.example.org", "www.example.org", true, true},
		{"*.example.org", "example.org", false, false},
		{"*.example.org", "a.b.example.org", false, true},
		{"*.*.example.org", "a.b.example.org", true, true},
		{"w*w.example.org", "w.example.org", false, false},
		{"*", "org", true, true},
		{"ww.example.org", "www.example.org", false, false},
	} {
		p, err := ParseNamePattern("host", c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		n, err := ParseName(c.name)
		if err != nil {
			t.Fatal(err)
		}
		if p.Matches(n) != c.matches || p.Covers(n) != c.covers {
			t.Errorf("%s %s: matches %v, covers %v", c.pattern, c.name, p.Matches(n), p.Covers(n))
		}
	}
	for _, bad := range []string{"", ".", "a..b", "a b", "ä.example.org", "a/b"} {
		if _, err := ParseNamePattern("host", bad); KindOf(err) != Invalid || err == nil {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestStatesOfAToken(t *testing.T) {
	made := time.Unix(1_800_000_000, 0)
	day := 24 * time.Hour
	for _, c := range []struct {
		revoked   bool
		used, now time.Duration // after it was made
		want      TokenState
	}{
		{false, -day, 0, TokenActive},
		{false, -day, 90 * day, TokenActive},
		{false, -day, 90*day + 1, TokenUnused},
		{false, 20 * day, 109 * day, TokenActive},
		{false, 300 * day, 365*day - 1, TokenActive},
		{false, 300 * day, 365 * day, TokenExpired},
		{true, 0, 0, TokenRevoked},
		{true, 0, 400 * day, TokenRevoked},
	} {
		token := Token{CreateTime: made, ExpireTime: made.Add(365 * day)}
		if c.revoked {
			token.RevokeTime = made
		}
		if got := token.State(made.Add(c.used), made.Add(c.now)); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
