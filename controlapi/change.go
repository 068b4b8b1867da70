package controlapi

import (
	"crypto/sha256"
	"encoding/hex"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

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
	in     *model.Zone                // where what it is about is, when that is known
	zone   *model.Zone                // whose answers change; nil: no zone's
	gone   bool                       // the zone is being deleted
	owner  string                     // of the host that it is about
	each   []*model.Zone              // when it is about several hosts: where each of those is that change
	later  map[model.Name]store.Named // hosts as they are once addresses were set in this change
	audits []model.AuditRecord
	taken  map[string]int // changes that count, by for whom
	kept   int            // octets of the reply, when it is kept
	ready  bool           // it was decided on, and is to be committed
}

// record says what is changed: once for each change that is really one, which is
// also what makes the call answer "changed".
func (p *plan) record(zone, name model.Name, detail, before, after string) {
	p.recordAs(p.call.action, zone, name, detail, before, after)
}

// recordAs is record of a change that has a name of its own, as in a call that consists of
// other actions.
func (p *plan) recordAs(action access.Action, zone, name model.Name, detail, before, after string) {
	p.write(model.AuditRecord{Action: string(action), Zone: zone, Name: name, Detail: detail, Before: before, After: after, Owner: p.owner})
}

// recordOf is record for a host that is changed along with the one that the call is about,
// and for what that is.
func (p *plan) recordOf(h store.Named, what access.Action, before, after string) {
	p.write(model.AuditRecord{Action: string(what), Zone: p.in.Name, Name: h.Name, Before: before, After: after, Owner: h.Host.Owner})
}

func (p *plan) write(a model.AuditRecord) {
	a.Time, a.Principal, a.Source, a.RequestID = p.call.s.now(), p.call.who.String(), p.call.source(), p.call.caller.LogID
	if p.call.automation != "" {
		a.Principal = p.call.automation
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
	res, err := c.s.store.UpdateFrom(c.ctx, c.first.tx, func(tx *store.Tx) error {
		last = &plan{Tx: tx, call: c}
		if err := c.confirm(tx); err != nil {
			return err
		}
		if id != nil {
			var err error
			if saved, err = tx.Result(*id, c.s.now()); saved != nil || err != nil {
				return err
			}
			if c.again { // it is forgotten since
				return model.E(model.NotFound, string(c.action), c.resource.Name.Text()).Because("there is no such name, or it is not yours")
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
		out.GetChange().Changed = len(last.audits) > 0
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
	who := c.who.String()
	switch {
	case c.credential.legacy != "": // nothing is kept that it could be guessed from
		who += " legacy"
	case c.who.Kind == access.HostSecret || c.who.Kind == access.EndpointSecret: // a later host of that name is another
		who += " " + hex.EncodeToString(c.credential.secret.Sum[:8])
	}
	return &store.Call{
		Principal: who, ID: c.caller.RequestID,
		Method: string(c.in.ProtoReflect().Descriptor().FullName()), Digest: sum[:],
	}, nil
}

// unlessMade is why the call is refused, unless it was made before by the same principal
// with the same request id and has itself taken the right to it away: who has deleted a
// host is to be told all the same what became of that. From where a token may not be used
// nothing is told.
func (c *call) unlessMade(tx *store.Tx, refusal error) error {
	c.again = false
	endsRights := c.action == access.HostDelete || c.action == access.HostLeave || c.action == access.ZoneOpen
	kind := model.KindOf(refusal)
	if refusal == nil || !endsRights || c.caller.RequestID == "" || kind != model.NotFound && kind != model.Denied || !c.who.MayComeFrom() {
		return refusal
	}
	id, err := c.requestCall()
	if err != nil {
		return refusal
	}
	if saved, err := tx.Result(*id, c.s.now()); saved == nil || err != nil {
		return refusal
	}
	c.again, c.refused = true, false
	return nil
}

// save keeps the response; a secret in it is kept apart, encrypted.
func (c *call) save(tx *store.Tx, id *store.Call, out response) error {
	if id == nil {
		return nil
	}
	kept := proto.Clone(out)
	secret := takeSecret(kept)
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
func stamp(out response, res store.Result) {
	ch, rev := out.GetChange(), res.Revision
	ch.Revision = rev
	if !res.Changed {
		return
	}
	if m, ok := out.(interface{ GetZone() *pb.Zone }); ok && m.GetZone() != nil {
		m.GetZone().Etag = etag(rev)
		m.GetZone().Serial += uint32(rev)
	}
	if m, ok := out.(interface{ GetHost() *pb.Host }); ok && m.GetHost() != nil {
		m.GetHost().Etag = etag(rev)
	}
	if m, ok := out.(interface{ GetEndpoint() *pb.Endpoint }); ok && m.GetEndpoint() != nil {
		m.GetEndpoint().Etag = etag(rev)
	}
	if m, ok := out.(interface{ GetPolicy() *pb.Policy }); ok && m.GetPolicy() != nil {
		m.GetPolicy().Etag = etag(rev)
	}
	if m, ok := out.(interface{ GetCheck() *pb.Check }); ok && m.GetCheck() != nil {
		m.GetCheck().Etag = etag(rev)
	}
	if m, ok := out.(interface{ GetRecordSet() *pb.RecordSet }); ok && m.GetRecordSet() != nil {
		m.GetRecordSet().Etag = etag(rev)
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
	if err := c.read(func(tx *store.Tx) (err error) {
		saved, err = tx.Result(*id, c.s.now())
		return err
	}); saved == nil || err != nil {
		return out, false, err
	}
	out, err = replay[R](c, saved)
	return out, true, err
}
