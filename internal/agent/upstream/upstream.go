// Package upstream answers one question: which of several control services takes the
// machine's calls now?
package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"signpost/internal/model"
	"signpost/internal/remote"
	"signpost/internal/version"
	pb "signpost/proto/signpost/v1"
)

// CallTimeout is how long one control service has for one call.
const CallTimeout = 3 * time.Second

// Config says who calls whom.
type Config struct {
	Servers  []remote.Address // those in front first
	Roots    *x509.CertPool
	Host     string
	Endpoint string                 // "": the secret is the host's
	Secret   func() (string, error) // that of now
	Log      *slog.Logger
}

// Upstream speaks to the control services.
type Upstream struct {
	Config
	servers []*server
	current atomic.Int64
}

type server struct {
	at   remote.Address
	conn atomic.Pointer[connection]
}

type connection struct {
	*grpc.ClientConn
	hosts     pb.HostServiceClient
	endpoints pb.EndpointServiceClient
	about     pb.ServerServiceClient
}

// New makes the clients; it opens no connection yet. Errors are of kind Invalid.
func New(c Config) (*Upstream, error) {
	u := &Upstream{Config: c}
	for _, at := range c.Servers {
		err := at.RefuseInTheClear()
		if err == nil {
			var conn *connection
			if conn, err = u.dial(at); err == nil {
				u.servers = append(u.servers, &server{at: at})
				u.servers[len(u.servers)-1].conn.Store(conn)
			}
		}
		if err != nil {
			return nil, errors.Join(model.E(model.Invalid, "read setting", "server").Because(err.Error()), u.Close())
		}
	}
	return u, nil
}

func (u *Upstream) dial(at remote.Address) (*connection, error) {
	creds := insecure.NewCredentials()
	if at.Secure {
		creds = credentials.NewTLS(&tls.Config{RootCAs: u.Roots, MinVersion: tls.VersionTLS12})
	}
	conn, err := grpc.NewClient("dns:///"+at.HostPort,
		grpc.WithTransportCredentials(creds),
		grpc.WithUserAgent("signpost-agent/"+version.Version),
		grpc.WithDisableServiceConfig(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: time.Second, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second},
			MinConnectTimeout: CallTimeout,
		}),
	)
	if err != nil {
		return nil, err
	}
	return &connection{conn, pb.NewHostServiceClient(conn), pb.NewEndpointServiceClient(conn), pb.NewServerServiceClient(conn)}, nil
}

// again replaces a connection on which no answer came in time: the machine may have moved
// to another network, and the kernel would wait for the old one for minutes.
func (u *Upstream) again(s *server, silent *connection) {
	conn, err := u.dial(s.at)
	if err != nil {
		return // it could be made before
	}
	if !s.conn.CompareAndSwap(silent, conn) {
		silent = conn // another call has replaced it
	}
	_ = silent.Close() // nothing is left to be lost
}

// Close ends the connections. No call is under way then.
func (u *Upstream) Close() error {
	var errs []error
	for _, s := range u.servers {
		errs = append(errs, s.conn.Load().Close())
	}
	return errors.Join(errs...)
}

// call tries the service that answered last, then each of the others once. It stays with
// the one that answers.
func (u *Upstream) call(ctx context.Context, do func(context.Context, *connection) error) error {
	first := u.current.Load()
	var away []string
	for i := range u.servers {
		at := (int(first) + i) % len(u.servers)
		s := u.servers[at]
		err := u.attempt(ctx, s, do)
		if ctx.Err() != nil && err != nil {
			return model.E(model.Unavailable, "call", s.at.URL).Because("interrupted").From(ctx.Err())
		}
		if passes[status.Code(err)] {
			away = append(away, s.at.URL+": "+remote.Reason(status.Convert(err).Message()))
			continue
		}
		if int64(at) != first && u.current.CompareAndSwap(first, int64(at)) {
			u.Log.Warn("speaking to another control service", "server", s.at.URL, "because", strings.Join(away, "; "))
		}
		return translated(err)
	}
	return model.E(model.Unavailable, "reach the control service", "").Because(strings.Join(away, "; "))
}

func (u *Upstream) attempt(ctx context.Context, s *server, do func(context.Context, *connection) error) error {
	secret, err := u.Secret()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	user := u.Host
	if u.Endpoint != "" {
		user += "/" + u.Endpoint
	}
	basic := base64.StdEncoding.EncodeToString([]byte(user + ":" + secret))
	conn := s.conn.Load()
	err = do(metadata.AppendToOutgoingContext(ctx, "authorization", "Basic "+basic), conn)
	if status.Code(err) == codes.DeadlineExceeded {
		u.again(s, conn)
	}
	return err
}

// passes is the codes of calls that another service may take: this one is not there, does
// not reach etcd, is too old, or is something else.
var passes = map[codes.Code]bool{
	codes.Unavailable: true, codes.DeadlineExceeded: true, codes.Internal: true, codes.Unknown: true, codes.Unimplemented: true, codes.Canceled: true,
}

var kinds = map[codes.Code]model.Kind{
	codes.InvalidArgument: model.Invalid, codes.NotFound: model.NotFound, codes.AlreadyExists: model.AlreadyExists, codes.Unauthenticated: model.Unauthenticated,
	codes.PermissionDenied: model.Denied, codes.Aborted: model.Aborted, codes.FailedPrecondition: model.Precondition, codes.ResourceExhausted: model.Exhausted,
}

// spoken is an error in the service's own words.
type spoken struct {
	kind *model.Error
	text string
}

func (s *spoken) Error() string { return s.text }
func (s *spoken) Unwrap() error { return s.kind }

// translated is a refusal; what is lost is the field and the advice as such, which are in
// its text.
func translated(err error) error {
	if err == nil {
		return nil
	}
	st, ok := status.FromError(err)
	if !ok {
		return err
	}
	return &spoken{model.E(kinds[st.Code()], "call", "the control service"), st.Message()}
}
