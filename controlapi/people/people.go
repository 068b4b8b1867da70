// Package people answers one question: who are people and groups here, and may they come?
package people

import (
	"context"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"signpost/controlapi/call"
	"signpost/controlapi/tokens"
	"signpost/internal/access"
	"signpost/internal/access/oidc"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// Service is the service for people and groups.
type Service struct {
	pb.UnimplementedPrincipalServiceServer
	*call.Desk
	issuers []oidc.Issuer
}

// New makes the service; issuers is where people can log in.
func New(d *call.Desk, issuers []oidc.Issuer) *Service {
	return &Service{Desk: d, issuers: issuers}
}

// WhoAmI says who the caller is.
func (s *Service) WhoAmI(ctx context.Context, in *pb.WhoAmIRequest) (out *pb.WhoAmIResponse, err error) {
	c, err := s.Authorize(ctx, access.WhoAmI, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	if err := stillHolds(c); err != nil {
		return nil, err
	}
	out = &pb.WhoAmIResponse{Principal: c.Who.Name(), Kind: c.Who.Kind.String()}
	if c.Who.Kind == access.User {
		out.Issuer = c.Who.Person.Issuer()
		out.Subject = strings.TrimPrefix(string(c.Who.Person), out.Issuer+"/")
		for _, g := range c.Who.Groups {
			out.Groups = append(out.Groups, string(g))
		}
	}
	if source := call.CallerOf(ctx).Source; source.IsValid() {
		out.SourceAddress = source.Unmap().WithZone("").String()
	}
	if !c.Who.Expires.IsZero() {
		out.ExpireTime = timestamppb.New(c.Who.Expires)
	}
	if c.Who.Kind == access.User && c.Who.Narrow != nil {
		err = c.Read(func(tx *store.Tx) (err error) {
			out.Token, err = tokens.Own(c, tx)
			return err
		})
	}
	tokens.NoteLogin(c)
	return out, err
}

// stillHolds looks the caller's credential, if there is one, up in the state of now.
func stillHolds(c *call.Call) error {
	if c.Credential == (call.Credential{}) {
		return nil
	}
	return c.Read(func(*store.Tx) error { return nil })
}

// ListIssuers says where people can log in.
func (s *Service) ListIssuers(ctx context.Context, in *pb.ListIssuersRequest) (out *pb.ListIssuersResponse, err error) {
	c, err := s.Authorize(ctx, access.LoginRead, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	if err := stillHolds(c); err != nil {
		return nil, err
	}
	out = &pb.ListIssuersResponse{}
	for _, i := range s.issuers {
		out.Issuers = append(out.Issuers, &pb.Issuer{Name: i.Name, Url: i.URL, ClientId: i.LoginClientID, Scopes: i.LoginScopes})
	}
	return out, nil
}
