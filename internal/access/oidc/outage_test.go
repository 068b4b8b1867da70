package oidc_test

import (
	"strings"
	"testing"
	"time"

	"signpost/internal/access/oidc"
	"signpost/internal/access/oidc/oidctest"
	"signpost/internal/model"
)

func TestARotatedKeyIsFoundAndAWithdrawnOneForgotten(t *testing.T) {
	w := start(t)
	old := w.Token(nil)
	w.want(t, old, yes)
	w.pass(11 * time.Second)
	w.Rotate(true)
	w.want(t, w.Token(nil), yes) // an RS256 key, which was not there
	if n := w.Calls(certs); n != 2 {
		t.Errorf("the keys were read %d times", n)
	}
	w.pass(6 * time.Minute) // the old token is kept no longer
	w.want(t, old, wrong)
}

func TestAKeyThatWasTakenOutIsNoLongerBelieved(t *testing.T) {
	w := start(t)
	w.want(t, w.Token(nil), yes)
	w.Rotate(true)
	stolen := func() string { return w.Token(map[string]any{"#key": 1}) }
	w.want(t, stolen(), yes) // we cannot know
	w.pass(10*time.Minute + time.Second)
	w.want(t, stolen(), yes) // nothing asks for the new key: the age of the old ones does, and nobody waits for it
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		_, err := w.v.Verify(t.Context(), stolen())
		if model.KindOf(err) == unknown && w.Calls(certs) == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v after the keys were read %d times", err, w.Calls(certs))
		}
	}
	w.pass(11 * time.Second)
	w.want(t, stolen(), wrong)
}

func TestUnknownKeysDoNotMakeUsAskAllTheTime(t *testing.T) {
	w := start(t)
	w.want(t, w.Token(nil), yes)
	for range 50 {
		w.want(t, w.Token(map[string]any{"#kid": "other"}), unknown) // it may be a key of this moment
	}
	w.pass(11 * time.Second)
	w.want(t, w.Token(map[string]any{"#kid": "other"}), wrong)
	if n := w.Calls(certs); n != 2 {
		t.Errorf("the keys were read %d times", n)
	}
}

func TestTheKeysOutliveAnOutageOfTheIssuer(t *testing.T) {
	w := start(t)
	w.want(t, w.Token(nil), yes)
	w.Down(true)
	for range 24 {
		w.pass(time.Hour)
		w.want(t, w.Token(nil), yes)
	}
	w.Rotate(false)
	w.want(t, w.Token(nil), unknown) // whose key we have not seen
	w.Down(false)
	w.pass(11 * time.Second)
	w.want(t, w.Token(nil), yes)
}

func TestAnIssuerThatIsDownDoesNotStopOthersNorTheStart(t *testing.T) {
	down, up := oidctest.New(t), oidctest.New(t)
	down.Down(true)
	v, err := oidc.New(oidc.Config{Issuers: []oidc.Issuer{
		{Name: "down", URL: down.URL, AuthorizedParties: []string{oidctest.PublicClient}},
		{Name: "up", URL: up.URL, AuthorizedParties: []string{oidctest.PublicClient}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), down.Token(nil)); model.KindOf(err) != model.Unavailable || !strings.Contains(err.Error(), "issuer down") {
		t.Error(err)
	}
	id, err := v.Verify(t.Context(), up.Token(nil))
	if err != nil || id.Person != "up/"+oidctest.Subject {
		t.Error(id, err)
	}
	// A token of the one does not name the other.
	if _, err := v.Verify(t.Context(), up.Token(map[string]any{"iss": down.URL})); model.KindOf(err) != model.Unavailable {
		t.Error(err)
	}
	down.Down(false)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_, err := v.Verify(t.Context(), down.Token(nil))
		if err == nil {
			break
		}
		if model.KindOf(err) != model.Unavailable || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if _, err := v.Verify(t.Context(), up.Token(map[string]any{"iss": down.URL})); model.KindOf(err) != wrong && model.KindOf(err) != unknown {
		t.Error(err)
	}
}
