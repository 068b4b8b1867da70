// Package call answers one question: what does every call go through, from the
// credential that came with it to the record of what it changed? It is the one place
// that asks access.Decide. The methods of the API are in the rooms that import it: each
// begins with Authorize and ends with Done, looks with Read, and changes with Change.
package call

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"buf.build/go/protovalidate"
	"github.com/prometheus/client_golang/prometheus"

	"signpost/controlapi/visibility"
	"signpost/internal/access"
	"signpost/internal/auditlog"
	"signpost/internal/limits"
	"signpost/internal/model"
	"signpost/internal/store"
)

// Config is what a Desk works with.
type Config struct {
	Store *store.Store
	// NameServers are asked for the zone's serial by those who wait until a change
	// is visible, as HOST:PORT. When there are none, those of the zone's NS names
	// that have addresses in our own data are, at port 53.
	NameServers []string
	// Users says whose an identity provider's token is. Errors: Unauthenticated,
	// Unavailable when nobody can know now. nil: nobody's.
	Users     func(ctx context.Context, token string) (access.Principal, error)
	Operators []model.PrincipalName // people and groups who may do everything
	Barred    Barred
	// GroupMaxAge is how long tokens have the groups that their owner had when they last
	// logged in; 0: 30 days.
	GroupMaxAge time.Duration
	Now         func() time.Time      // nil: time.Now
	Log         *slog.Logger          // nil: none
	Metrics     prometheus.Registerer // nil: none
	Audit       *auditlog.File        // for what is to be kept; nil: none
}

// Desk is what all calls share: who may make one, what is counted of them, and where
// they are written down.
type Desk struct {
	Store       *store.Store
	NameServers visibility.Servers // that are asked what they serve
	users       func(ctx context.Context, token string) (access.Principal, error)
	Operators   []model.PrincipalName // people and groups who may do everything
	Barred      Barred
	groupMaxAge time.Duration
	uses        uses
	Now         func() time.Time
	Log         *slog.Logger // never nil
	audit       *auditlog.File
	validator   protovalidate.Validator
	metrics     metrics
	guesses     *limits.Guesses
	delayed     chan struct{} // holds those who wait for the answer to a wrong credential
	Paces       *limits.Paces // of changes
	reads       *limits.Paces
	refusals    *auditlog.Refusals
	failures    *auditlog.Refusals // for other reasons; those are in the log alone
	Turns       *limits.Turns      // of those who read much of the audit
	Stopping    context.Context    // ends when nobody may wait any more
	stop        context.CancelFunc
}

// New makes a Desk. Errors: Invalid for a name server that is not HOST:PORT.
func New(c Config) (*Desk, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	servers, err := visibility.Read(c.NameServers)
	if err != nil {
		return nil, err
	}
	v, err := protovalidate.New()
	if err != nil {
		return nil, model.E(model.Internal, "start control service", "").From(err)
	}
	m, err := newMetrics(c.Metrics)
	if err != nil {
		return nil, err
	}
	d := &Desk{
		Store: c.Store, NameServers: servers, users: c.Users, Operators: c.Operators, Barred: c.Barred,
		groupMaxAge: cmp.Or(c.GroupMaxAge, groupMaxAge),
		Now:         c.Now, Log: c.Log, audit: c.Audit, validator: v, metrics: m,
		guesses: limits.NewGuesses(), delayed: make(chan struct{}, mostDelayed), Paces: limits.NewPaces(), reads: limits.NewPaces(),
		refusals: auditlog.NewRefusals(), failures: auditlog.NewRefusals(), Turns: limits.NewTurns(),
	}
	d.Stopping, d.stop = context.WithCancel(context.Background())
	return d, nil
}

// Ready says whether etcd answers a linearizable read now.
func (d *Desk) Ready(ctx context.Context) error {
	return d.Store.Read(ctx, func(tx *store.Tx) error {
		_, err := tx.Revision()
		return err
	})
}

// EndWaiting ends all waiting until a change is visible: whoever waits is told that it is
// not known who shows it.
func (d *Desk) EndWaiting() { d.stop() }
