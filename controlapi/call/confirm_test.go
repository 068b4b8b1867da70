package call

import (
	"sync/atomic"
	"testing"
	"time"

	"signpost/internal/access"
	"signpost/internal/access/oidc"
	"signpost/internal/access/oidc/oidctest"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// withPeople is a desk without a store, for what is decided about tokens alone.
func withPeople(t *testing.T, p *oidctest.Provider, now func() time.Time) *Desk {
	t.Helper()
	p.Now = now
	people, err := oidc.New(oidc.Config{Now: now, Issuers: []oidc.Issuer{{
		Name: "egi", URL: p.URL, AuthorizedParties: []string{oidctest.PublicClient}, EntitlementsFrom: "userinfo", Namespace: "urn:mace:egi.eu",
	}}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Users: people.Verify, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func vouch(t *testing.T, s *Desk, c *Credential) error {
	t.Helper()
	var err error
	c.User, err = s.User(t.Context(), c.Token)
	return err
}

func TestNoChangeIsCommittedOnATokenThatHasExpiredMeanwhile(t *testing.T) {
	var passed atomic.Int64
	p := oidctest.New(t)
	s := withPeople(t, p, func() time.Time { return time.Unix(1_795_000_000, passed.Load()) })
	cred, err := parseAuthorization("Bearer " + p.Token(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := vouch(t, s, &cred); err != nil || cred.User.Person != "egi/"+oidctest.Subject {
		t.Fatal(cred.User, err)
	}
	passed.Add(int64(time.Hour + 2*time.Minute))
	c := &Call{Desk: s, Credential: cred, Who: *cred.User}
	if err := c.Confirm(nil); err == nil || err.Error() != access.Expired().Error() {
		t.Error(err)
	}
}

// A method that answers without having looked whether the credential still holds does
// not succeed; one that has looked does, and so does one that nobody's credential is for.
func TestAMethodThatDoesNotConfirmDoesNotSucceed(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	shown := Credential{Secret: access.Secret{Kind: access.Admin}}
	for _, c := range []struct {
		call Call
		want model.Kind
	}{
		{Call{Credential: shown}, model.Internal},
		{Call{Credential: shown, confirmed: true}, yes},
		{Call{}, yes},
	} {
		var err error
		c.call.Desk, c.call.Ctx, c.call.in = s, t.Context(), &pb.WhoAmIRequest{}
		c.call.Done(&err)
		if c.want == yes && err != nil || c.want != yes && (err == nil || model.KindOf(err) != c.want) {
			t.Errorf("credential shown %t, confirmed %t: %v", c.call.Credential != Credential{}, c.call.confirmed, err)
		}
	}
}

const yes = model.Kind(-1)
