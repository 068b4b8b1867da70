package watch

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"signpost/controlapi/call"
	"signpost/internal/access"
	"signpost/internal/access/oidc"
	"signpost/internal/access/oidc/oidctest"
	"signpost/internal/model"
)

// A stream ends within a second of its token's end, although etcd cannot be asked.
func TestAStreamEndsWithItsToken(t *testing.T) {
	p := oidctest.New(t)
	p.Lifetime = 2 * time.Second
	f, vouch := feedWith(t, p, time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.endExpired(ctx)
	}()
	defer func() { cancel(); <-done }()
	secret := &listener{credential: call.Credential{}}
	secret.ctx, secret.cancel = context.WithCancelCause(ctx)
	for try := 1; ; try++ { // the second is ours, not that of a busy machine
		c := call.Credential{Token: p.Token(nil)}
		vouch(&c)
		l := &listener{credential: c}
		l.ctx, l.cancel = context.WithCancelCause(ctx)
		f.mu.Lock()
		f.streams[l], f.streams[secret] = true, true
		f.mu.Unlock()
		<-l.ctx.Done()
		late := time.Since(c.User.Expires)
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
	f, vouch := feedWith(t, p, func() time.Time { return time.Unix(1_795_000_000, passed.Load()) })
	c := call.Credential{Token: p.Token(nil)}
	vouch(&c)
	l := &listener{credential: c}
	l.ctx, l.cancel = context.WithCancelCause(t.Context())
	l.who.Store(c.User)
	recheck := func() access.Principal {
		passed.Add(int64(6 * time.Minute))
		f.recheckToken(t.Context(), c.Token, []*listener{l})
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
	p.Revoke(c.Token)
	if recheck(); model.KindOf(context.Cause(l.ctx)) != model.Unauthenticated {
		t.Error(context.Cause(l.ctx))
	}
}

// feedWith is a feed without a store, and what says whose a token is.
func feedWith(t *testing.T, p *oidctest.Provider, now func() time.Time) (*feed, func(*call.Credential)) {
	t.Helper()
	p.Now = now
	people, err := oidc.New(oidc.Config{Now: now, Issuers: []oidc.Issuer{{
		Name: "egi", URL: p.URL, AuthorizedParties: []string{oidctest.PublicClient}, EntitlementsFrom: "userinfo", Namespace: "urn:mace:egi.eu",
	}}})
	if err != nil {
		t.Fatal(err)
	}
	d, err := call.New(call.Config{Users: people.Verify, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(d, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s.feed, func(c *call.Credential) {
		t.Helper()
		who, err := people.Verify(t.Context(), c.Token)
		if err != nil {
			t.Fatal(err)
		}
		c.User = &who
	}
}
