// Package localetcd answers one question: how do I get a throw-away etcd? It runs
// etcd's own server in this process, for tests and for signpost-dev; nothing that
// serves in production may import it.
package localetcd

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"
	"google.golang.org/grpc"
)

// Options says how to run etcd. The zero value is a fresh one on a free port.
type Options struct {
	// Dir holds the data and is kept. Empty: a temporary one, removed by Close.
	Dir string
	// ListenClient is the HOST:PORT for clients. Empty: a free port on loopback.
	ListenClient string
	// Member makes it one of several, each with etcd's own pace of elections. Start
	// then waits for the others.
	Member *Member
	// Compact forgets history older than an hour, as production does.
	Compact bool
	// TokenTTL is how long a token of one of etcd's users lasts that is not used; 0:
	// five minutes, as in production. Whole seconds.
	TokenTTL time.Duration
	// LogErrors writes to standard error what etcd cannot go on with, such as a full
	// disk: it ends the process.
	LogErrors bool
	// UnsafeNoFsync is for tests: several times faster, and data is lost with the
	// machine; passwords of etcd's users are hashed weakly.
	UnsafeNoFsync bool
}

// Member is a place in a cluster, as etcd's flags of these names say it.
type Member struct {
	Name, ListenPeer, AdvertisePeer, InitialCluster string
}

// Server is a running member of etcd.
type Server struct {
	o    Options
	temp bool
	etcd *embed.Etcd
	rpc  *grpc.Server // what etcd serves with
	lock *fileutil.LockedFile
}

const startTimeout = 30 * time.Second

// Start returns when etcd serves.
func Start(o Options) (*Server, error) {
	s := &Server{o: o}
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "localetcd-")
		if err != nil {
			return nil, err
		}
		s.o.Dir, s.temp = dir, true
	}
	if o.ListenClient == "" {
		s.o.ListenClient = "127.0.0.1:0"
	}
	if err := s.Restart(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Restart starts a stopped etcd again on the same data and port.
func (s *Server) Restart() error {
	cfg, err := s.config()
	if err != nil {
		return err
	}
	if err := s.lockDir(); err != nil {
		return err
	}
	serving := make(chan *grpc.Server, 1)
	cfg.ServiceRegister = func(r *grpc.Server) { serving <- r } // called when the member is ready
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		s.Stop()
		return fmt.Errorf("start etcd in %s on %s: %w", s.o.Dir, s.o.ListenClient, err)
	}
	s.etcd = e
	select {
	case s.rpc = <-serving:
		s.o.ListenClient = e.Clients[0].Addr().String()
		return nil
	case err = <-e.Err():
	case <-time.After(startTimeout):
		err = fmt.Errorf("it was not ready in %s", startTimeout)
	}
	s.Stop()
	return fmt.Errorf("start etcd in %s: %w", s.o.Dir, err)
}

// lockDir is there because etcd itself waits for ever for data that another process
// holds.
func (s *Server) lockDir() error {
	if err := os.MkdirAll(s.o.Dir, 0o700); err != nil {
		return err
	}
	l, err := fileutil.TryLockFile(filepath.Join(s.o.Dir, "lock"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start etcd in %s: another process is using it: %w", s.o.Dir, err)
	}
	s.lock = l
	return nil
}

func (s *Server) config() (*embed.Config, error) {
	client, err := url.Parse("http://" + s.o.ListenClient)
	if err != nil {
		return nil, fmt.Errorf("read the address %q for etcd's clients: %w", s.o.ListenClient, err)
	}
	peer := url.URL{Scheme: "http", Host: "127.0.0.1:0"} // it has no peers; the port is never dialled
	cfg := embed.NewConfig()
	cfg.Dir = s.etcdDir()
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialClusterToken = cfg.Dir // the cluster's id follows from it
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	if m := s.o.Member; m != nil {
		listen, err1 := url.Parse(m.ListenPeer)
		advertise, err2 := url.Parse(m.AdvertisePeer)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		cfg.Name, cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = m.Name, []url.URL{*listen}, []url.URL{*advertise}
		cfg.InitialCluster, cfg.InitialClusterToken = m.InitialCluster, m.InitialCluster
		return s.rest(cfg)
	}
	// Ready in a tenth of a second instead of a whole one.
	cfg.TickMs, cfg.ElectionMs = 10, 100
	return s.rest(cfg)
}

// rest sets what is the same for one member and for many.
func (s *Server) rest(cfg *embed.Config) (_ *embed.Config, err error) {
	if s.o.UnsafeNoFsync {
		cfg.UnsafeNoFsync, cfg.BcryptCost = true, uint(bcrypt.MinCost)
	}
	if s.o.TokenTTL > 0 {
		cfg.AuthTokenTTL = uint(s.o.TokenTTL / time.Second)
	}
	cfg.EnableGRPCGateway = false
	cfg.QuotaBackendBytes = 8 << 30
	log := zap.NewNop()
	// Nobody reads what etcd says of slow requests, and it writes them out in full first.
	cfg.WarningApplyDuration, cfg.WarningUnaryRequestDuration = time.Hour, time.Hour
	if s.o.LogErrors {
		if log, err = zap.NewProduction(zap.IncreaseLevel(zap.DPanicLevel)); err != nil {
			return nil, err
		}
	}
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(log)
	if s.o.Compact {
		cfg.AutoCompactionMode, cfg.AutoCompactionRetention = "periodic", "1h"
	}
	return cfg, nil
}

// Endpoint is the URL for clients. It stays the same over restarts.
func (s *Server) Endpoint() string { return "http://" + s.Addr() }

// Addr is the HOST:PORT for clients.
func (s *Server) Addr() string { return s.o.ListenClient }

// Dir is where the data is.
func (s *Server) Dir() string { return s.o.Dir }

// ID is the member's, as etcd's members call each other.
func (s *Server) ID() string { return s.etcd.Server.MemberID().String() }

// Leads reports whether the member is the leader of its cluster.
func (s *Server) Leads() bool { return s.etcd.Server.Leader() == s.etcd.Server.MemberID() }

// Stop stops etcd and keeps data and port for Restart. Clients' calls and watches
// break at once.
func (s *Server) Stop() {
	if s.rpc != nil {
		s.rpc.Stop() // a graceful stop would wait seconds for open watches
	}
	if s.etcd != nil {
		s.etcd.Close()
	}
	if s.lock != nil {
		s.lock.Close()
	}
	s.etcd, s.rpc, s.lock = nil, nil, nil
}

// Close stops etcd for good and removes its data if the place was temporary.
func (s *Server) Close() error {
	s.Stop()
	if s.temp {
		return os.RemoveAll(s.o.Dir)
	}
	return nil
}

// New starts an etcd for a test and closes it at its end.
func New(t interface {
	Helper()
	Cleanup(func())
	Fatal(...any)
}) *Server {
	t.Helper()
	s, err := Start(Options{UnsafeNoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
	return s
}
