package call

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// Response is what a change answers: it says what became of it.
type Response interface {
	proto.Message
	GetChange() *pb.Change
}

// Plan is one change while it is being decided. It is made anew for every try.
type Plan struct {
	*store.Tx
	Call    *Call
	In      *model.Zone                // where what it is about is, when that is known
	Changed *model.Zone                // whose answers change; nil: no zone's
	Gone    bool                       // the zone is being deleted
	Owner   string                     // of the host that it is about
	Each    []*model.Zone              // when it is about several hosts: where each of those is that change
	Later   map[model.Name]store.Named // hosts as they are once addresses were set in this change
	Audits  []model.AuditRecord
	taken   map[string]int // changes that count, by for whom
	kept    int            // octets of the reply, when it is kept
	ready   bool           // it was decided on, and is to be committed
}

// Record says what is changed: once for each change that is really one, which is
// also what makes the call answer "changed".
func (p *Plan) Record(zone, name model.Name, detail, before, after string) {
	p.RecordAs(p.Call.Action, zone, name, detail, before, after)
}

// RecordAs is Record of a change that has a name of its own, as in a call that consists of
// other actions.
func (p *Plan) RecordAs(action access.Action, zone, name model.Name, detail, before, after string) {
	p.write(model.AuditRecord{Action: string(action), Zone: zone, Name: name, Detail: detail, Before: before, After: after, Owner: p.Owner})
}

// RecordOf is Record for a host that is changed along with the one that the call is about,
// and for what that is.
func (p *Plan) RecordOf(h store.Named, what access.Action, before, after string) {
	p.write(model.AuditRecord{Action: string(what), Zone: p.In.Name, Name: h.Name, Before: before, After: after, Owner: h.Host.Owner})
}

func (p *Plan) write(a model.AuditRecord) {
	a.Time, a.Principal, a.Source, a.RequestID = p.Call.Desk.Now(), p.Call.Who.String(), p.Call.source(), p.Call.Caller.LogID
	if p.Call.Automation != "" {
		a.Principal = p.Call.Automation
	}
	p.Audits = append(p.Audits, a)
	p.Audit(a)
}

// Change decides and commits what a call changes, in one transaction with the
// audit record and, when the client gave a request id, with what the call is
// answered: a repeated call is answered that and changes nothing. decide may be
// called several times and must have no effect but through its plan; the response
// it makes shows resources as they were read and will be, with the etags as read,
// and the serial of a zone that it changes as of revision 0; what only the commit
// tells is filled in here.
func Change[R Response](c *Call, decide func(*Plan) (R, error)) (R, error) {
	var out, none R
	var last *Plan
	id, err := c.requestCall()
	if err != nil {
		return none, err
	}
	var saved *store.Saved
	res, err := c.Desk.Store.UpdateFrom(c.Ctx, c.first.tx, func(tx *store.Tx) error {
		last = &Plan{Tx: tx, Call: c}
		if err := c.Confirm(tx); err != nil {
			return err
		}
		if id != nil {
			var err error
			if saved, err = tx.Result(*id, c.Desk.Now()); saved != nil || err != nil {
				return err
			}
			if c.again { // it is forgotten since
				return model.E(model.NotFound, string(c.Action), c.Resource.Name.Text()).Because("there is no such name, or it is not yours")
			}
		}
		var err error
		if out, err = decide(last); err != nil {
			return err
		}
		if id != nil {
			last.kept = proto.Size(out)
		}
		if err := c.pace(last); err != nil {
			return err
		}
		out.GetChange().Changed = len(last.Audits) > 0
		err = c.save(tx, id, out)
		last.ready = err == nil
		return err
	})
	c.first = glance{} // or the whole state of then would stay for as long as the call
	if err != nil {
		last.writeDown(0, err)
		return none, err
	}
	if saved != nil {
		return replay[R](c, saved)
	}
	stamp(out, res)
	last.writeDown(res.Revision, nil)
	c.await(last, out.GetChange())
	return out, nil
}

// ByItself decides and commits what is nobody's call, in one transaction with the audit
// record, in which automation says what acts; logID joins it to the call for whose sake it
// is, if there is one. decide is as that of Change.
func (d *Desk) ByItself(ctx context.Context, automation string, action access.Action, logID string, decide func(*Plan) error) (revision int64, err error) {
	var last *Plan
	res, err := d.Store.Update(ctx, func(tx *store.Tx) error {
		last = &Plan{Tx: tx, Call: &Call{Desk: d, Ctx: ctx, Caller: Caller{LogID: logID}, Automation: automation, Action: action}}
		err := decide(last)
		last.ready = err == nil
		return err
	})
	last.writeDown(res.Revision, err)
	return res.Revision, err
}

// PlanOf is a plan for those who only look, or whose writes are in no audit.
func (c *Call) PlanOf(tx *store.Tx) *Plan { return &Plan{Tx: tx, Call: c} }

// requestCall is the call as the store keeps it; nil when the client gave no id.
func (c *Call) requestCall() (*store.Call, error) {
	if c.Caller.RequestID == "" {
		return nil, nil
	}
	if len(c.Caller.RequestID) > 128 {
		return nil, model.E(model.Invalid, string(c.Action), "").In("request_id").Because("it is longer than 128 octets").Hint("use a UUID")
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(c.in)
	if err != nil {
		return nil, model.E(model.Internal, string(c.Action), "").From(err)
	}
	sum := sha256.Sum256(raw)
	who := c.Who.String()
	switch {
	case c.Credential.legacy != "": // nothing is kept that it could be guessed from
		who += " legacy"
	case c.Who.Kind == access.HostSecret || c.Who.Kind == access.EndpointSecret: // a later host of that name is another
		who += " " + hex.EncodeToString(c.Credential.Secret.Sum[:8])
	}
	return &store.Call{
		Principal: who, ID: c.Caller.RequestID,
		Method: string(c.in.ProtoReflect().Descriptor().FullName()), Digest: sum[:],
	}, nil
}

// unlessMade is why the call is refused, unless it was made before by the same principal
// with the same request id and has itself taken the right to it away: who has deleted a
// host is to be told all the same what became of that. From where a token may not be used
// nothing is told.
func (c *Call) unlessMade(tx *store.Tx, refusal error) error {
	c.again = false
	endsRights := c.Action == access.HostDelete || c.Action == access.HostLeave || c.Action == access.ZoneOpen
	kind := model.KindOf(refusal)
	if refusal == nil || !endsRights || c.Caller.RequestID == "" || kind != model.NotFound && kind != model.Denied || !c.Who.MayComeFrom() {
		return refusal
	}
	id, err := c.requestCall()
	if err != nil {
		return refusal
	}
	if saved, err := tx.Result(*id, c.Desk.Now()); saved == nil || err != nil {
		return refusal
	}
	c.again, c.Refused = true, false
	return nil
}

// save keeps the response; a secret in it is kept apart, encrypted.
func (c *Call) save(tx *store.Tx, id *store.Call, out Response) error {
	if id == nil {
		return nil
	}
	kept := proto.Clone(out)
	secret := takeSecret(kept)
	raw, err := proto.Marshal(kept)
	if err != nil {
		return model.E(model.Internal, string(c.Action), "").From(err)
	}
	return tx.SaveResult(*id, store.Saved{Response: raw, Secret: secret}, c.Desk.Now())
}

func replay[R Response](c *Call, saved *store.Saved) (R, error) {
	var zero R
	out := zero.ProtoReflect().Type().New().Interface().(R)
	if err := proto.Unmarshal(saved.Response, out); err != nil {
		return zero, model.E(model.Internal, "repeat call", c.Caller.RequestID).From(err)
	}
	putSecret(out, saved.Secret)
	stamp(out, store.Result{Revision: saved.Revision, Changed: out.GetChange().GetChanged()})
	c.await(nil, out.GetChange())
	return out, nil
}

// secretField is the name of the field with a secret, in every message that has one.
const secretField = "secret"

// takeSecret takes the secret out of a response and answers it; "" when it has none.
func takeSecret(m proto.Message) string {
	r := m.ProtoReflect()
	f := r.Descriptor().Fields().ByName(secretField)
	if f == nil {
		return ""
	}
	secret := r.Get(f).String()
	r.Clear(f)
	return secret
}

func putSecret(m proto.Message, secret string) {
	if f := m.ProtoReflect().Descriptor().Fields().ByName(secretField); f != nil && secret != "" {
		m.ProtoReflect().Set(f, protoreflect.ValueOfString(secret))
	}
}

// stamp fills in what is known only once the change is committed. A host gets a new etag
// also when nothing was written but that it was refreshed.
func stamp(out Response, res store.Result) {
	ch, rev := out.GetChange(), res.Revision
	ch.Revision = rev
	if !res.Changed {
		return
	}
	if m, ok := out.(interface{ GetZone() *pb.Zone }); ok && m.GetZone() != nil {
		m.GetZone().Etag = Etag(rev)
		m.GetZone().Serial += uint32(rev)
	}
	if m, ok := out.(interface{ GetHost() *pb.Host }); ok && m.GetHost() != nil {
		m.GetHost().Etag = Etag(rev)
	}
	if m, ok := out.(interface{ GetEndpoint() *pb.Endpoint }); ok && m.GetEndpoint() != nil {
		m.GetEndpoint().Etag = Etag(rev)
	}
	if m, ok := out.(interface{ GetPolicy() *pb.Policy }); ok && m.GetPolicy() != nil {
		m.GetPolicy().Etag = Etag(rev)
	}
	if m, ok := out.(interface{ GetCheck() *pb.Check }); ok && m.GetCheck() != nil {
		m.GetCheck().Etag = Etag(rev)
	}
	if m, ok := out.(interface{ GetRecordSet() *pb.RecordSet }); ok && m.GetRecordSet() != nil {
		m.GetRecordSet().Etag = Etag(rev)
	}
}

// Repeated answers a call that was made before, for those that do much before they
// come to their change.
func Repeated[R Response](c *Call) (out R, done bool, err error) {
	id, err := c.requestCall()
	if id == nil || err != nil {
		return out, false, err
	}
	var saved *store.Saved
	if err := c.Read(func(tx *store.Tx) (err error) {
		saved, err = tx.Result(*id, c.Desk.Now())
		return err
	}); saved == nil || err != nil {
		return out, false, err
	}
	out, err = replay[R](c, saved)
	return out, true, err
}
