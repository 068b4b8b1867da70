// Package controlapi answers one question: which changes may be made, and what
// does each do? It is the one place that asks access.Decide; every way in, of
// whatever protocol, calls the methods of its Service.
package controlapi

import (
	"context"
	"log/slog"
	"time"

	"buf.build/go/protovalidate"
	"github.com/prometheus/client_golang/prometheus"

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
	Now         func() time.Time      // nil: time.Now
	Log         *slog.Logger          // nil: none
	Metrics     prometheus.Registerer // nil: none
	Heartbeat   time.Duration         // the longest silence of a stream of changes; 0: 10 s
}

// Service implements every service of the API. Its methods may be called
// directly, with the caller in the context (WithCaller): they authenticate,
// authorize, validate, audit, log and count by themselves, and fail with errors
// of package model, never with those of a protocol.
type Service struct {
	pb.UnimplementedZoneServiceServer
	pb.UnimplementedHostServiceServer
	pb.UnimplementedRecordServiceServer
	pb.UnimplementedAuditServiceServer
	pb.UnimplementedServerServiceServer
	pb.UnimplementedWatchServiceServer

	store       *store.Store
	version     string
	nameServers []string
	now         func() time.Time
	log         *slog.Logger
	validator   protovalidate.Validator
	metrics     metrics
	heartbeat   time.Duration
	feed        *feed
}

// New makes a Service. Errors: Invalid for a name server that is not HOST:PORT.
func New(c Config) (*Service, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = heartbeat
	}
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
		store: c.Store, version: c.Version, nameServers: c.NameServers,
		now: c.Now, log: c.Log, validator: v, metrics: m, heartbeat: c.Heartbeat,
	}
	s.feed = newFeed(s)
	return s, nil
}

// Ready says whether etcd answers a linearizable read now.
func (s *Service) Ready(ctx context.Context) error {
	return s.store.Read(ctx, func(tx *store.Tx) error {
		_, err := tx.Revision()
		return err
	})
}
