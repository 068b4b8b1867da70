package controltest

import (
	"context"
	"testing"

	"google.golang.org/grpc/metadata"

	pb "signpost/proto/signpost/v1"
)

func Bearer(secret string, pairs ...string) context.Context {
	return With(append([]string{"authorization", "Bearer " + secret}, pairs...)...)
}

// Also is a context with more metadata.
func Also(ctx context.Context, pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

func (s *Server) TokenOf(who context.Context, in *pb.CreateTokenRequest) string {
	s.T.Helper()
	out, err := s.Tokens.CreateToken(who, in)
	if err != nil {
		s.T.Fatal(err)
	}
	return out.Secret
}

func (s *Server) TokenSelf(secret string) *pb.Token {
	s.T.Helper()
	me, err := s.Servers.WhoAmI(Bearer(secret), &pb.WhoAmIRequest{})
	if err != nil {
		s.T.Fatal(err)
	}
	return me.Token
}

func (s *Server) Revoke(who context.Context, secret string) []string {
	s.T.Helper()
	out, err := s.Tokens.RevokeToken(who, &pb.RevokeTokenRequest{Id: s.TokenSelf(secret).Id})
	if err != nil {
		s.T.Fatal(err)
	}
	return out.Ids
}

func (s *Server) UpdateAs(ctx context.Context, fqdn, addr string) error {
	_, err := s.Hosts.SetAddresses(ctx, &pb.SetAddressesRequest{Fqdn: fqdn, Addresses: []string{addr}})
	return err
}

func Done(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
