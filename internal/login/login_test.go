package login

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	ours "signpost/internal/access/oidc"
	"signpost/internal/access/oidc/oidctest"
)

func TestWhatIsSaidOfACodeHasBounds(t *testing.T) {
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		ends     time.Duration // after now; 0: it is not said
		interval int64
		want     time.Duration
		every    int64
	}{
		{0, 0, 10 * time.Minute, 5},
		{time.Minute, 1, time.Minute, 1},
		{time.Hour, 3600, time.Hour, 3600},
		{1000 * time.Hour, 1 << 40, time.Hour, 5},
		{time.Minute, -1, time.Minute, 5}, // of which no ticker can be made
		{-time.Minute, 5, -time.Minute, 5},
	} {
		da := &oauth2.DeviceAuthResponse{Interval: c.interval}
		if c.ends != 0 {
			da.Expiry = now.Add(c.ends)
		}
		if bounded(da, now); !da.Expiry.Equal(now.Add(c.want)) || da.Interval != c.every {
			t.Errorf("%+v: until %s every %d s", c, da.Expiry, da.Interval)
		}
	}
}

// Issuers that leave out when a code ends, or say what cannot be, are no reason to wait for ever.
func TestACodeEnds(t *testing.T) {
	p := oidctest.New(t)
	i := Issuer{Name: "egi", URL: p.URL, ClientID: oidctest.PublicClient, Scopes: []string{"openid"}}
	client := ours.Client(nil)
	var until time.Time
	began := time.Now()
	log := func(said map[string]any, enter bool) (*oauth2.Token, error) {
		p.SayOfCodes(said)
		return Device(t.Context(), client, i, func(_, code, _ string, end time.Time) {
			if until = end; enter {
				p.Decide(code, true)
			}
		})
	}
	if token, err := log(map[string]any{"expires_in": nil}, true); err != nil || token.AccessToken == "" ||
		until.Before(began.Add(10*time.Minute)) || until.After(time.Now().Add(10*time.Minute)) {
		t.Errorf("without an end: until %s, %v", until, err)
	}
	for _, ends := range []int{1, -1} {
		if _, err := log(map[string]any{"expires_in": ends}, false); err == nil || !strings.Contains(err.Error(), "nobody entered the code in time") {
			t.Errorf("in %d s: %v", ends, err)
		}
	}
}
