package cutover

import (
	"slices"
	"time"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/hosts"
	"signpost/controlapi/message"
	"signpost/controlapi/records"
	"signpost/controlapi/rules"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// importing is an import of names into a zone, as far as it is decided.
type importing struct {
	*call.Plan
	zone *model.Zone
	done map[model.Name]store.Named // names as they will be: reads do not show what is planned
	// single: there is one name. rehearsed: nothing is written.
	single, rehearsed bool
}

// What becomes of each thing that another service has of a name: an attribute of a host, or
// a record set. Before is what it was there when it was last imported, there and here what
// it is now. The first row that matches:
//
//	there            here             becomes
//	as before        any              what it is here
//	any              as there         what it is here
//	any              as before        what it is there
//	any              any              what it is here, and that is said
//
// Before the first import there was nothing. So what was made here, also a name that was
// deleted, is never overwritten; and what was kept once is not said again until it changes
// there once more.
type fork int

const (
	stays fork = iota
	taken
	kept
)

func threeWays(thereAsBefore, hereAsThere, hereAsBefore bool) fork {
	switch {
	case thereAsBefore, hereAsThere:
		return stays
	case hereAsBefore:
		return taken
	}
	return kept
}

// newImporting begins an import. Errors: NotFound, unless it is only rehearsed: then a zone
// that is not there is an empty one.
func newImporting(p *call.Plan, zone model.Name, rehearsed bool) (*importing, error) {
	z, err := p.Zone(zone)
	if rehearsed && err != nil && model.KindOf(err) == model.NotFound {
		z, err = &model.Zone{Name: zone}, nil
	}
	if err != nil {
		return nil, err
	}
	p.Changed, p.In = z, z
	return &importing{Plan: p, zone: z, done: map[model.Name]store.Named{}, rehearsed: rehearsed}, nil
}

// pathOf is the name and all between it and the apex, as they will be.
func (i *importing) pathOf(name model.Name) ([]store.Named, error) {
	path, err := i.Path(i.zone, name)
	for n := range path {
		if will, planned := i.done[path[n].Name]; planned {
			path[n] = will
		}
	}
	return path, err
}

// name plans what becomes of one name.
func (i *importing) name(f *former) (*pb.ImportedName, error) {
	r := &pb.ImportedName{Fqdn: f.name.Text(), Outcome: "unchanged"}
	before, err := i.Imported(i.zone, f.name)
	if err != nil {
		return nil, err
	}
	if before == nil {
		before = &model.Imported{}
	}
	if f.name == i.zone.Name {
		return r, i.apex(r, f, before)
	}
	path, err := i.pathOf(f.name)
	if err != nil {
		return nil, err
	}
	here := path[0]
	if here.Data == nil {
		here.Data = &model.NameData{}
	}
	i.Owner = ""
	if h := facts.HostOn(path); h != nil {
		i.Owner = h.Host.Owner
	}
	hosted := here.Data.Host != nil && here.Host != nil
	switch {
	case f.gone:
		return r, i.gone(r, here, before)
	case hosted && before.Host == nil:
		r.Kept = append(r.Kept, "a host of that name was made here")
		return r, nil
	}
	next, err := i.hostOf(r, f, here, before)
	if err != nil {
		return nil, err
	}
	sets, changed := i.mergeSets(r, f, before.Sets, next.Data.RRsets, next.Data.Host != nil)
	if changed {
		data := *next.Data
		data.RRsets = sets
		next.Data = &data
	}
	if next.Data.Host == nil {
		path[0] = next
		data := *next.Data
		data.Withdrawn = facts.Place{Zone: i.zone, Path: path}.Withdrawn(sets)
		next.Data = &data
	}
	if why := rules.Conflict(f.name, next.Data); why != "" && len(r.Changes) > 0 {
		return nil, model.E(model.Precondition, "import", f.name.Text()).Because(why).Hint("take one of them away, there or here")
	}
	if err := i.write(r, f, here, next); err != nil {
		return nil, err
	}
	if err := i.takeChain(r, f, here, next); err != nil {
		return nil, err
	}
	i.remember(f, before)
	return r, nil
}

// write plans the writing of a name that is otherwise than here.
func (i *importing) write(r *pb.ImportedName, f *former, here, next store.Named) error {
	if len(r.Changes) == 0 {
		if next.Host != here.Host { // another secret is no change that is answered
			i.PutHost(i.zone, f.name, here.Host, next.Host)
		}
		return nil
	}
	if r.Outcome == "unchanged" {
		r.Outcome = "changed"
	}
	created := next.Data.Host != nil && here.Data.Host == nil
	switch {
	case created:
		plain := next
		data, control := *next.Data, *next.Host
		control.Blocked, control.Disabled, control.Lapsed = nil, nil, nil
		plain.Data, plain.Host = &data, &control
		i.PutName(i.zone, f.name, plain.Data)
		i.PutHost(i.zone, f.name, here.Host, plain.Host)
		if err := hosts.ReleaseName(i.Plan, i.zone, f.name); err != nil {
			return err
		}
		if next.Host.Withdrawn() {
			var err error
			if next, err = hosts.Put(i.Plan, i.zone, plain, store.Named{Name: f.name, Data: plain.Data, Host: next.Host}); err != nil {
				return err
			}
		}
	case next.Data.Host != nil:
		var err error
		if next, err = hosts.Put(i.Plan, i.zone, here, next); err != nil {
			return err
		}
		if len(next.Host.Followers) > 0 && !slices.Equal(next.Data.Host.Addresses(), here.Data.Host.Addresses()) {
			policy, err := i.Glance(i.zone)
			if err != nil {
				return err
			}
			if err := hosts.Lead(i.Plan, i.zone, policy, next, true); err != nil {
				return err
			}
		}
	default:
		if err := rules.KeepServer(i.zone, f.name, facts.DataAddresses(here.Data), facts.DataAddresses(next.Data)); err != nil {
			return err
		}
		i.PutName(i.zone, f.name, next.Data)
	}
	i.done[f.name] = next
	return nil
}

// remember keeps what the other service says now, for the next time.
func (i *importing) remember(f *former, before *model.Imported) {
	now := &model.Imported{Sets: i.withTTLs(f.sets), Settings: before.Settings, Host: before.Host}
	if f.host != nil {
		host := f.host.FormerHost
		now.Host = &host
	}
	if before.Host.Equal(now.Host) && slices.EqualFunc(before.Sets, now.Sets, model.RRset.Equal) && !before.Time.IsZero() {
		return
	}
	now.Time = i.Call.Desk.Now().UTC().Truncate(time.Second)
	i.PutImported(i.zone, f.name, now)
}

func (i *importing) withTTLs(sets []model.RRset) []model.RRset {
	out := slices.Clone(sets)
	for n := range out {
		if out[n].TTL == 0 {
			out[n].TTL = i.zone.WithDefaults().TTL
		}
	}
	return out
}

// mergeSets is the record sets of a name when what has changed there is taken over. At a
// host those of addresses are left alone.
func (i *importing) mergeSets(r *pb.ImportedName, f *former, before, here []model.RRset, hosted bool) (next []model.RRset, changed bool) {
	there := i.withTTLs(f.sets)
	next = here
	for _, t := range typesOf(there, before) {
		is, isThere := model.FindRRset(there, t)
		was, wasThere := model.FindRRset(before, t)
		now, isHere := model.FindRRset(here, t)
		same := func(a, b model.RRset, hasA, hasB bool) bool { return hasA == hasB && (!hasA || a.Equal(b)) }
		what := threeWays(same(is, was, isThere, wasThere), same(is, now, isThere, isHere), same(now, was, isHere, wasThere))
		if what != stays && hosted && rules.IsAddressType(t) {
			what = kept
		}
		name := model.TypeName(t)
		switch {
		case what == kept:
			r.Kept = append(r.Kept, name+": here "+ttlAndText(now)+", there "+ttlAndText(is))
			continue
		case what == stays:
			continue
		case isThere:
			next = model.WithRRset(next, is)
			i.RecordAs(access.RecordSet, i.zone.Name, f.name, name, message.RRset(now), message.RRset(is))
		default:
			next = model.WithoutRRset(next, t)
			i.RecordAs(access.RecordDelete, i.zone.Name, f.name, name, message.RRset(now), "")
		}
		changed = true
		r.Changes = append(r.Changes, name+": "+orNone(message.RRset(is)))
		if len(here) == 0 && len(before) == 0 {
			r.Outcome = "created"
		}
	}
	return next, changed
}

// apex plans what becomes of the record sets at the apex.
func (i *importing) apex(r *pb.ImportedName, f *former, before *model.Imported) error {
	if f.gone {
		return model.E(model.Invalid, "import", f.name.Text()).In("gone").Because("an apex is not gone while there is its zone")
	}
	sets, changed := i.mergeSets(r, f, before.Sets, i.zone.Apex, false)
	if changed {
		r.Outcome = "changed"
		if i.zone.ModRevision == 0 { // it is not there, and this a rehearsal
			r.Outcome = "created"
		} else if err := records.Put(i.Plan, facts.Place{Zone: i.zone, Name: f.name, Apex: true}, sets); err != nil {
			return err
		}
	}
	i.remember(f, before)
	return nil
}
