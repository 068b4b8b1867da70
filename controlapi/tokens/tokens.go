// Package tokens answers one question: which API tokens does somebody have, and what may
// each do?
package tokens

import (
	"context"
	"slices"
	"strconv"
	"time"

	"signpost/controlapi/call"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// mostEnded is how many tokens of one owner are shown that have ended; those that ended
// first make room.
const mostEnded = 20

// Service is the service for API tokens.
type Service struct {
	pb.UnimplementedTokenServiceServer
	*call.Desk
}

// New makes the service.
func New(d *call.Desk) *Service { return &Service{Desk: d} }

// CreateToken makes a token for the caller and shows it, this once.
func (s *Service) CreateToken(ctx context.Context, in *pb.CreateTokenRequest) (out *pb.CreateTokenResponse, err error) {
	c, err := s.Authorize(ctx, access.TokenCreate, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	limits, err := tokenLimits(in)
	if err != nil {
		return nil, err
	}
	life, err := tokenLife(in)
	if err != nil {
		return nil, err
	}
	secret := access.NewToken()
	parsed, err := access.ParseSecret(secret)
	if err != nil {
		return nil, model.E(model.Internal, "make token", "").From(err)
	}
	id := access.NewTokenID()
	return call.Change(c, func(p *call.Plan) (*pb.CreateTokenResponse, error) {
		if c.Who.Kind != access.User {
			return nil, model.E(model.Precondition, "create token", "").Because("a token is a person's, and you are " + c.Who.String()).
				Hint("log in; signpostd admin-token new makes another admin token")
		}
		owner, all, err := tokensOf(p.Tx, c.Who.Person, s.Now())
		if err != nil {
			return nil, err
		}
		now := s.Now().UTC().Truncate(time.Second)
		t := Owned{sum: parsed.Sum[:], Token: &model.Token{
			ID: id, Owner: c.Who.Person, Limits: limits, Comment: in.GetComment(), CreateTime: now, ExpireTime: now.Add(life),
		}}
		if c.Who.Narrow != nil {
			maker := c.Credential.Secret.Sum[:]
			i := slices.IndexFunc(all, func(o Owned) bool { return string(o.sum) == string(maker) })
			if i < 0 {
				return nil, access.Wrong()
			}
			t.Parent, t.parent = maker, all[i].ID
			if t.ExpireTime.After(all[i].ExpireTime) {
				t.ExpireTime = all[i].ExpireTime
			}
		} else {
			owner.Groups, owner.LoginTime = c.Who.Groups, now
		}
		if err := makeRoom(p, owner, all); err != nil {
			return nil, err
		}
		owner.Tokens = append(owner.Tokens, t.sum)
		if _, err := p.Token(t.sum); err != nil {
			return nil, err
		}
		p.PutToken(t.sum, t.Token)
		p.PutTokenOwner(c.Who.Person, owner)
		p.Record("", "", "token "+id, "", describeToken(t.Token))
		return &pb.CreateTokenResponse{Token: tokenMessage(t), Secret: secret, Change: &pb.Change{}}, nil
	})
}

// Owned is a token as its owner's list has it.
type Owned struct {
	*model.Token
	sum    []byte
	parent string // the id of the token that made it
	used   time.Time
	State  model.TokenState
}

// tokensOf is somebody's tokens, the oldest first.
func tokensOf(tx *store.Tx, who model.PrincipalName, now time.Time) (*model.TokenOwner, []Owned, error) {
	owner, err := tx.TokenOwner(who)
	if err != nil {
		return nil, nil, err
	}
	var all []Owned
	for _, sum := range owner.Tokens {
		t, err := tx.Token(sum)
		if err != nil {
			return nil, nil, err
		}
		if t == nil {
			continue
		}
		o := Owned{Token: t, sum: sum}
		if o.used, err = tx.LastUse(sum); err != nil {
			return nil, nil, err
		}
		o.State = t.State(o.used, now)
		for _, maker := range all {
			if string(maker.sum) == string(t.Parent) {
				o.parent = maker.ID
			}
		}
		all = append(all, o)
	}
	return owner, all, nil
}

// makeRoom refuses one more token to an owner who has as many as one may, and forgets
// those that ended first of too many.
func makeRoom(p *call.Plan, owner *model.TokenOwner, all []Owned) error {
	live, ended := 0, 0
	for _, t := range all {
		if t.State == model.TokenActive {
			live++
		} else {
			ended++
		}
	}
	if live >= model.MaxTokens {
		return model.E(model.Exhausted, "create token", "").Because("you have " + strconv.Itoa(live) + " tokens, as many as one may").
			Hint("revoke one: signpost token list shows them")
	}
	for _, t := range all {
		if ended < mostEnded {
			break
		}
		if t.State != model.TokenActive {
			ended--
			p.DeleteToken(t.sum)
			owner.Tokens = slices.DeleteFunc(owner.Tokens, func(sum []byte) bool { return string(sum) == string(t.sum) })
		}
	}
	return nil
}

// ListTokens shows somebody's tokens, without their secrets, which nobody knows.
func (s *Service) ListTokens(ctx context.Context, in *pb.ListTokensRequest) (out *pb.ListTokensResponse, err error) {
	c, err := s.Authorize(ctx, access.TokenList, access.Resource{Owner: in.GetOwner()}, in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	who, err := tokenOwner(c, in.GetOwner())
	if err != nil {
		return nil, err
	}
	err = c.Read(func(tx *store.Tx) error {
		out = &pb.ListTokensResponse{}
		shown, err := Shown(c, tx, who)
		for _, t := range shown {
			out.Tokens = append(out.Tokens, tokenMessage(t))
		}
		return err
	})
	NoteLogin(c)
	return out, err
}

// tokenOwner reads whose tokens a call is about. Errors: Invalid; Precondition when the
// caller has none.
func tokenOwner(c *call.Call, text string) (model.PrincipalName, error) {
	if text != "" {
		return model.ParsePrincipalName("owner", text)
	}
	if c.Who.Kind != access.User {
		return "", model.E(model.Precondition, string(c.Action), "").In("owner").Because("a token is a person's, and you are " + c.Who.String()).
			Hint("say whose tokens you mean")
	}
	return c.Who.Person, nil
}

// Shown is the tokens that the caller may know of: those of who, but to a token
// itself and what it made.
func Shown(c *call.Call, tx *store.Tx, who model.PrincipalName) ([]Owned, error) {
	_, all, err := tokensOf(tx, who, c.Desk.Now())
	if err != nil || c.Who.Narrow == nil {
		return all, err
	}
	return madeBy(all, c.Credential.Secret.Sum[:]), nil
}

// madeBy is the token with a sum and all that it made, and those made.
func madeBy(all []Owned, sum []byte) []Owned {
	sums := map[string]bool{string(sum): true}
	var out []Owned
	for _, t := range all { // makers are older than what they made
		if sums[string(t.sum)] || sums[string(t.Parent)] {
			sums[string(t.sum)] = true
			out = append(out, t)
		}
	}
	return out
}

// Own is the token that the caller came with; nil when they came with none.
func Own(c *call.Call, tx *store.Tx) (*pb.Token, error) {
	own, err := Shown(c, tx, c.Who.Person)
	if err != nil || len(own) == 0 {
		return nil, err
	}
	return tokenMessage(own[0]), nil
}

// RevokeToken ends a token, and those that it made, now.
func (s *Service) RevokeToken(ctx context.Context, in *pb.RevokeTokenRequest) (out *pb.RevokeTokenResponse, err error) {
	c, err := s.Authorize(ctx, access.TokenRevoke, access.Resource{Owner: in.GetOwner()}, in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	who, err := tokenOwner(c, in.GetOwner())
	if err != nil {
		return nil, err
	}
	return call.Change(c, func(p *call.Plan) (*pb.RevokeTokenResponse, error) {
		all, err := Shown(c, p.Tx, who)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, func(t Owned) bool { return t.ID == in.GetId() })
		if i < 0 {
			return nil, model.E(model.NotFound, "revoke token", in.GetId()).In("id").Because("there is no such token").
				Hint("signpost token list shows yours")
		}
		out := &pb.RevokeTokenResponse{Change: &pb.Change{}}
		for _, t := range madeBy(all, all[i].sum) {
			if t.State == model.TokenRevoked {
				continue
			}
			next := *t.Token
			next.RevokeTime = s.Now().UTC().Truncate(time.Second)
			p.PutToken(t.sum, &next)
			p.Record("", "", "token "+t.ID+" of "+string(who), describeToken(t.Token), "")
			out.Ids = append(out.Ids, t.ID)
		}
		return out, nil
	})
}

// NoteLogin keeps the groups that a person who has tokens is in now, at most once a day
// unless they have changed. What cannot be written is tried again at the next call.
func NoteLogin(c *call.Call) {
	if c.Credential.User == nil {
		return
	}
	now := c.Desk.Now()
	_, err := c.Desk.Store.Update(c.Ctx, func(tx *store.Tx) error {
		o, err := tx.TokenOwner(c.Who.Person)
		if err != nil || len(o.Tokens) == 0 || now.Sub(o.LoginTime) < 24*time.Hour && slices.Equal(o.Groups, c.Who.Groups) {
			return err
		}
		o.Groups, o.LoginTime = c.Who.Groups, now
		tx.PutTokenOwner(c.Who.Person, o)
		return nil
	})
	if err != nil {
		c.Desk.Log.Debug("the groups of a person are not noted", "principal", c.Who.String(), "error", err)
	}
}
