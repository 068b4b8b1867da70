package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"signpost/internal/version"
	pb "signpost/proto/signpost/v1"
)

const (
	defaultServer = "http://127.0.0.1:8080"
	callTimeout   = 30 * time.Second
	dialTimeout   = 5 * time.Second
)

// service is the control service as a command sees it.
type service struct {
	pb.ZoneServiceClient
	pb.HostServiceClient
	pb.RecordServiceClient
	pb.AuditServiceClient
	pb.ServerServiceClient
	pb.WatchServiceClient

	url   string
	token string
	conn  *grpc.ClientConn
	// answered says whether any call got as far as the service.
	answered bool
}

// address is a server's URL, read.
type address struct {
	url      string
	hostport string
	secure   bool
	loopback bool
}

func parseServer(s string) (address, error) {
	bad := func(why string) (address, error) {
		return address{}, badUsage("server " + s + ": " + why + "; give a URL such as https://dns.example.org or " + defaultServer)
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return bad("it is no URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return bad("it starts with neither http:// nor https://")
	case u.User != nil:
		return bad("it holds a user")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return bad("there is something after the host and port")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return address{
		url:      strings.TrimSuffix(s, "/"),
		hostport: net.JoinHostPort(u.Hostname(), port),
		secure:   u.Scheme == "https",
		loopback: u.Hostname() == "localhost" || err == nil && ip.IsLoopback(),
	}, nil
}

// dial makes the client; it opens no connection yet. The service is never nil, so
// that it can explain the error.
func (c *cli) dial() (*service, error) {
	s := &service{}
	at, err := parseServer(first(c.server, c.getenv("SIGNPOST_SERVER"), defaultServer))
	if err != nil {
		return s, err
	}
	s.url = at.url
	if s.token, err = c.findToken(); err != nil {
		return s, err
	}
	if s.token != "" && !at.secure && !at.loopback {
		return s, badUsage("a token is not sent to " + at.url + " in the clear; use https://")
	}
	creds := insecure.NewCredentials()
	if at.secure {
		if creds, err = c.trust(); err != nil {
			return s, err
		}
	}
	s.conn, err = grpc.NewClient("dns:///"+at.hostport,
		grpc.WithTransportCredentials(creds),
		grpc.WithUserAgent("signpost/"+version.Version),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)), // a page of audit records with whole record sets
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: dialTimeout}),
		grpc.WithChainUnaryInterceptor(s.watchCall),
		grpc.WithChainStreamInterceptor(s.watchStream),
	)
	if err != nil {
		return s, badUsage("server " + at.url + ": " + err.Error())
	}
	s.ZoneServiceClient = pb.NewZoneServiceClient(s.conn)
	s.HostServiceClient = pb.NewHostServiceClient(s.conn)
	s.RecordServiceClient = pb.NewRecordServiceClient(s.conn)
	s.AuditServiceClient = pb.NewAuditServiceClient(s.conn)
	s.ServerServiceClient = pb.NewServerServiceClient(s.conn)
	s.WatchServiceClient = pb.NewWatchServiceClient(s.conn)
	return s, nil
}

func (s *service) close() { _ = s.conn.Close() } // nothing is left to be lost

func (c *cli) findToken() (string, error) {
	if t := strings.TrimSpace(c.getenv("SIGNPOST_TOKEN")); t != "" {
		return t, nil
	}
	file := c.getenv("SIGNPOST_TOKEN_FILE")
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", badUsage("read the token of SIGNPOST_TOKEN_FILE: " + err.Error())
	}
	t := strings.TrimSpace(string(text))
	if t == "" || strings.ContainsAny(t, " \t\r\n") {
		return "", badUsage("read the token of SIGNPOST_TOKEN_FILE: " + file + " does not hold one token and nothing else")
	}
	return t, nil
}

func (c *cli) trust() (credentials.TransportCredentials, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a system without roots: --ca may have all that is needed
	}
	if file := first(c.ca, c.getenv("SIGNPOST_CA_FILE")); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, badUsage("read certificates to trust: " + err.Error())
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, badUsage("read certificates to trust: there is none in " + file)
		}
	}
	return credentials.NewTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}), nil
}

// callContext is the context of the command's call: its deadline, unless it is to
// follow, the token and what the flags of a change say.
func (s *service) callContext(cmd *cobra.Command) (context.Context, context.CancelFunc, error) {
	md := metadata.MD{}
	if s.token != "" {
		md.Set("authorization", "Bearer "+s.token)
	}
	timeout := callTimeout
	if f := cmd.Flags().Lookup(waitFlag); f != nil && f.Changed {
		wait, err := cmd.Flags().GetDuration(waitFlag)
		if err != nil || wait <= 0 {
			return nil, nil, badUsage("--wait: it must be more than 0")
		}
		md.Set("wait", "visible")
		md.Set("wait-timeout", wait.String())
		timeout += wait
	}
	if f := cmd.Flags().Lookup(requestIDFlag); f != nil && f.Changed {
		md.Set("request-id", f.Value.String())
	}
	if f := cmd.Flags().Lookup(followFlag); f != nil && f.Value.String() == "true" {
		ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(cmd.Context(), md))
		return ctx, cancel, nil
	}
	ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(cmd.Context(), md), timeout)
	return ctx, cancel, nil
}

// watchCall and watchStream notice whether the service itself has spoken: then an
// error's text is its own, else it is that of the way there.
func (s *service) watchCall(ctx context.Context, method string, in, out any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	var header, trailer metadata.MD
	err := invoke(ctx, method, in, out, conn, append(opts, grpc.Header(&header), grpc.Trailer(&trailer))...)
	s.answered = s.answered || len(header) > 0 || len(trailer) > 0
	return err
}

func (s *service) watchStream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := open(ctx, desc, conn, method, opts...)
	if err != nil {
		return nil, err
	}
	return &watched{ClientStream: stream, of: s}, nil
}

type watched struct {
	grpc.ClientStream
	of *service
}

func (w *watched) RecvMsg(m any) error {
	err := w.ClientStream.RecvMsg(m)
	w.of.answered = w.of.answered || err == nil || len(w.Trailer()) > 0
	return err
}

func first(of ...string) string {
	for _, s := range of {
		if s != "" {
			return s
		}
	}
	return ""
}
