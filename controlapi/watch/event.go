package watch

import (
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"signpost/controlapi/facts"
	"signpost/controlapi/message"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// The kinds of events, and what they say became of a thing.
const (
	kindZone   = "zone"
	kindHost   = "host"
	kindRecord = "record"
	kindAudit  = "audit"
	kindHealth = "health"

	wasCreated = "created"
	wasChanged = "changed"
	wasDeleted = "deleted"
)

// batch is the changes of one revision.
type batch struct {
	rev     int64
	changes []*changed
	touched touched
	stands  bool // what has come to stand otherwise is among the changes
}

// changed is one change: an audit record, and what it says, or an endpoint that stands
// otherwise, with a record that is in no audit.
type changed struct {
	record *model.AuditRecord
	kind   string // "" when it is of nothing that the feed shows
	what   string
	rrtype uint16    // of a record set
	event  *pb.Event // nil: not made yet; the same for all who see it
}

func newBatch(n store.News) *batch {
	b := &batch{rev: n.Revision, touched: newTouched(n)}
	for _, r := range n.Records {
		b.changes = append(b.changes, newChanged(r))
	}
	return b
}

// shown is what the feed shows of each action; one without a row is in the audit
// alone.
var shown = map[access.Action]struct{ kind, what string }{
	access.ZoneCreate:        {kindZone, wasCreated},
	access.ZoneUpdate:        {kindZone, wasChanged},
	access.ZoneImport:        {kindZone, wasChanged}, // or created: event finds out
	access.ZoneReplace:       {kindZone, wasChanged}, // likewise
	access.ZoneDelete:        {kindZone, wasDeleted},
	access.HostCreate:        {kindHost, wasCreated},
	access.HostUpdate:        {kindHost, wasChanged},
	access.SetAddresses:      {kindHost, wasChanged},
	access.RotateSecret:      {kindHost, wasChanged},
	access.HostShare:         {kindHost, wasChanged},
	access.HostTransfer:      {kindHost, wasChanged},
	access.HostAccept:        {kindHost, wasChanged},
	access.HostLeave:         {kindHost, wasChanged},
	access.HostBlock:         {kindHost, wasChanged},
	access.HostDisable:       {kindHost, wasChanged},
	access.PrincipalTransfer: {kindHost, wasChanged},
	access.ZoneLimits:        {kindZone, wasChanged},
	access.ZoneOpen:          {kindZone, wasChanged},
	access.HostDelete:        {kindHost, wasDeleted},

	access.EndpointSet:          {kindHost, wasChanged},
	access.EndpointRemove:       {kindHost, wasChanged},
	access.EndpointRotateSecret: {kindHost, wasChanged},
	access.EndpointSetAddresses: {kindHost, wasChanged},
	access.EndpointWord:         {kindHost, wasChanged},
	access.EndpointDrain:        {kindHost, wasChanged},
	access.EndpointAuto:         {kindHost, wasChanged},
	access.EndpointPassOver:     {kindHost, wasChanged},
	access.HostWord:             {kindHost, wasChanged},
	access.PolicySet:            {kindHost, wasChanged},
	access.CheckSet:             {kindHost, wasChanged},
	access.CheckRemove:          {kindHost, wasChanged},
	access.CertIssue:            {kindHost, wasChanged},

	access.RecordSet:    {kindRecord, wasChanged}, // or created, when there was none before
	access.RecordDelete: {kindRecord, wasDeleted},
}

func newChanged(r *model.AuditRecord) *changed {
	row := shown[access.Action(r.Action)]
	c := &changed{record: r, kind: row.kind, what: row.what}
	if c.kind == kindRecord {
		c.rrtype, _ = model.ParseType(r.Detail)
		if c.what == wasChanged && r.Before == "" {
			c.what = wasCreated
		}
	}
	return c
}

// name is what was changed.
func (c *changed) name() model.Name {
	if c.record.Name != "" {
		return c.record.Name
	}
	return c.record.Zone
}

func (c *changed) resource() access.Resource {
	return access.Resource{Name: c.name(), Type: c.rrtype}
}

// reading is the action that shows what an event of the change shows.
func (c *changed) reading() access.Action {
	switch c.kind {
	case kindHost:
		return access.HostRead
	case kindHealth:
		return access.EndpointRead
	case kindRecord:
		return access.RecordRead
	}
	return access.ZoneRead
}

// wanted is what a stream is asked for.
type wanted struct {
	zone, name model.Name
	kinds      []string
}

func newWanted(in *pb.WatchRequest) (w wanted, err error) {
	w.kinds = in.GetKinds()
	if in.GetZone() != "" {
		if w.zone, err = facts.ParseName("zone", in.GetZone()); err != nil {
			return w, err
		}
	}
	if in.GetFqdn() != "" {
		w.name, err = facts.ParseName("fqdn", in.GetFqdn())
	}
	return w, err
}

func (w *wanted) kind(k string) bool { return len(w.kinds) == 0 || slices.Contains(w.kinds, k) }

// change says whether the change itself is wanted: also that of something above
// that takes what is below along.
func (w *wanted) change(c *changed) bool {
	if c.isMany() {
		return w.kind(kindHealth)
	}
	if c.kind == "" || !w.kind(c.kind) || w.zone != "" && w.zone != c.record.Zone {
		return false
	}
	takesAlong := c.kind == kindZone || c.kind == kindHost && c.what == wasDeleted
	return w.name == "" || c.name().In(w.name) || takesAlong && w.name.In(c.name())
}

// audit says whether the record of the change is wanted.
func (w *wanted) audit(c *changed) bool {
	return c.kind != kindHealth && w.kind(kindAudit) && (w.zone == "" || w.zone == c.record.Zone) &&
		(w.name == "" || c.name() != "" && c.name().In(w.name))
}

func auditEvent(r *model.AuditRecord) *pb.Event {
	m := message.AuditRecord(r)
	return &pb.Event{
		Kind: kindAudit, What: wasCreated, Zone: m.Zone, Fqdn: m.Name, Time: m.Time,
		Now: &pb.Event_AuditRecord{AuditRecord: m},
	}
}

// event is the change with what is there since. Errors: Unavailable, and those of
// ctx; what can never be read is left out.
func (s *Service) event(ctx context.Context, rev int64, c *changed) (*pb.Event, error) {
	ev := &pb.Event{Kind: c.kind, What: c.what, Zone: c.record.Zone.Text(), Time: timestamppb.New(c.record.Time)}
	if c.kind != kindZone {
		ev.Fqdn = c.name().Text()
	}
	if c.kind == kindRecord {
		ev.Type = c.record.Detail
	}
	if c.what == wasDeleted {
		return ev, nil
	}
	err := s.Store.ReadAt(ctx, rev, func(tx *store.Tx) error { return c.readNow(tx, ev, s.Now()) })
	if err == nil && isImport(c.record) {
		err = s.Store.ReadAt(ctx, rev-1, func(tx *store.Tx) error {
			_, err := tx.Zone(c.record.Zone)
			if model.KindOf(err) == model.NotFound && err != nil {
				ev.What, err = wasCreated, nil
			}
			return err
		})
	}
	if err == nil {
		return ev, nil
	}
	if ctx.Err() != nil || model.KindOf(err) == model.Unavailable {
		return nil, err
	}
	s.Log.Warn("what a change made cannot be shown", "revision", rev, "name", c.name().Text(), "error", err)
	return ev, nil
}

// readNow reads what there is at the change's revision.
func (c *changed) readNow(tx *store.Tx, ev *pb.Event, now time.Time) error {
	switch c.kind {
	case kindZone:
		z, err := tx.Zone(c.record.Zone)
		if err != nil {
			return err
		}
		m, err := message.Zone(tx, z)
		ev.Now = &pb.Event_ZoneNow{ZoneNow: m}
		return err
	case kindHost:
		z, h, err := facts.FindHost(tx, c.name(), now)
		if err == nil {
			ev.Now = &pb.Event_HostNow{HostNow: message.Host(z, h)}
		}
		return err
	default:
		set, err := message.RecordSet(tx, c.name(), c.rrtype)
		if err == nil {
			ev.Now = &pb.Event_RecordSetNow{RecordSetNow: set}
		}
		return err
	}
}

func isImport(r *model.AuditRecord) bool {
	return r.Action == string(access.ZoneImport) || r.Action == string(access.ZoneReplace)
}
