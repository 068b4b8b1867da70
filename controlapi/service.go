// Package controlapi answers one question: which changes may be made, and what
// does each do? It is the one place that asks access.Decide; every way in, of
// whatever protocol, calls the methods of its Service.
package controlapi

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"signpost/controlapi/call"
	"signpost/internal/access"
	"signpost/internal/access/oidc"
	"signpost/internal/auditlog"
	"signpost/internal/model"
	"signpost/internal/store"
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
	Barred    call.Barred
	// GroupMaxAge is how long tokens have the groups that their owner had when they last
	// logged in; 0: 30 days.
	GroupMaxAge time.Duration
	Now         func() time.Time      // nil: time.Now
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
	desk *call.Desk
	*Zones
	*ZoneFiles
	*Hosts
	*Records
	*Endpoints
	*Checks
	*Sites
	*Certificates
	*Tokens
	*People
	*Cutover
	*Watching
	*Audit
	*Status
}

// New makes a Service. Errors: Invalid for a name server that is not HOST:PORT.
func New(c Config) (*Service, error) {
	d, err := call.New(call.Config{
		Store: c.Store, NameServers: c.NameServers, Users: c.Users, Operators: c.Operators, Barred: c.Barred,
		GroupMaxAge: c.GroupMaxAge, Now: c.Now, Log: c.Log, Metrics: c.Metrics, Audit: c.Audit,
	})
	if err != nil {
		return nil, err
	}
	ofHosts, err := NewHosts(d, c.Metrics)
	if err != nil {
		return nil, err
	}
	ofCertificates, err := newCertificates(d, c.Authority, c.Metrics)
	if err != nil {
		return nil, err
	}
	watching, err := newWatching(d, c.Heartbeat, c.Metrics)
	if err != nil {
		return nil, err
	}
	return &Service{
		desk: d, Zones: NewZones(d), ZoneFiles: NewZoneFiles(d, c.ImportSize, c.ImportIdle, c.ImportTell),
		Hosts: ofHosts, Records: NewRecords(d), Endpoints: NewEndpoints(d), Checks: NewChecks(d), Sites: NewSites(d),
		Certificates: ofCertificates, Tokens: NewTokens(d), People: NewPeople(d, c.Issuers), Cutover: NewCutover(d),
		Watching: watching, Audit: NewAudit(d), Status: NewStatus(d, c.Version),
	}, nil
}

// Ready says whether etcd answers a linearizable read now.
func (s *Service) Ready(ctx context.Context) error { return s.desk.Ready(ctx) }

// CheckBarred refuses callers by where they come from and by what they say of
// themselves, before their credential is looked at: fqdns is the hosts that they name.
// For protocols that say so first; all calls are checked in any case. Errors: Denied.
func (s *Service) CheckBarred(ctx context.Context, fqdns ...string) error {
	return s.desk.CheckBarred(ctx, fqdns...)
}

// NoteUses writes when credentials were last used, until ctx ends, and then once more.
// What it cannot write it tries again.
func (s *Service) NoteUses(ctx context.Context) { s.desk.NoteUses(ctx) }

// SumUpRefusals writes how many refusals have no lines of their own, until ctx ends, and
// then once more.
func (s *Service) SumUpRefusals(ctx context.Context) { s.desk.SumUpRefusals(ctx) }

// EndStreams ends all streams of changes, and there will be no more, and all waiting
// until a change is visible: whoever stops the service calls it first, for streams end
// by themselves only when their readers do, and who waits for longer than a stop takes
// would not hear that the change is made.
func (s *Service) EndStreams() {
	s.Watching.EndStreams()
	s.desk.EndWaiting()
}
