// Package controlapi answers one question: which changes may be made, and what
// does each do? It is the one place that asks access.Decide; every way in, of
// whatever protocol, calls the methods of its Service.
package controlapi

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"signpost/controlapi/audit"
	"signpost/controlapi/call"
	"signpost/controlapi/certificates"
	"signpost/controlapi/checks"
	"signpost/controlapi/cutover"
	"signpost/controlapi/endpoints"
	"signpost/controlapi/hosts"
	"signpost/controlapi/people"
	"signpost/controlapi/records"
	"signpost/controlapi/sites"
	"signpost/controlapi/status"
	"signpost/controlapi/tokens"
	"signpost/controlapi/watch"
	"signpost/controlapi/zonefile"
	"signpost/controlapi/zones"
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
	Now         func() time.Time        // nil: time.Now
	Elapsed     func() time.Duration    // on a clock that is never set; nil: since New
	Log         *slog.Logger            // nil: none
	Metrics     prometheus.Registerer   // nil: none
	Audit       *auditlog.File          // for what is to be kept; nil: none
	Authority   *certificates.Authority // whom certificates are ordered from; nil: nobody
	Heartbeat   time.Duration           // the longest silence of a stream of changes; 0: 10 s
	ImportSize  int                     // octets of a zone file; 0: MaxImport
	ImportIdle  time.Duration           // how long the next piece of a zone file may take; 0: 30 s
	ImportTell  time.Duration           // between two reports of how far an import is; 0: 1 s
}

// Service implements every service of the API. Its methods may be called
// directly, with the caller in the context (WithCaller): they authenticate,
// authorize, validate, audit, log and count by themselves, and fail with errors
// of package model, never with those of a protocol.
type Service struct {
	desk *call.Desk
	*zoneService
	*zonefileService
	*hostService
	*recordService
	*endpointService
	*checkService
	*siteService
	*certificateService
	*tokenService
	*peopleService
	*cutoverService
	*watchService
	*auditService
	*statusService
}

// The rooms that the methods are in. Who holds a Service reaches those alone, and nothing
// that the rooms share.
type (
	zoneService        = zones.Service
	zonefileService    = zonefile.Service
	hostService        = hosts.Service
	recordService      = records.Service
	endpointService    = endpoints.Service
	checkService       = checks.Service
	siteService        = sites.Service
	certificateService = certificates.Service
	tokenService       = tokens.Service
	peopleService      = people.Service
	cutoverService     = cutover.Service
	watchService       = watch.Service
	auditService       = audit.Service
	statusService      = status.Service
)

// New makes a Service. Errors: Invalid for a name server that is not HOST:PORT.
func New(c Config) (*Service, error) {
	d, err := call.New(call.Config{
		Store: c.Store, NameServers: c.NameServers, Users: c.Users, Operators: c.Operators, Barred: c.Barred,
		GroupMaxAge: c.GroupMaxAge, Now: c.Now, Log: c.Log, Metrics: c.Metrics, Audit: c.Audit,
	})
	if err != nil {
		return nil, err
	}
	ofHosts, err := hosts.New(d, c.Elapsed, c.Metrics)
	if err != nil {
		return nil, err
	}
	ofCertificates, err := certificates.New(d, c.Authority, c.Metrics)
	if err != nil {
		return nil, err
	}
	watching, err := watch.New(d, c.Heartbeat, c.Metrics)
	if err != nil {
		return nil, err
	}
	return &Service{
		desk: d, zoneService: zones.New(d), zonefileService: zonefile.New(d, c.ImportSize, c.ImportIdle, c.ImportTell),
		hostService: ofHosts, recordService: records.New(d), endpointService: endpoints.New(d), checkService: checks.New(d),
		siteService: sites.New(d), certificateService: ofCertificates, tokenService: tokens.New(d), peopleService: people.New(d, c.Issuers),
		cutoverService: cutover.New(d), watchService: watching, auditService: audit.New(d), statusService: status.New(d, c.Version),
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
	s.watchService.EndStreams()
	s.desk.EndWaiting()
}
