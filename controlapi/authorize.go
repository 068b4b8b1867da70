package controlapi

import (
	"context"
	"errors"
	"log/slog"
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
	action     access.Action
	resource   access.Resource
	in         proto.Message
	started    time.Time
	refused    bool // access.Decide said no
}

// authorize is the first statement of every method: it finds out who is asking,
// lets access.Decide say whether they may, and checks the request against the
// limits that its message declares. What it refuses is logged and counted; what
// it lets pass must be ended with done.
func (s *Service) authorize(ctx context.Context, a access.Action, r access.Resource, in proto.Message) (*call, error) {
	c := &call{s: s, ctx: ctx, caller: callerOf(ctx), action: a, resource: r, in: in, started: time.Now()}
	err := c.admit()
	if err != nil {
		c.done(&err)
		return nil, err
	}
	return c, nil
}

func (c *call) admit() error {
	var err error
	if c.credential, err = parseAuthorization(c.caller.Authorization); err != nil {
		return err
	}
	if c.credential.secret.Kind != access.Nobody {
		// What is done afterwards looks the credential up again, on the state it acts on.
		err := c.s.store.Peek(c.ctx, func(tx *store.Tx) error {
			var err error
			c.who, err = c.credential.identify(tx)
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := access.Decide(c.who, c.action, c.resource); err != nil {
		c.refused = true
		return err
	}
	return c.s.validate(c.action, c.in)
}

// confirm looks the caller's credential up again inside a transaction, so that no
// change is committed on one that was taken back meanwhile.
func (c *call) confirm(tx *store.Tx) error {
	who, err := c.credential.identify(tx)
	if err != nil {
		return err
	}
	if who != c.who {
		return access.Wrong()
	}
	return nil
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

// done counts the call and logs it when it was refused or went wrong.
func (c *call) done(err *error) {
	method := strings.TrimSuffix(string(c.in.ProtoReflect().Descriptor().Name()), "Request")
	c.s.metrics.observe(method, *err, time.Since(c.started))
	if *err == nil {
		return
	}
	level, what := slog.LevelInfo, "call failed"
	switch kind := model.KindOf(*err); {
	case c.refused || kind == model.Unauthenticated:
		level, what = slog.LevelWarn, "call refused"
	case kind == model.Internal:
		level = slog.LevelError
	}
	c.s.log.Log(c.ctx, level, what, append(c.fields(), "kind", model.KindOf(*err).String(), "error", *err)...)
}

// fields is what every log line about the call says.
func (c *call) fields() []any {
	return []any{
		"request", c.caller.LogID, "principal", c.who.String(), "source", c.source(),
		"agent", c.caller.UserAgent, "action", string(c.action), "name", c.resource.Name.Text(),
	}
}

func (c *call) source() string {
	if !c.caller.Source.IsValid() {
		return ""
	}
	return c.caller.Source.String()
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

func recordAt(text, rrtype string) access.Resource {
	r := at(text)
	r.Type, _ = model.ParseType(rrtype)
	return r
}
