// Package store answers one question: how is the state laid out in etcd, and how is
// it changed and followed? It is the only room that knows etcd. Keys are made and
// read in keys.go, values in codec.go; Update changes, Follow follows, and a
// snapshot file keeps what was followed for when etcd cannot be reached.
package store

import (
	"context"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"signpost/internal/model"
	"signpost/internal/store/group"
)

// What an empty Config stands for.
const (
	DefaultEndpoint = "http://127.0.0.1:2379"
	DefaultPrefix   = "/signpost"
)

// Config says where the state is.
type Config struct {
	Endpoints []string // etcd's client URLs, all http or all https; none: DefaultEndpoint
	Prefix    string   // all keys are below it; empty: DefaultPrefix
	TLS       *TLS     // nil: the system's roots for https
	User      string   // empty: none, or the common name of the certificate
	Password  string
	// PasswordNow is the password of the moment, asked for whenever etcd is; nil: Password.
	PasswordNow func() string
	Log         *slog.Logger // nil: silent

	// What etcd keeps of the audit, whichever is less; the sweeper cuts the rest.
	AuditKept  time.Duration // 0: 30 days
	AuditBytes int           // octets of keys and values; 0: 256 MiB
}

// Store is the state in etcd. It is safe for concurrent use.
type Store struct {
	client  *clientv3.Client
	commits *group.Committer
	keys    keys
	zones   decoded
	log     *slog.Logger
	kept    auditBounds
	master  atomic.Pointer[keyring]   // nil until UseMasterKeys
	audited atomic.Pointer[auditMark] // nil until sweepAudit
	copy    atomic.Pointer[kept]      // nil until KeepCopy
	beating beating
}

// Open makes a Store without waiting for etcd, which need not be there yet. Errors
// are of kind Invalid and name the field.
func Open(c Config) (*Store, error) {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	client, err := Dial(c)
	if err != nil {
		return nil, err
	}
	keys := newKeys(c.Prefix)
	return &Store{client: client, commits: group.New(clientv3.RetryKVClient(client), callTimeout, keys.isRev), keys: keys, log: c.Log, kept: c.auditBounds()}, nil
}

// Dial makes a client of etcd as a Store has it, without waiting for etcd. Errors are as
// Open's.
func Dial(c Config) (*clientv3.Client, error) {
	if len(c.Endpoints) == 0 {
		c.Endpoints = []string{DefaultEndpoint}
	}
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	client, err := clientv3.New(c.client())
	if err != nil {
		return nil, model.E(model.Invalid, "open etcd", strings.Join(c.Endpoints, ",")).From(err)
	}
	// The token that client() gave was only to keep New from asking etcd for one. From
	// here on it is asked for when etcd refuses the one at hand.
	client.Token, client.Username, client.Password = "", c.User, c.Password
	return client, nil
}

// Close ends all that the Store does.
func (s *Store) Close() error { return s.client.Close() }

func (c Config) check() error {
	bad := func(field, subject, why, hint string) error {
		return model.E(model.Invalid, "open etcd", subject).In(field).Because(why).Hint(hint)
	}
	schemes := map[string]bool{}
	for _, e := range c.Endpoints {
		u, err := url.Parse(e)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
			return bad("endpoints", e, "it is not the URL of an etcd member", "give one such as "+DefaultEndpoint)
		}
		schemes[u.Scheme] = true
	}
	switch {
	case len(schemes) > 1:
		return bad("endpoints", strings.Join(c.Endpoints, ","), "some are http and some https", "use one for all")
	case schemes["http"] && c.TLS != nil:
		return bad("tls", c.Endpoints[0], "there are certificates for a connection without TLS", "use https")
	case !strings.HasPrefix(c.Prefix, "/"):
		return bad("prefix", c.Prefix, "it does not begin with a slash", "give one such as "+DefaultPrefix)
	case (c.User == "") != (c.Password == ""):
		return bad("credentials", c.User, "there is a user without a password or the reverse", "give both or neither")
	}
	return nil
}

// sayPasswordNow puts the password of the moment into the client's requests for a token: it
// has the one of the start for ever, and reads that without a lock.
func (c Config) sayPasswordNow(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if ask, ok := req.(*etcdserverpb.AuthenticateRequest); ok {
		ask.Password = c.PasswordNow()
	}
	return invoke(ctx, method, req, reply, conn, opts...)
}

func (c Config) client() clientv3.Config {
	cfg := clientv3.Config{
		Endpoints: slices.Clone(c.Endpoints), Logger: zap.NewNop(),
		// A dead path is given up after 15 s; etcd refuses more than one ping in 5 s, and
		// any from a client without a call in progress.
		DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 5 * time.Second,
		// gRPC would wait up to two minutes before it tries again a member that was away.
		DialOptions: []grpc.DialOption{grpc.WithChainStreamInterceptor(noticeStreams), grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		})},
	}
	if c.TLS != nil {
		cfg.TLS = c.TLS.Config
		cfg.DialOptions = append(cfg.DialOptions, grpc.WithTransportCredentials(c.TLS.credentials())) // in the place of those that the client makes
	}
	if c.User != "" {
		cfg.Token = "none yet"
	}
	if c.PasswordNow != nil {
		cfg.DialOptions = append(cfg.DialOptions, grpc.WithChainUnaryInterceptor(c.sayPasswordNow))
	}
	return cfg
}
