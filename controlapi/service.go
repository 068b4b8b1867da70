// Package controlapi answers one question: which changes may be made, and what
// does each do? It is the one place that asks access.Decide; every way in, of
// whatever protocol, calls the methods of its Service.
package controlapi

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"buf.build/go/protovalidate"
	"github.com/prometheus/client_golang/prometheus"

	"signpost/internal/access"
	"signpost/internal/access/oidc"
	"signpost/internal/acme/renewal"
	"signpost/internal/auditlog"
	"signpost/internal/limits"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// Config is what a Service works with.
type Config struct {
	Store   *store.Store
	Version string
	// NameServers are asked for the zone's serial by those who wait until a change
	// is visible, as HOST:PORT. When there are none, those of the zone's NS names
	// that have addresses in our own data are, at port 53.
	NameServers []string
	// Users says whose an identity provider's token is. Errors: Unauthenticated,
	// Unavailable when nobody can know now. nil: nobody's.
	Users     func(ctx context.Context, token string) (access.Principal, error)
	Issuers   []oidc.Issuer         // where people can log in
	Operators []model.PrincipalName // people and groups who may do everything
	Barred    Barred
	// GroupMaxAge is how long tokens have the groups that their owner had when they last
	// logged in; 0: 30 days.
	GroupMaxAge time.Duration
	Now         func() time.Time      // nil: time.Now
	Elapsed     func() time.Duration  // on a clock that is never set; nil: since New
	Log         *slog.Logger          // nil: none
	Metrics     prometheus.Registerer // nil: none
	Audit       *auditlog.File        // for what is to be kept; nil: none
	Authority   *Authority            // whom certificates are ordered from; nil: nobody
	Heartbeat   time.Duration         // the longest silence of a stream of changes; 0: 10 s
	ImportSize  int                   // octets of a zone file; 0: MaxImport
	ImportIdle  time.Duration         // how long the next piece of a zone file may take; 0: 30 s
	ImportTell  time.Duration         // between two reports of how far an import is; 0: 1 s
}

// Service implements every service of the API. Its methods may be called
// directly, with the caller in the context (WithCaller): they authenticate,
// authorize, validate, audit, log and count by themselves, and fail with errors
// of package model, never with those of a protocol.
type Service struct {
	pb.UnimplementedZoneServiceServer
	pb.UnimplementedHostServiceServer
	pb.UnimplementedRecordServiceServer
	pb.UnimplementedEndpointServiceServer
	pb.UnimplementedHealthServiceServer
	pb.UnimplementedCertificateServiceServer
	pb.UnimplementedTokenServiceServer
	pb.UnimplementedAuditServiceServer
	pb.UnimplementedPrincipalServiceServer
	pb.UnimplementedServerServiceServer
	pb.UnimplementedWatchServiceServer
	pb.UnimplementedCutoverServiceServer

	store       *store.Store
	version     string
	nameServers []string
	users       func(ctx context.Context, token string) (access.Principal, error)
	issuers     []oidc.Issuer
	operators   []model.PrincipalName
	barred      Barred
	groupMaxAge time.Duration
	uses        uses
	now         func() time.Time
	elapsed     func() time.Duration
	overdue     overdue
	log         *slog.Logger
	audit       *auditlog.File
	authority   *Authority
	validator   protovalidate.Validator
	metrics     metrics
	heartbeat   time.Duration
	importSize  int
	importIdle  time.Duration
	importTell  time.Duration
	guesses     *limits.Guesses
	delayed     chan struct{} // holds those who wait for the answer to a wrong credential
	paces       *limits.Paces // of changes
	reads       *limits.Paces
	refusals    *auditlog.Refusals
	failures    *auditlog.Refusals // for other reasons; those are in the log alone
	turns       *limits.Turns      // of those who read much of the audit
	feed        *feed
	renewals    *renewal.Desk
	stopping    context.Context // ends when nobody may wait any more
	stop        context.CancelFunc
}

// New makes a Service. Errors: Invalid for a name server that is not HOST:PORT.
func New(c Config) (*Service, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if begun := time.Now(); c.Elapsed == nil {
		c.Elapsed = func() time.Duration { return time.Since(begun) }
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = heartbeat
	}
	c.ImportSize, c.ImportIdle = cmp.Or(c.ImportSize, MaxImport), cmp.Or(c.ImportIdle, importIdle)
	c.ImportTell = cmp.Or(c.ImportTell, reportEvery)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := checkServers(c.NameServers); err != nil {
		return nil, err
	}
	v, err := protovalidate.New()
	if err != nil {
		return nil, model.E(model.Internal, "start control service", "").From(err)
	}
	m, err := newMetrics(c.Metrics)
	if err != nil {
		return nil, model.E(model.Internal, "start control service", "").From(err)
	}
	s := &Service{
		store: c.Store, version: c.Version, nameServers: c.NameServers, users: c.Users, issuers: c.Issuers, operators: c.Operators, barred: c.Barred,
		groupMaxAge: cmp.Or(c.GroupMaxAge, groupMaxAge),
		now:         c.Now, elapsed: c.Elapsed, log: c.Log, audit: c.Audit, authority: c.Authority, validator: v, metrics: m, heartbeat: c.Heartbeat,
		guesses: limits.NewGuesses(), delayed: make(chan struct{}, mostDelayed), paces: limits.NewPaces(), reads: limits.NewPaces(), refusals: auditlog.NewRefusals(), failures: auditlog.NewRefusals(), turns: limits.NewTurns(),
		importSize: c.ImportSize, importIdle: c.ImportIdle, importTell: c.ImportTell,
	}
	s.feed = newFeed(s)
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.renewals = renewal.New(s.stopping, s.now)
	return s, nil
}

// Ready says whether etcd answers a linearizable read now.
func (s *Service) Ready(ctx context.Context) error {
	return s.store.Read(ctx, func(tx *store.Tx) error {
		_, err := tx.Revision()
		return err
	})
}
