package controlapi

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"signpost/internal/access"
	"signpost/internal/access/oidc"
	"signpost/internal/access/oidc/oidctest"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// withPeople is a Service without a store, for what is decided about tokens alone.
func withPeople(t *testing.T, p *oidctest.Provider, now func() time.Time) *Service {
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

func vouch(t *testing.T, s *Service, c *credential) error {
	t.Helper()
	var err error
	c.user, err = s.user(t.Context(), c.token)
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
	if err := vouch(t, s, &cred); err != nil || cred.user.Person != "egi/"+oidctest.Subject {
		t.Fatal(cred.user, err)
	}
	passed.Add(int64(time.Hour + 2*time.Minute))
	c := &call{s: s, credential: cred, who: *cred.user}
	if err := c.confirm(nil); err == nil || err.Error() != access.Expired().Error() {
		t.Error(err)
	}
}

// A stream ends within a second of its token's end, although etcd cannot be asked.
func TestAStreamEndsWithItsToken(t *testing.T) {
	p := oidctest.New(t)
	p.Lifetime = 2 * time.Second
	s := withPeople(t, p, time.Now)
	f := s.feed
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.endExpired(ctx)
	}()
	defer func() { cancel(); <-done }()
	secret := &listener{credential: credential{secret: access.Secret{Kind: access.Admin}}}
	secret.ctx, secret.cancel = context.WithCancelCause(ctx)
	for try := 1; ; try++ { // the second is ours, not that of a busy machine
		c := credential{token: p.Token(nil)}
		if err := vouch(t, s, &c); err != nil {
			t.Fatal(err)
		}
		l := &listener{credential: c}
		l.ctx, l.cancel = context.WithCancelCause(ctx)
		f.mu.Lock()
		f.streams[l], f.streams[secret] = true, true
		f.mu.Unlock()
		<-l.ctx.Done()
		late := time.Since(c.user.Expires)
		f.mu.Lock()
		delete(f.streams, l)
		f.mu.Unlock()
		if cause := context.Cause(l.ctx); !strings.Contains(cause.Error(), "the token has expired; log in again") || late < 0 {
			t.Fatalf("it ended %s after its token: %v", late, cause)
		}
		if late <= time.Second {
			break
		}
		if try == 3 {
			t.Fatalf("it ended %s after its token, want at most a second", late)
		}
	}
	if secret.ctx.Err() != nil {
		t.Error("another stream ended, too")
	}
}

func TestAStreamLearnsWhatTheIssuerSaysLater(t *testing.T) {
	var passed atomic.Int64
	p := oidctest.New(t)
	s := withPeople(t, p, func() time.Time { return time.Unix(1_795_000_000, passed.Load()) })
	c := credential{token: p.Token(nil)}
	if err := vouch(t, s, &c); err != nil {
		t.Fatal(err)
	}
	l := &listener{credential: c}
	l.ctx, l.cancel = context.WithCancelCause(t.Context())
	l.who.Store(c.user)
	recheck := func() access.Principal {
		passed.Add(int64(6 * time.Minute))
		s.feed.recheckToken(t.Context(), c.token, []*listener{l})
		return *l.who.Load()
	}
	p.Entitle("urn:mace:egi.eu:group:vo")
	if who := recheck(); len(who.Groups) != 1 || who.Groups[0] != "group:egi/vo" {
		t.Error(who.Groups)
	}
	p.Down(true)
	if who := recheck(); len(who.Groups) != 1 || l.ctx.Err() != nil {
		t.Error(who.Groups, context.Cause(l.ctx))
	}
	p.Down(false)
	p.Revoke(c.token)
	if recheck(); model.KindOf(context.Cause(l.ctx)) != model.Unauthenticated {
		t.Error(context.Cause(l.ctx))
	}
}

// A method that answers without having looked whether the credential still holds does
// not succeed; one that has looked does, and so does one that nobody's credential is for.
func TestAMethodThatDoesNotConfirmDoesNotSucceed(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	shown := credential{secret: access.Secret{Kind: access.Admin}}
	for _, c := range []struct {
		call call
		want model.Kind
	}{
		{call{credential: shown}, model.Internal},
		{call{credential: shown, confirmed: true}, yes},
		{call{}, yes},
	} {
		var err error
		c.call.s, c.call.ctx, c.call.in = s, t.Context(), &pb.WhoAmIRequest{}
		c.call.done(&err)
		if c.want == yes && err != nil || c.want != yes && (err == nil || model.KindOf(err) != c.want) {
			t.Errorf("credential shown %t, confirmed %t: %v", c.call.credential != credential{}, c.call.confirmed, err)
		}
	}
}

const yes = model.Kind(-1)
