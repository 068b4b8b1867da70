package zonefile

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/miekg/dns"

	"signpost/controlapi/facts"
	"signpost/controlapi/zones"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// join is a zone file laid beside a zone. Both are walked in the order of their keys,
// so that neither is ever held whole but the file, packed.
type join struct {
	file         *model.ZoneFile
	empty        bool // the zone must hold nothing but its frame
	replaceHosts bool
	merge        bool
	created      bool
	head, names  tally
	notes        []string
	few          []rewrite                                 // names that change, up to one more than fit in place
	differ       func(name model.Name, b, a []model.RRset) // told of what changes; may be nil
}

// rewrite is a name and what is to be stored of it.
type rewrite struct {
	name model.Name
	data *model.NameData
}

// tally counts record sets, and hosts.
type tally struct{ added, removed, changed, unchanged, skipped, hosts, hostsRemoved int64 }

func (t *tally) add(o tally, times int64) {
	t.added += times * o.added
	t.removed += times * o.removed
	t.changed += times * o.changed
	t.unchanged += times * o.unchanged
	t.skipped += times * o.skipped
	t.hosts += times * o.hosts
	t.hostsRemoved += times * o.hostsRemoved
}

// count compares the record sets of one name before and after.
func (t *tally) count(before, after []model.RRset) {
	for _, b := range before {
		if _, ok := model.FindRRset(after, b.Type); !ok {
			t.removed++
		}
	}
	for _, a := range after {
		switch b, ok := model.FindRRset(before, a.Type); {
		case !ok:
			t.added++
		case b.Equal(a):
			t.unchanged++
		default:
			t.changed++
		}
	}
}

func newJoin(in *pb.ImportZoneRequest, file *model.ZoneFile, was state) *join {
	return &join{
		file: file, empty: !in.GetReplace() && !in.GetMerge(), replaceHosts: in.GetReplaceHosts(), merge: in.GetMerge(),
		created: was.zone == nil,
	}
}

// admits fails with Precondition when the zone holds what the import would take away
// without having been told to.
func (j *join) admits(st state) error {
	if st.zone == nil || !j.empty {
		return nil
	}
	held, err := zones.Holds(st.look, st.zone)
	if err == nil && held != "" {
		err = model.E(model.Precondition, "import zone", j.name().Text()).In("replace").
			Because("the zone holds names, " + held.Text() + " among them").
			Hint("import with replace to replace what no host owns, or with merge to add to what is there")
	}
	return err
}

func (j *join) name() model.Name { return j.file.Zone.Name }

// fate is what becomes of one name.
type fate struct {
	name          model.Name
	before, after []model.RRset // as answered
	file          []model.RRset // what the file says of it
	kept          bool          // as it is, whatever the file says: a host, or below one
	old, next     *model.NameData
}

// fates decides what an import makes of the names at and below one, or of all:
//
//	name                                   becomes
//	a host, or below one                   what it was; what the file says of it is skipped
//	the same, with replaceHosts            what the file says
//	any other that the file has            what the file says; with merge: that, and what else it was
//	of the delegation of a zone of ours    as that zone says, unless the file delegates it; with merge: what it was
//	any other                              nothing; with merge: what it was
//
// The apex and the SOA are the file's, the settings stay.
func (j *join) fates(st state, at model.Name) iter.Seq2[fate, error] {
	return func(yield func(fate, error) bool) {
		host, err := j.hostAbove(st, at)
		if err != nil {
			yield(fate{}, err)
			return
		}
		for f, err := range j.sideBySide(st, at) {
			if err == nil {
				if host == "" || !f.name.In(host) {
					host = ""
					if f.old != nil && f.old.Host != nil && !j.replaceHosts {
						host = f.name
					}
				}
				f.kept = host != ""
				err = j.decide(&f)
			}
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

func (j *join) decide(f *fate) error {
	switch {
	case f.kept:
		f.after, f.next = f.before, f.old
	case j.merge && len(f.file) == 0:
		f.after, f.next = f.before, f.old
	case j.merge:
		f.next = &model.NameData{}
		if f.old != nil {
			f.next.RRsets = f.old.RRsets
		}
		for _, set := range f.file {
			f.next.RRsets = model.WithRRset(f.next.RRsets, set)
		}
		f.after = f.next.RRsets
		if why := model.Odd(f.after, false, f.name.IsWildcard()); why != "" && model.Odd(f.before, false, f.name.IsWildcard()) == "" {
			return model.E(model.Precondition, "import zone", j.name().Text()).In("merge").
				Because("at " + f.name.Text() + " " + why + ": the zone holds one, the file the other").
				Hint("remove what the zone holds there, or leave the name out of the file")
		}
	case len(f.file) > 0:
		f.after, f.next = f.file, &model.NameData{RRsets: f.file}
	}
	return nil
}

// hostAbove is the host above a name that stays, if there is one.
func (j *join) hostAbove(st state, at model.Name) (host model.Name, err error) {
	if at == "" || st.zone == nil || j.replaceHosts {
		return "", nil
	}
	path, err := st.look.Path(st.zone, at)
	if err != nil {
		return "", err
	}
	for _, n := range path[1:] {
		if n.Data != nil && n.Data.Host != nil {
			host = n.Name
		}
	}
	return host, nil
}

// sideBySide gives each name with what is there and what the file says.
func (j *join) sideBySide(st state, at model.Name) iter.Seq2[fate, error] {
	return func(yield func(fate, error) bool) {
		next, stop := iter.Pull2(j.wanted(st, at))
		defer stop()
		name, sets, more := next()
		there := func(func(model.Owner, error) bool) {}
		if st.zone != nil {
			there = servedNames(st.look, st.zone, at)
		}
		for old, err := range there {
			if err != nil {
				yield(fate{}, err)
				return
			}
			for more && store.OrderNames(name, old.Name) < 0 {
				if !yield(fate{name: name, file: sets}, nil) {
					return
				}
				name, sets, more = next()
			}
			f := fate{name: old.Name, before: old.Sets, old: old.Data}
			if more && name == old.Name {
				f.file = sets
				name, sets, more = next()
			}
			if !yield(f, nil) {
				return
			}
		}
		for more {
			if !yield(fate{name: name, file: sets}, nil) {
				return
			}
			name, sets, more = next()
		}
	}
}

// wanted is the names of the file and, where it does not delegate them itself, the
// delegations of zones of ours below.
func (j *join) wanted(st state, at model.Name) iter.Seq2[model.Name, []model.RRset] {
	var lower []model.Name
	for _, n := range slices.SortedFunc(maps.Keys(st.lower), store.OrderNames) {
		if !j.merge && (at == "" || n.In(at)) && !j.delegates(n) {
			lower = append(lower, n)
		}
	}
	return func(yield func(model.Name, []model.RRset) bool) {
		ours := func(upTo model.Name) bool {
			for len(lower) > 0 && (upTo == "" || store.OrderNames(lower[0], upTo) < 0) {
				n := lower[0]
				lower = lower[1:]
				if !yield(n, st.lower[n].RRsets) {
					return false
				}
			}
			return true
		}
		for name, sets := range j.file.Names(at) {
			if at != "" && !name.In(at) {
				break
			}
			if !ours(name) {
				return
			}
			if len(lower) > 0 && lower[0] == name {
				sets, lower = st.lower[name].RRsets, lower[1:]
			}
			if !yield(name, sets) {
				return
			}
		}
		ours("")
	}
}

// delegates reports whether the file itself delegates a name or one above it.
func (j *join) delegates(name model.Name) bool {
	for n, ok := name, true; ok && n.Below(j.name()); n, ok = n.Parent() {
		if isHiding(j.file.At(n)) {
			return true
		}
	}
	return false
}

// apex is what the apex will hold beside the SOA.
func (j *join) apex(st state) ([]model.RRset, error) {
	if !j.merge || st.zone == nil {
		return j.file.Zone.Apex, nil
	}
	sets := st.zone.Apex
	for _, s := range j.file.Zone.Apex {
		sets = model.WithRRset(sets, s)
	}
	if why := model.Odd(sets, true, false); why != "" {
		return nil, model.E(model.Precondition, "import zone", j.name().Text()).In("merge").Because("at the apex " + why)
	}
	return sets, nil
}

// soaAsSet is the SOA without its serial, for counting.
func soaAsSet(z *model.Zone) []model.RRset {
	if z == nil {
		return nil
	}
	return []model.RRset{{Type: dns.TypeSOA, TTL: z.SOA.TTL, Data: [][]byte{[]byte(fmt.Sprint(z.SOA))}}}
}

func isHiding(sets []model.RRset) bool { return facts.HasType(sets, dns.TypeNS, dns.TypeDNAME) }
