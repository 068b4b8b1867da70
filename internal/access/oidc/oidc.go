// Package oidc answers one question: whose token is this? It takes access tokens in
// JWT form (RFC 9068, and those of Keycloak) of issuers that are named in the
// configuration, verifies them here, and asks the issuer for nothing but its keys and,
// where it does not put them into the token, the person's entitlements.
package oidc

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"signpost/internal/access"
	"signpost/internal/model"
)

// The bounds of what is taken and kept.
const (
	MaxToken   = 16 << 10        // octets of a token
	MaxGroups  = 1000            // of one person
	keptFor    = 5 * time.Minute // a right token, at most
	refusedFor = 5 * time.Second // a wrong one
	mostKept   = 10_000
	mostWrong  = 1_000
	askWithin  = 15 * time.Second // all that one token needs of its issuer
)

// Config is what a Verifier works with.
type Config struct {
	Issuers []Issuer
	Now     func() time.Time      // nil: time.Now
	Log     *slog.Logger          // nil: none
	Metrics prometheus.Registerer // nil: none
}

// Verifier knows whose tokens the configured issuers have made.
type Verifier struct {
	issuers []*issuer
	byURL   map[string]*issuer
	now     func() time.Time
	log     *slog.Logger
	right   *lru[[sha256.Size]byte, vouched]
	wrong   *lru[[sha256.Size]byte, refusal]
	flight  singleflight.Group
	metrics metrics
}

type refusal struct {
	err   error
	until time.Time
}

// New makes a Verifier. It asks no issuer: one that is down does not stop us. Errors
// are of kind Invalid, all that there are at once.
func New(c Config) (*Verifier, error) {
	if err := Check(c.Issuers); err != nil {
		return nil, err
	}
	v := &Verifier{byURL: map[string]*issuer{}, now: c.Now, log: c.Log}
	if v.now == nil {
		v.now = time.Now
	}
	if v.log == nil {
		v.log = slog.New(slog.DiscardHandler)
	}
	v.right = newLRU[[sha256.Size]byte, vouched](mostKept)
	v.wrong = newLRU[[sha256.Size]byte, refusal](mostWrong)
	var err error
	if v.metrics, err = newMetrics(c.Metrics, c.Issuers); err != nil {
		return nil, model.E(model.Internal, "read tokens", "").From(err)
	}
	var problems []error
	for _, c := range c.Issuers {
		i, err := newIssuer(c, v.now, v.log, v.metrics)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		v.issuers = append(v.issuers, i)
		v.byURL[i.URL] = i
	}
	return v, errors.Join(problems...)
}

// Issuers is those that people can log in at, in the order of the configuration.
func (v *Verifier) Issuers() []Issuer {
	var all []Issuer
	for _, i := range v.issuers {
		if i.LoginClientID != "" {
			all = append(all, i.Issuer)
		}
	}
	return all
}

// vouched is what a right token says.
type vouched struct {
	who   access.Principal
	until time.Time // it is looked at anew after this
}

// IsToken reports whether a secret has the form of a JWT, which no other secret has.
func IsToken(s string) bool { return strings.Count(s, ".") == 2 }

// Verify says whose token it is, and when it ends. Errors: Unauthenticated, one message for whatever is
// wrong with it, and others for a right token that has expired or was taken back; Unavailable when the issuer must
// be asked and does not answer.
func (v *Verifier) Verify(ctx context.Context, raw string) (access.Principal, error) {
	if len(raw) > MaxToken {
		return access.Principal{}, wrong("it is longer than 16 KiB")
	}
	sum, now := sha256.Sum256([]byte(raw)), v.now()
	if found, ok := v.right.get(sum); ok && now.Before(found.until) {
		return found.who, nil
	}
	if r, ok := v.wrong.get(sum); ok && now.Before(r.until) {
		return access.Principal{}, r.err
	}
	found := v.flight.DoChan(string(sum[:]), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askWithin) // others wait for it, too
		defer cancel()
		return v.look(ctx, raw, sum)
	})
	select {
	case <-ctx.Done():
		return access.Principal{}, model.E(model.Unavailable, "authenticate", "").Because("the issuer of the token did not answer in time").From(ctx.Err())
	case r := <-found:
		if r.Err != nil {
			return access.Principal{}, r.Err
		}
		return r.Val.(access.Principal), nil
	}
}

// look does the work for one token, once for all who show it now.
func (v *Verifier) look(ctx context.Context, raw string, sum [sha256.Size]byte) (access.Principal, error) {
	found, of, err := v.identify(ctx, raw)
	v.metrics.token(of, err)
	if err != nil {
		v.log.Debug("token refused", "error", err, "reason", errors.Unwrap(err))
		if model.KindOf(err) == model.Unauthenticated {
			v.wrong.put(sum, refusal{err, v.now().Add(refusedFor)})
		}
		return access.Principal{}, err
	}
	v.right.put(sum, found)
	return found.who, nil
}

// identify takes the steps in an order in which each is worth its cost: an issuer is
// asked for keys about a token that could be right, and for a person about one that is.
//
// of is the issuer that the token names; nil when it is none of ours.
func (v *Verifier) identify(ctx context.Context, raw string) (found vouched, of *issuer, err error) {
	t, err := parse(raw)
	if err != nil {
		return vouched{}, nil, err
	}
	if of = v.byURL[t.Issuer]; of == nil {
		return vouched{}, nil, wrong("its issuer %.200q is not one of ours", t.Issuer)
	}
	found, err = v.person(ctx, of, t)
	return found, of, err
}

// person is whom a token that names an issuer of ours vouches for.
func (v *Verifier) person(ctx context.Context, of *issuer, t *token) (vouched, error) {
	now := v.now()
	if err := t.checkTimes(now); err != nil {
		return vouched{}, err
	}
	if err := of.verify(ctx, t); err != nil {
		return vouched{}, err
	}
	if err := of.checkClaims(t); err != nil {
		return vouched{}, err
	}
	if !now.Before(t.Expiry.time().Add(access.Leeway)) {
		return vouched{}, access.Expired() // told to those only who have had a right one
	}
	person, err := model.Person(of.Name, t.Subject)
	if err != nil {
		return vouched{}, wrong("its subject cannot be used: %w", err)
	}
	from, err := of.attributes(ctx, t)
	if err != nil {
		return vouched{}, err
	}
	groups, more := of.groups(from)
	if more {
		v.log.Warn("a person is in more groups than are looked at", "person", string(person), "most", MaxGroups)
	}
	exp := t.Expiry.time()
	until := now.Add(keptFor)
	if last := exp.Add(access.Leeway); last.Before(until) {
		until = last
	}
	return vouched{access.Principal{Kind: access.User, Person: person, Groups: groups, Expires: exp}, until}, nil
}

// wrong is access.Wrong with the beginning of the reason, which the log has and the caller
// never. It is kept, and whoever made the token has written most of it.
func wrong(format string, args ...any) error {
	return because(access.Wrong(), errors.New(beginning(fmt.Errorf(format, args...))))
}

func because(err, reason error) error {
	if e := new(model.Error); errors.As(err, &e) {
		return e.From(reason)
	}
	return err
}
