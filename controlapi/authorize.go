package controlapi

import (
	"context"
	"errors"
	"strings"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"

	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
)

// call is one call that was allowed.
type call struct {
	s          *Service
	ctx        context.Context
	caller     Caller
	credential credential
	who        access.Principal
	automation string      // what acts, when it is nobody's call
	proof      store.Basis // of who
	first      glance      // the proof's own look, until another has been had
	action     access.Action
	resource   access.Resource
	in         proto.Message
	started    time.Time
	refused    bool           // access.Decide said no, or there were too many changes
	wrong      bool           // what was shown is nobody's credential
	counted    bool           // the call was
	paced      bool           // the change was
	taken      map[string]int // changes that were counted, by for whom
	keeps      *bool          // whether what is deleted is kept for the caller, who owns it; nil: that is not counted yet
	marker     string         // whose end ends the timed word that is said
	former     string         // of the word in whose place it is
	confirmed  bool           // the caller's credential held in a state of after the call came
	again      bool           // it would be refused, and was made before
	guarded    *guarded       // what a try has found out of all hosts
}

// authorize is the first statement of every method: it finds out who is asking,
// lets access.Decide say whether they may, and checks the request against the
// limits that its message declares. What it refuses is logged and counted; what
// it lets pass must be ended with done.
func (s *Service) authorize(ctx context.Context, a access.Action, r access.Resource, in proto.Message) (*call, error) {
	c := &call{s: s, ctx: ctx, caller: callerOf(ctx), action: a, resource: r, in: in, started: time.Now()}
	err := c.admit()
	if model.KindOf(err) == model.Unauthenticated && err != nil && c.caller.Authorization != "" {
		if c.wrong = true; !access.HasEnded(err) {
			err = c.guessed(err)
		}
	}
	if err != nil {
		c.done(&err)
		return nil, err
	}
	return c, nil
}

func (c *call) admit() error {
	var err error
	if c.s.barred.address(c.caller.Source) {
		return c.bar("address")
	}
	if c.credential, err = parseAuthorization(c.caller.Authorization); err != nil {
		return err
	}
	if c.credential.secret.Kind == access.EndpointSecret && c.credential.host == "" {
		c.credential.host, c.credential.id = c.resource.Name, c.resource.ID
	}
	if c.credential.token != "" {
		if c.credential.user, err = c.s.user(c.ctx, c.credential.token); err != nil {
			return err
		}
	}
	by, tooMany := "", error(nil)
	if c.credential == (credential{}) {
		if err = c.decideOn(nil); err == nil { // nobody's rights rest on nothing
			err = c.paceCall()
		}
	} else {
		// What is done afterwards looks it all up again, on the state it acts on.
		wrong := false
		err = c.s.store.Peek(c.ctx, func(tx *store.Tx) error {
			if wrong { // in the state at hand: a second look has its price
				if err := c.locked(); err != nil {
					return err
				}
			}
			who, first, err := c.identify(tx)
			c.who, c.first = who, first
			c.refused = model.KindOf(err) == model.Denied
			wrong = err != nil
			if err == nil {
				if by = c.barredBy(); by == "" {
					tooMany = c.paceCall()
				}
				if by == "" && tooMany == nil {
					err = c.unlessMade(tx, c.decideOn(tx))
				}
			}
			c.proof = tx.Basis()
			return err
		})
	}
	if err == nil && by != "" {
		err = c.bar(by)
	}
	if err == nil {
		err = tooMany
	}
	// Who may not know of a thing is told that first, and who may only then.
	if (err == nil || errors.Is(err, model.ErrBlocked)) && c.s.barred.agent(c.caller.UserAgent) {
		return c.bar("agent")
	}
	if err != nil {
		return err
	}
	return c.s.validate(c.action, c.in)
}

// user is whom an identity provider's token vouches for.
func (s *Service) user(ctx context.Context, token string) (*access.Principal, error) {
	if s.users == nil {
		return nil, access.Wrong()
	}
	p, err := s.users(ctx, token)
	if err != nil {
		return nil, err
	}
	p.Operator = p.Among(s.operators)
	return &p, nil
}

// decideOn decides on what a transaction says of the resource.
func (c *call) decideOn(tx *store.Tx) error {
	err := c.may(tx, c.action, c.resource)
	c.refused = err != nil && model.KindOf(err) != model.Unavailable
	return err
}

// may decides on an action of the caller's, of which what they call for consists.
func (c *call) may(tx *store.Tx, a access.Action, r access.Resource) error {
	return decide(tx, c.who, a, r, c.s.now())
}

// decide decides on what a transaction says of a resource, as far as it matters.
func decide(tx *store.Tx, who access.Principal, a access.Action, r access.Resource, now time.Time) error {
	var err error
	switch {
	case who.Kind == access.User && (!who.Operator || who.Narrow != nil):
		r, err = known(tx, who, a, r, now)
	case who.Kind == access.HostSecret || who.Kind == access.EndpointSecret:
		r, err = knownOf(tx, who.Host, r, now)
	}
	if err != nil {
		return err
	}
	return access.Decide(who, a, r)
}

// confirm looks the caller's credential and rights up again inside a transaction, so
// that no change is committed on what was taken back meanwhile, and nothing is told to
// who has lost them before the call.
func (c *call) confirm(tx *store.Tx) error {
	c.confirmed = true
	if err := c.who.Ended(c.s.now()); err != nil {
		return err
	}
	if c.first.tx == tx && tx != nil {
		return nil // it is the look that was decided on
	}
	c.first = glance{}
	if !c.again {
		if same, err := tx.Holds(c.proof); same || err != nil {
			return err
		}
	}
	who, _, err := c.identify(tx)
	if err != nil {
		return err
	}
	if !who.Same(c.who) {
		return access.Wrong()
	}
	c.who = who
	return c.unlessMade(tx, c.decideOn(tx))
}

// read looks at the state of now, in which the caller's credential still holds.
func (c *call) read(look func(*store.Tx) error) error {
	return c.s.store.Read(c.ctx, func(tx *store.Tx) error {
		if err := c.confirm(tx); err != nil {
			return err
		}
		return look(tx)
	})
}

// look is read for those who look for longer; it stays as it is.
func (c *call) look() (*store.Tx, error) {
	tx, err := c.s.store.Look(c.ctx)
	if err == nil {
		err = c.confirm(tx)
	}
	return tx, err
}

// errUnconfirmed is a method's mistake: it is about to answer on what was true once.
var errUnconfirmed = errors.New("the method has not looked whether the credential still holds")

// identify is who the caller is, and from where.
func (c *call) identify(tx *store.Tx) (access.Principal, glance, error) {
	who, first, err := c.s.identify(tx, c.credential)
	who.From = c.caller.Source
	return who, first, err
}

// done counts the call and writes down that it was refused or went wrong. A call whose
// credential was not confirmed does not succeed.
func (c *call) done(err *error) {
	if *err == nil && c.credential != (credential{}) && !c.confirmed {
		*err = model.E(model.Internal, string(c.action), "").From(errUnconfirmed)
	}
	method := strings.TrimSuffix(string(c.in.ProtoReflect().Descriptor().Name()), "Request")
	c.s.metrics.observe(method, *err, time.Since(c.started))
	c.writeDown(*err)
}

// validate checks a request against the rules in its message's declaration.
// Errors are of kind Invalid and name the field.
func (s *Service) validate(a access.Action, in proto.Message) error {
	err := s.validator.Validate(in)
	if err == nil {
		return nil
	}
	var bad *protovalidate.ValidationError
	if !errors.As(err, &bad) || len(bad.Violations) == 0 {
		return model.E(model.Internal, string(a), "").From(err)
	}
	v := bad.Violations[0].Proto
	return model.E(model.Invalid, string(a), "").In(protovalidate.FieldPathString(v.GetField())).Because(v.GetMessage())
}

// at is the resource of a request about a name, as the client wrote it. A name
// that cannot be read is nobody's: the method says what is wrong with it to those
// who may know.
func at(text string) access.Resource {
	n, err := ownerName("fqdn", text)
	if err != nil {
		return access.Resource{}
	}
	return access.Resource{Name: n}
}

// hostAt is at for a host. It reads the name as the methods for hosts do, so that
// what is decided on is what is done.
func hostAt(text string) access.Resource {
	n, err := model.ParseHostName("fqdn", text)
	if err != nil {
		return access.Resource{}
	}
	return access.Resource{Name: n}
}

// endpointAt is hostAt for one of its endpoints; those of a name that cannot be read are
// nobody's.
func endpointAt(fqdn, id string) access.Resource {
	r := hostAt(fqdn)
	if r.Name != "" {
		r.ID = id
	}
	return r
}

func recordAt(text, rrtype string) access.Resource {
	r := at(text)
	r.Type, _ = model.ParseType(rrtype)
	return r
}
