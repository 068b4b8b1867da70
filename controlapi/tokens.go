package controlapi

import (
	"context"
	"slices"
	"strconv"
	"time"

	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// mostEnded is how many tokens of one owner are shown that have ended; those that ended
// first make room.
const mostEnded = 20

// CreateToken makes a token for the caller and shows it, this once.
func (s *Service) CreateToken(ctx context.Context, in *pb.CreateTokenRequest) (out *pb.CreateTokenResponse, err error) {
	c, err := s.authorize(ctx, access.TokenCreate, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.done(&err)
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
	return change(c, func(p *plan) (*pb.CreateTokenResponse, error) {
		if c.who.Kind != access.User {
			return nil, model.E(model.Precondition, "create token", "").Because("a token is a person's, and you are " + c.who.String()).
				Hint("log in; signpostd admin-token new makes another admin token")
		}
		owner, all, err := tokensOf(p.Tx, c.who.Person, s.now())
		if err != nil {
			return nil, err
		}
		now := s.now().UTC().Truncate(time.Second)
		t := ownedToken{sum: parsed.Sum[:], Token: &model.Token{
			ID: id, Owner: c.who.Person, Limits: limits, Comment: in.GetComment(), CreateTime: now, ExpireTime: now.Add(life),
		}}
		if c.who.Narrow != nil {
			maker := c.credential.secret.Sum[:]
			i := slices.IndexFunc(all, func(o ownedToken) bool { return string(o.sum) == string(maker) })
			if i < 0 {
				return nil, access.Wrong()
			}
			t.Parent, t.parent = maker, all[i].ID
			if t.ExpireTime.After(all[i].ExpireTime) {
				t.ExpireTime = all[i].ExpireTime
			}
		} else {
			owner.Groups, owner.LoginTime = c.who.Groups, now
		}
		if err := p.makeRoom(owner, all); err != nil {
			return nil, err
		}
		owner.Tokens = append(owner.Tokens, t.sum)
		if _, err := p.Token(t.sum); err != nil {
			return nil, err
		}
		p.PutToken(t.sum, t.Token)
		p.PutTokenOwner(c.who.Person, owner)
		p.record("", "", "token "+id, "", describeToken(t.Token))
		return &pb.CreateTokenResponse{Token: tokenMessage(t), Secret: secret, Change: &pb.Change{}}, nil
	})
}

// ownedToken is a token as its owner's list has it.
type ownedToken struct {
	*model.Token
	sum    []byte
	parent string // the id of the token that made it
	used   time.Time
	state  model.TokenState
}

// tokensOf is somebody's tokens, the oldest first.
func tokensOf(tx *store.Tx, who model.PrincipalName, now time.Time) (*model.TokenOwner, []ownedToken, error) {
	owner, err := tx.TokenOwner(who)
	if err != nil {
		return nil, nil, err
	}
	var all []ownedToken
	for _, sum := range owner.Tokens {
		t, err := tx.Token(sum)
		if err != nil {
			return nil, nil, err
		}
		if t == nil {
			continue
		}
		o := ownedToken{Token: t, sum: sum}
		if o.used, err = tx.LastUse(sum); err != nil {
			return nil, nil, err
		}
		o.state = t.State(o.used, now)
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
func (p *plan) makeRoom(owner *model.TokenOwner, all []ownedToken) error {
	live, ended := 0, 0
	for _, t := range all {
		if t.state == model.TokenActive {
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
		if t.state != model.TokenActive {
			ended--
			p.DeleteToken(t.sum)
			owner.Tokens = slices.DeleteFunc(owner.Tokens, func(sum []byte) bool { return string(sum) == string(t.sum) })
		}
	}
	return nil
}

// ListTokens shows somebody's tokens, without their secrets, which nobody knows.
func (s *Service) ListTokens(ctx context.Context, in *pb.ListTokensRequest) (out *pb.ListTokensResponse, err error) {
	c, err := s.authorize(ctx, access.TokenList, access.Resource{Owner: in.GetOwner()}, in)
	if err != nil {
		return nil, err
	}
	defer c.done(&err)
	who, err := c.tokenOwner(in.GetOwner())
	if err != nil {
		return nil, err
	}
	err = c.read(func(tx *store.Tx) error {
		out = &pb.ListTokensResponse{}
		shown, err := c.tokensShown(tx, who)
		for _, t := range shown {
			out.Tokens = append(out.Tokens, tokenMessage(t))
		}
		return err
	})
	c.noteLogin()
	return out, err
}

// tokenOwner reads whose tokens a call is about. Errors: Invalid; Precondition when the
// caller has none.
func (c *call) tokenOwner(text string) (model.PrincipalName, error) {
	if text != "" {
		return model.ParsePrincipalName("owner", text)
	}
	if c.who.Kind != access.User {
		return "", model.E(model.Precondition, string(c.action), "").In("owner").Because("a token is a person's, and you are " + c.who.String()).
			Hint("say whose tokens you mean")
	}
	return c.who.Person, nil
}

// tokensShown is the tokens that the caller may know of: those of who, but to a token
// itself and what it made.
func (c *call) tokensShown(tx *store.Tx, who model.PrincipalName) ([]ownedToken, error) {
	_, all, err := tokensOf(tx, who, c.s.now())
	if err != nil || c.who.Narrow == nil {
		return all, err
	}
	return madeBy(all, c.credential.secret.Sum[:]), nil
}

// madeBy is the token with a sum and all that it made, and those made.
func madeBy(all []ownedToken, sum []byte) []ownedToken {
	sums := map[string]bool{string(sum): true}
	var out []ownedToken
	for _, t := range all { // makers are older than what they made
		if sums[string(t.sum)] || sums[string(t.Parent)] {
			sums[string(t.sum)] = true
			out = append(out, t)
		}
	}
	return out
}

func (c *call) ownToken(tx *store.Tx) (*pb.Token, error) {
	own, err := c.tokensShown(tx, c.who.Person)
	if err != nil || len(own) == 0 {
		return nil, err
	}
	return tokenMessage(own[0]), nil
}

// RevokeToken ends a token, and those that it made, now.
func (s *Service) RevokeToken(ctx context.Context, in *pb.RevokeTokenRequest) (out *pb.RevokeTokenResponse, err error) {
	c, err := s.authorize(ctx, access.TokenRevoke, access.Resource{Owner: in.GetOwner()}, in)
	if err != nil {
		return nil, err
	}
	defer c.done(&err)
	who, err := c.tokenOwner(in.GetOwner())
	if err != nil {
		return nil, err
	}
	return change(c, func(p *plan) (*pb.RevokeTokenResponse, error) {
		all, err := c.tokensShown(p.Tx, who)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, func(t ownedToken) bool { return t.ID == in.GetId() })
		if i < 0 {
			return nil, model.E(model.NotFound, "revoke token", in.GetId()).In("id").Because("there is no such token").
				Hint("signpost token list shows yours")
		}
		out := &pb.RevokeTokenResponse{Change: &pb.Change{}}
		for _, t := range madeBy(all, all[i].sum) {
			if t.state == model.TokenRevoked {
				continue
			}
			next := *t.Token
			next.RevokeTime = s.now().UTC().Truncate(time.Second)
			p.PutToken(t.sum, &next)
			p.record("", "", "token "+t.ID+" of "+string(who), describeToken(t.Token), "")
			out.Ids = append(out.Ids, t.ID)
		}
		return out, nil
	})
}

// noteLogin keeps the groups that a person who has tokens is in now, at most once a day
// unless they have changed. What cannot be written is tried again at the next call.
func (c *call) noteLogin() {
	if c.credential.user == nil {
		return
	}
	now := c.s.now()
	_, err := c.s.store.Update(c.ctx, func(tx *store.Tx) error {
		o, err := tx.TokenOwner(c.who.Person)
		if err != nil || len(o.Tokens) == 0 || now.Sub(o.LoginTime) < 24*time.Hour && slices.Equal(o.Groups, c.who.Groups) {
			return err
		}
		o.Groups, o.LoginTime = c.who.Groups, now
		tx.PutTokenOwner(c.who.Person, o)
		return nil
	})
	if err != nil {
		c.s.log.Debug("the groups of a person are not noted", "principal", c.who.String(), "error", err)
	}
}
