package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"

	"signpost/internal/remote"
	"signpost/internal/version"
	pb "signpost/proto/signpost/v1"
)

const (
	callTimeout = 30 * time.Second
	dialTimeout = 5 * time.Second
)

// service is the control service as a command sees it.
type service struct {
	pb.ZoneServiceClient
	pb.HostServiceClient
	pb.RecordServiceClient
	pb.EndpointServiceClient
	pb.HealthServiceClient
	pb.CertificateServiceClient
	pb.TokenServiceClient
	pb.AuditServiceClient
	pb.PrincipalServiceClient
	pb.ServerServiceClient
	pb.WatchServiceClient
	pb.CutoverServiceClient

	url   string
	token func(context.Context) (string, error) // nil: none is sent
	conn  *grpc.ClientConn
	// renews says whether the token is renewed when it ends.
	renews bool
	// answered says whether any call got as far as the service.
	answered bool
}

// dial makes the client; it opens no connection yet. The service is never nil, so
// that it can explain the error.
func (c *cli) dial() (*service, error) {
	token, err := c.findToken()
	if err != nil {
		return &service{}, err
	}
	if token != "" {
		return c.connect(first(c.server, c.getenv("SIGNPOST_SERVER"), remote.Default), func(context.Context) (string, error) { return token, nil })
	}
	l, err := c.findLogin()
	switch {
	case err != nil:
		return &service{}, err
	case l != nil:
		s, err := c.connect(l.Server, c.tokenOf(l))
		s.renews = true
		return s, err
	}
	return c.connect(first(c.server, c.getenv("SIGNPOST_SERVER"), remote.Default), nil)
}

// connect is dial for a server and with the token that goes to it, if any.
func (c *cli) connect(server string, token func(context.Context) (string, error)) (*service, error) {
	s := &service{token: token}
	at, err := remote.Parse(server)
	if err != nil {
		return s, badUsage(err.Error())
	}
	s.url = at.URL
	if token != nil {
		if err := at.RefuseInTheClear(); err != nil {
			return s, badUsage(err.Error())
		}
	}
	creds := insecure.NewCredentials()
	if at.Secure {
		if creds, err = c.trust(); err != nil {
			return s, err
		}
	}
	s.conn, err = grpc.NewClient("dns:///"+at.HostPort,
		grpc.WithTransportCredentials(creds),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}), // for calls without a deadline
		grpc.WithUserAgent("signpost/"+version.Version),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)), // a page of audit records with whole record sets
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: dialTimeout}),
		grpc.WithChainUnaryInterceptor(s.watchCall),
		grpc.WithChainStreamInterceptor(s.watchStream),
	)
	if err != nil {
		return s, badUsage("server " + at.URL + ": " + err.Error())
	}
	s.ZoneServiceClient = pb.NewZoneServiceClient(s.conn)
	s.HostServiceClient = pb.NewHostServiceClient(s.conn)
	s.RecordServiceClient = pb.NewRecordServiceClient(s.conn)
	s.EndpointServiceClient = pb.NewEndpointServiceClient(s.conn)
	s.HealthServiceClient = pb.NewHealthServiceClient(s.conn)
	s.CertificateServiceClient = pb.NewCertificateServiceClient(s.conn)
	s.TokenServiceClient = pb.NewTokenServiceClient(s.conn)
	s.AuditServiceClient = pb.NewAuditServiceClient(s.conn)
	s.PrincipalServiceClient = pb.NewPrincipalServiceClient(s.conn)
	s.ServerServiceClient = pb.NewServerServiceClient(s.conn)
	s.WatchServiceClient = pb.NewWatchServiceClient(s.conn)
	s.CutoverServiceClient = pb.NewCutoverServiceClient(s.conn)
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
	roots, err := c.roots()
	return credentials.NewTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}), err
}

func (c *cli) roots() (*x509.CertPool, error) {
	roots, err := remote.Roots(first(c.ca, c.getenv("SIGNPOST_CA_FILE")))
	if err != nil {
		return nil, badUsage(err.Error())
	}
	return roots, nil
}

// noHurry marks commands that take as long as they take.
const noHurry = "no-hurry"

func unhurried(cmd *cobra.Command) *cobra.Command {
	cmd.Annotations = map[string]string{noHurry: "yes"}
	return cmd
}

// callContext is the context of the command's call: its deadline, unless it is to
// follow or takes its time, and what the flags of a change say.
func (s *service) callContext(cmd *cobra.Command) (context.Context, context.CancelFunc, error) {
	md := metadata.MD{}
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
	if f := cmd.Flags().Lookup(followFlag); f != nil && f.Value.String() == "true" || cmd.Annotations[noHurry] != "" {
		ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(cmd.Context(), md))
		return ctx, cancel, nil
	}
	ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(cmd.Context(), md), timeout)
	return ctx, cancel, nil
}

// authenticated adds the token of now.
func (s *service) authenticated(ctx context.Context) (context.Context, error) {
	if s.token == nil {
		return ctx, nil
	}
	token, err := s.token(ctx)
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token), err
}

// watchCall and watchStream send the token and notice whether the service itself has spoken: then an
// error's text is its own, else it is that of the way there.
func (s *service) watchCall(ctx context.Context, method string, in, out any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	var header, trailer metadata.MD
	ctx, err := s.authenticated(ctx)
	if err != nil {
		return err
	}
	err = invoke(ctx, method, in, out, conn, append(opts, grpc.Header(&header), grpc.Trailer(&trailer))...)
	s.answered = s.answered || len(header) > 0 || len(trailer) > 0
	return err
}

func (s *service) watchStream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, err := s.authenticated(ctx)
	if err != nil {
		return nil, err
	}
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
