package controlapi

import (
	"context"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// vouchAgain is how often tokens of open streams are looked at anew; their issuer is
// asked more seldom.
const vouchAgain = 5 * time.Second

// WhoAmI says who the caller is.
func (s *Service) WhoAmI(ctx context.Context, in *pb.WhoAmIRequest) (out *pb.WhoAmIResponse, err error) {
	c, err := s.authorize(ctx, access.WhoAmI, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.done(&err)
	if err := c.stillHolds(); err != nil {
		return nil, err
	}
	out = &pb.WhoAmIResponse{Principal: c.who.Name(), Kind: c.who.Kind.String()}
	if c.who.Kind == access.User {
		out.Issuer = c.who.Person.Issuer()
		out.Subject = strings.TrimPrefix(string(c.who.Person), out.Issuer+"/")
		for _, g := range c.who.Groups {
			out.Groups = append(out.Groups, string(g))
		}
	}
	if source := callerOf(ctx).Source; source.IsValid() {
		out.SourceAddress = source.Unmap().WithZone("").String()
	}
	if !c.who.Expires.IsZero() {
		out.ExpireTime = timestamppb.New(c.who.Expires)
	}
	if c.who.Kind == access.User && c.who.Narrow != nil {
		err = c.read(func(tx *store.Tx) (err error) {
			out.Token, err = c.ownToken(tx)
			return err
		})
	}
	c.noteLogin()
	return out, err
}

// stillHolds looks the caller's credential, if there is one, up in the state of now.
func (c *call) stillHolds() error {
	if c.credential == (credential{}) {
		return nil
	}
	return c.read(func(*store.Tx) error { return nil })
}

// ListIssuers says where people can log in.
func (s *Service) ListIssuers(ctx context.Context, in *pb.ListIssuersRequest) (out *pb.ListIssuersResponse, err error) {
	c, err := s.authorize(ctx, access.LoginRead, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.done(&err)
	if err := c.stillHolds(); err != nil {
		return nil, err
	}
	out = &pb.ListIssuersResponse{}
	for _, i := range s.issuers {
		out.Issuers = append(out.Issuers, &pb.Issuer{Name: i.Name, Url: i.URL, ClientId: i.LoginClientID, Scopes: i.LoginScopes})
	}
	return out, nil
}

// endExpired ends the streams of people whose token has expired. It asks nobody, so
// that no outage makes a stream outlive its token.
func (f *feed) endExpired(ctx context.Context) {
	f.eachTick(ctx, recheckEvery, func(_ string, of []*listener) {
		ends := of[0].credential.user.Expires
		if ends.IsZero() || f.s.now().Before(ends) {
			return
		}
		for _, l := range of {
			l.cancel(access.Expired())
		}
	})
}

// recheckPeople looks the tokens of streams up anew, for what their issuer has taken
// back and for the groups of now.
func (f *feed) recheckPeople(ctx context.Context) {
	var asked sync.WaitGroup
	defer asked.Wait()
	f.eachTick(ctx, vouchAgain, func(token string, of []*listener) {
		asked.Go(func() { f.recheckToken(ctx, token, of) })
	})
}

func (f *feed) recheckToken(ctx context.Context, token string, of []*listener) {
	who, err := f.s.user(ctx, token)
	for _, l := range of {
		switch {
		case err == nil:
			l.who.Store(who)
		case model.KindOf(err) == model.Unauthenticated:
			l.cancel(err)
		} // else it is an outage, in which there is no news
	}
}

// eachTick calls do again and again for every token that streams were opened with.
func (f *feed) eachTick(ctx context.Context, every time.Duration, do func(token string, of []*listener)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		by := map[string][]*listener{}
		f.mu.Lock()
		for l := range f.streams {
			if l.credential.user != nil {
				by[l.credential.token] = append(by[l.credential.token], l)
			}
		}
		f.mu.Unlock()
		for token, of := range by {
			do(token, of)
		}
	}
}
