package controlapi

import (
	"crypto/sha256"
	"log/slog"

	"google.golang.org/protobuf/proto"

	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// response is what a change answers: it says what became of it.
type response interface {
	proto.Message
	GetChange() *pb.Change
}

// plan is one change while it is being decided. It is made anew for every try.
type plan struct {
	*store.Tx
	call   *call
	zone   *model.Zone // whose answers change; nil: no zone's
	gone   bool        // the zone is being deleted
	audits []model.AuditRecord
}

// record says what is changed: once for each change that is really one, which is
// also what makes the call answer "changed".
func (p *plan) record(zone, name model.Name, detail, before, after string) {
	a := model.AuditRecord{
		Time: p.call.s.now(), Principal: p.call.who.String(), Source: p.call.source(), RequestID: p.call.caller.LogID,
		Action: string(p.call.action), Zone: zone, Name: name, Detail: detail, Before: before, After: after,
	}
	p.audits = append(p.audits, a)
	p.Audit(a)
}

// change decides and commits what a call changes, in one transaction with the
// audit record and, when the client gave a request id, with what the call is
// answered: a repeated call is answered that and changes nothing. decide may be
// called several times and must have no effect but through its plan; the response
// it makes shows resources as they were read and will be, with the etags as read,
// and the serial of a zone that it changes as of revision 0; what only the commit
// tells is filled in here.
func change[R response](c *call, decide func(*plan) (R, error)) (R, error) {
	var out, none R
	var last *plan
	id, err := c.requestCall()
	if err != nil {
		return none, err
	}
	var saved *store.Saved
	res, err := c.s.store.Update(c.ctx, func(tx *store.Tx) error {
		last = &plan{Tx: tx, call: c}
		if err := c.confirm(tx); err != nil {
			return err
		}
		if id != nil {
			var err error
			if saved, err = tx.Result(*id, c.s.now()); saved != nil || err != nil {
				return err
			}
		}
		var err error
		if out, err = decide(last); err != nil {
			return err
		}
		out.GetChange().Changed = len(last.audits) > 0
		return c.save(tx, id, out)
	})
	if err != nil {
		return none, err
	}
	if saved != nil {
		return replay[R](c, saved)
	}
	stamp(out, res.Revision)
	c.logChange(last, res.Revision)
	c.await(last, out.GetChange())
	return out, nil
}

// requestCall is the call as the store keeps it; nil when the client gave no id.
func (c *call) requestCall() (*store.Call, error) {
	if c.caller.RequestID == "" {
		return nil, nil
	}
	if len(c.caller.RequestID) > 128 {
		return nil, model.E(model.Invalid, string(c.action), "").In("request_id").Because("it is longer than 128 octets").Hint("use a UUID")
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(c.in)
	if err != nil {
		return nil, model.E(model.Internal, string(c.action), "").From(err)
	}
	sum := sha256.Sum256(raw)
	return &store.Call{
		Principal: c.who.String(), ID: c.caller.RequestID,
		Method: string(c.in.ProtoReflect().Descriptor().FullName()), Digest: sum[:],
	}, nil
}

// save keeps the response; a secret in it is kept apart, encrypted.
func (c *call) save(tx *store.Tx, id *store.Call, out response) error {
	if id == nil {
		return nil
	}
	kept := proto.Clone(out)
	var secret string
	if s := secretIn(kept); s != nil {
		secret, *s = *s, ""
	}
	raw, err := proto.Marshal(kept)
	if err != nil {
		return model.E(model.Internal, string(c.action), "").From(err)
	}
	return tx.SaveResult(*id, store.Saved{Response: raw, Secret: secret}, c.s.now())
}

func replay[R response](c *call, saved *store.Saved) (R, error) {
	var zero R
	out := zero.ProtoReflect().Type().New().Interface().(R)
	if err := proto.Unmarshal(saved.Response, out); err != nil {
		return zero, model.E(model.Internal, "repeat call", c.caller.RequestID).From(err)
	}
	if s := secretIn(out); s != nil {
		*s = saved.Secret
	}
	stamp(out, saved.Revision)
	c.await(nil, out.GetChange())
	return out, nil
}

// secretIn is the field that holds the secret in a response, nil when the message
// has none.
func secretIn(m proto.Message) *string {
	switch m := m.(type) {
	case *pb.CreateHostResponse:
		return &m.Secret
	case *pb.RotateSecretResponse:
		return &m.Secret
	}
	return nil
}

// stamp fills in what is known only once the change is committed.
func stamp(out response, rev int64) {
	ch := out.GetChange()
	ch.Revision = rev
	if !ch.Changed {
		return
	}
	if m, ok := out.(interface{ GetZone() *pb.Zone }); ok && m.GetZone() != nil {
		m.GetZone().Etag = etag(rev)
		m.GetZone().Serial += uint32(rev)
	}
	if m, ok := out.(interface{ GetHost() *pb.Host }); ok && m.GetHost() != nil {
		m.GetHost().Etag = etag(rev)
	}
	if m, ok := out.(interface{ GetRecordSet() *pb.RecordSet }); ok && m.GetRecordSet() != nil {
		m.GetRecordSet().Etag = etag(rev)
	}
}

// logChange writes the audit records as log lines, which are for keeping. Each use
// of an admin token stands out: it is for the day when no other way is left.
func (c *call) logChange(p *plan, rev int64) {
	for _, a := range p.audits {
		c.s.log.Log(c.ctx, slog.LevelInfo, "changed", append(c.fields(), "revision", rev, "zone", a.Zone.Text(),
			"admin_token", c.who.Kind == access.Admin, "detail", a.Detail, "before", a.Before, "after", a.After)...)
	}
}

// repeated answers a call that was made before, for those that do much before they
// come to their change.
func repeated[R response](c *call) (out R, done bool, err error) {
	id, err := c.requestCall()
	if id == nil || err != nil {
		return out, false, err
	}
	var saved *store.Saved
	if err := c.s.store.Read(c.ctx, func(tx *store.Tx) (err error) {
		saved, err = tx.Result(*id, c.s.now())
		return err
	}); saved == nil || err != nil {
		return out, false, err
	}
	out, err = replay[R](c, saved)
	return out, true, err
}
