package call

import (
	"context"
	"errors"
	"strings"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"

	"signpost/controlapi/facts"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
)

// Call is one call that was allowed.
type Call struct {
	Desk       *Desk
	Ctx        context.Context
	Caller     Caller
	Credential Credential
	Who        access.Principal
	Automation string      // what acts, when it is nobody's call
	proof      store.Basis // of who
	first      glance      // the proof's own look, until another has been had
	Action     access.Action
	Resource   access.Resource
	in         proto.Message
	started    time.Time
	Refused    bool           // access.Decide said no, or there were too many changes
	wrong      bool           // what was shown is nobody's credential
	counted    bool           // the call was
	paced      bool           // the change was
	taken      map[string]int // changes that were counted, by for whom
	keeps      *bool          // whether what is deleted is kept for the caller, who owns it; nil: that is not counted yet
	confirmed  bool           // the caller's credential held in a state of after the call came
	again      bool           // it would be refused, and was made before
}

// Authorize is the first statement of every method: it finds out who is asking,
// lets access.Decide say whether they may, and checks the request against the
// limits that its message declares. What it refuses is logged and counted; what
// it lets pass must be ended with Done.
func (d *Desk) Authorize(ctx context.Context, a access.Action, r access.Resource, in proto.Message) (*Call, error) {
	c := &Call{Desk: d, Ctx: ctx, Caller: CallerOf(ctx), Action: a, Resource: r, in: in, started: time.Now()}
	err := c.admit()
	if model.KindOf(err) == model.Unauthenticated && err != nil && c.Caller.Authorization != "" {
		if c.wrong = true; !access.HasEnded(err) {
			err = c.guessed(err)
		}
	}
	if err != nil {
		c.Done(&err)
		return nil, err
	}
	return c, nil
}

func (c *Call) admit() error {
	var err error
	if c.Desk.Barred.address(c.Caller.Source) {
		return c.bar("address")
	}
	if c.Credential, err = parseAuthorization(c.Caller.Authorization); err != nil {
		return err
	}
	if c.Credential.Secret.Kind == access.EndpointSecret && c.Credential.host == "" {
		c.Credential.host, c.Credential.id = c.Resource.Name, c.Resource.ID
	}
	if c.Credential.Token != "" {
		if c.Credential.User, err = c.Desk.User(c.Ctx, c.Credential.Token); err != nil {
			return err
		}
	}
	by, tooMany := "", error(nil)
	if c.Credential == (Credential{}) {
		if err = c.decideOn(nil); err == nil { // nobody's rights rest on nothing
			err = c.paceCall()
		}
	} else {
		// What is done afterwards looks it all up again, on the state it acts on.
		wrong := false
		err = c.Desk.Store.Peek(c.Ctx, func(tx *store.Tx) error {
			if wrong { // in the state at hand: a second look has its price
				if err := c.locked(); err != nil {
					return err
				}
			}
			who, first, err := c.identify(tx)
			c.Who, c.first = who, first
			c.Refused = model.KindOf(err) == model.Denied
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
	if (err == nil || errors.Is(err, model.ErrBlocked)) && c.Desk.Barred.agent(c.Caller.UserAgent) {
		return c.bar("agent")
	}
	if err != nil {
		return err
	}
	return c.Desk.Validate(c.Action, c.in)
}

// User is whom an identity provider's token vouches for.
func (d *Desk) User(ctx context.Context, token string) (*access.Principal, error) {
	if d.users == nil {
		return nil, access.Wrong()
	}
	p, err := d.users(ctx, token)
	if err != nil {
		return nil, err
	}
	p.Operator = p.Among(d.Operators)
	return &p, nil
}

// decideOn decides on what a transaction says of the resource.
func (c *Call) decideOn(tx *store.Tx) error {
	err := c.May(tx, c.Action, c.Resource)
	c.Refused = err != nil && model.KindOf(err) != model.Unavailable
	return err
}

// May decides on an action of the caller's, of which what they call for consists.
func (c *Call) May(tx *store.Tx, a access.Action, r access.Resource) error {
	return Decide(tx, c.Who, a, r, c.Desk.Now())
}

// Decide decides on what a transaction says of a resource, as far as it matters.
func Decide(tx *store.Tx, who access.Principal, a access.Action, r access.Resource, now time.Time) error {
	var err error
	switch {
	case who.Kind == access.User && (!who.Operator || who.Narrow != nil):
		r, err = facts.Known(tx, who, a, r, now)
	case who.Kind == access.HostSecret || who.Kind == access.EndpointSecret:
		r, err = facts.KnownOf(tx, who.Host, r, now)
	}
	if err != nil {
		return err
	}
	return access.Decide(who, a, r)
}

// Known decides on a resource of which all that the decision rests on is said already, as
// what was is, of which nothing can be looked up.
func Known(who access.Principal, a access.Action, r access.Resource) error {
	return access.Decide(who, a, r)
}

// Confirm looks the caller's credential and rights up again inside a transaction, so
// that no change is committed on what was taken back meanwhile, and nothing is told to
// who has lost them before the call.
func (c *Call) Confirm(tx *store.Tx) error {
	c.confirmed = true
	if err := c.Who.Ended(c.Desk.Now()); err != nil {
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
	if !who.Same(c.Who) {
		return access.Wrong()
	}
	c.Who = who
	return c.unlessMade(tx, c.decideOn(tx))
}

// Read looks at the state of now, in which the caller's credential still holds.
func (c *Call) Read(look func(*store.Tx) error) error {
	return c.Desk.Store.Read(c.Ctx, func(tx *store.Tx) error {
		if err := c.Confirm(tx); err != nil {
			return err
		}
		return look(tx)
	})
}

// Look is Read for those who look for longer; it stays as it is.
func (c *Call) Look() (*store.Tx, error) {
	tx, err := c.Desk.Store.Look(c.Ctx)
	if err == nil {
		err = c.Confirm(tx)
	}
	return tx, err
}

// errUnconfirmed is a method's mistake: it is about to answer on what was true once.
var errUnconfirmed = errors.New("the method has not looked whether the credential still holds")

// identify is who the caller is, and from where.
func (c *Call) identify(tx *store.Tx) (access.Principal, glance, error) {
	who, first, err := c.Desk.Identify(tx, c.Credential)
	who.From = c.Caller.Source
	return who, first, err
}

// Done counts the call and writes down that it was refused or went wrong. A call whose
// credential was not confirmed does not succeed.
func (c *Call) Done(err *error) {
	if *err == nil && c.Credential != (Credential{}) && !c.confirmed {
		*err = model.E(model.Internal, string(c.Action), "").From(errUnconfirmed)
	}
	method := strings.TrimSuffix(string(c.in.ProtoReflect().Descriptor().Name()), "Request")
	c.Desk.metrics.observe(method, *err, time.Since(c.started))
	c.writeDown(*err)
}

// Validate checks a request against the rules in its message's declaration.
// Errors are of kind Invalid and name the field.
func (d *Desk) Validate(a access.Action, in proto.Message) error {
	err := d.validator.Validate(in)
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

// At is the resource of a request about a name, as the client wrote it. A name
// that cannot be read is nobody's: the method says what is wrong with it to those
// who may know.
func At(text string) access.Resource {
	n, err := facts.ParseName("fqdn", text)
	if err != nil {
		return access.Resource{}
	}
	return access.Resource{Name: n}
}

// HostAt is At for a host. It reads the name as the methods for hosts do, so that
// what is decided on is what is done.
func HostAt(text string) access.Resource {
	n, err := model.ParseHostName("fqdn", text)
	if err != nil {
		return access.Resource{}
	}
	return access.Resource{Name: n}
}

// EndpointAt is HostAt for one of its endpoints; those of a name that cannot be read are
// nobody's.
func EndpointAt(fqdn, id string) access.Resource {
	r := HostAt(fqdn)
	if r.Name != "" {
		r.ID = id
	}
	return r
}

// RecordAt is At for a record set.
func RecordAt(text, rrtype string) access.Resource {
	r := At(text)
	r.Type, _ = model.ParseType(rrtype)
	return r
}
