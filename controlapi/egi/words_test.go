package egi

import (
	"net/http"
	"testing"
	"time"

	"signpost/internal/model"
)

func TestEveryKindHasAVerdict(t *testing.T) {
	for _, k := range model.Kinds() {
		v, ok := verdicts[k]
		switch {
		case !ok:
			t.Errorf("%s has none", k)
		case v.status == http.StatusOK:
			t.Errorf("%s is a success", k)
		case (v.message == "dnserr") != (v.status == http.StatusServiceUnavailable):
			t.Errorf("%s: %d %s, but dnserr and 503 go together", k, v.status, v.message)
		}
		if a := translateAPI(model.E(k, "try", ""), nothing); a.status < 400 || (a.status == http.StatusServiceUnavailable) != (v == ourFault) {
			t.Errorf("%s is %d at /api/ and %d at /nic/", k, a.status, v.status)
		}
	}
	if len(verdicts) != len(model.Kinds()) {
		t.Errorf("there are %d verdicts", len(verdicts))
	}
}

// Who may go on later is told when; a quota is no matter of time.
func TestWaitingIsToldApartFromQuotas(t *testing.T) {
	wait := model.E(model.Exhausted, "create host", "x").Because("too fast").After(7 * time.Second)
	if a := translate(wait); a.status != http.StatusTooManyRequests || a.after != 7*time.Second {
		t.Errorf("%+v", a)
	}
	if a := notRegistered(model.E(model.Exhausted, "create host", "x").Because("you have 100 hosts"), answer{}); a.status != http.StatusBadRequest {
		t.Errorf("%+v", a)
	}
}

// FuzzIssuerOf: whatever the header, what is shown of it is short, and nothing panics.
func FuzzIssuerOf(f *testing.F) {
	for _, h := range []string{"", "Bearer a.b.c", "Bearer x.eyJpc3MiOiJodHRwczovL2V4YW1wbGUub3JnIn0.x", "Basic a.e30.c", "x.bnVsbA.y"} {
		f.Add(h)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if got := issuerOf(header); len(got) > 200 {
			t.Errorf("%q", got)
		}
	})
}
