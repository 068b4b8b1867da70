package zonefile

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"signpost/controlapi/facts"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// compare counts what the import would do, and notes what is odd about it.
func (j *join) compare(st state, step func()) error {
	j.head, j.names, j.few = tally{}, tally{}, nil
	apex, err := j.apex(st)
	if err != nil {
		return err
	}
	next := *j.next(st, apex, 0, time.Time{})
	var before []model.RRset
	if st.zone != nil {
		before = st.zone.Apex
	}
	j.head.count(soaAsSet(st.zone), soaAsSet(&next))
	j.countSets(&j.head, fate{name: j.name(), before: before, after: apex, file: j.file.Zone.Apex})
	j.difference(j.name(), soaSets(st.zone), soaSets(&next))
	j.difference(j.name(), before, apex)
	var hiding model.Name
	for f, err := range j.fates(st, "") {
		if err != nil {
			return err
		}
		step()
		j.count(&j.names, f)
		if !f.kept {
			j.difference(f.name, f.before, f.after)
			if len(j.few) <= inPlace && differs(f) {
				j.few = append(j.few, rewrite{f.name, f.next})
			}
		}
		if hidden := hiding != "" && f.name.Below(hiding); !hidden && isHiding(f.after) {
			hiding = f.name
		} else if hidden && f.kept && f.old != nil && f.old.Host != nil {
			j.note("host " + f.name.Text() + " is hidden by the delegation or DNAME at " + hiding.Text())
		}
	}
	return nil
}

func differs(f fate) bool { return !slices.EqualFunc(f.before, f.after, model.RRset.Equal) }

// count counts what becomes of one name.
func (j *join) count(t *tally, f fate) {
	if f.old != nil && f.old.Host != nil {
		if f.kept {
			t.hosts++
		} else {
			t.hostsRemoved++
		}
	}
	if !f.kept {
		j.countSets(t, f)
		return
	}
	lost := int64(0)
	for _, set := range f.file { // those that are there already are no loss
		if there, ok := model.FindRRset(f.before, set.Type); ok && there.Equal(set) {
			t.unchanged++
		} else {
			lost++
		}
	}
	if t.skipped += lost; lost > 0 {
		j.note(f.name.Text() + " belongs to a host: the file's records are not taken")
	}
}

// countSets counts, in a merge, only what the file speaks of.
func (j *join) countSets(t *tally, f fate) {
	if !j.merge {
		t.count(f.before, f.after)
		return
	}
	for _, set := range f.file {
		var before, after []model.RRset
		if b, ok := model.FindRRset(f.before, set.Type); ok {
			before = []model.RRset{b}
		}
		if a, ok := model.FindRRset(f.after, set.Type); ok {
			after = []model.RRset{a}
		}
		t.count(before, after)
	}
}

func (j *join) difference(name model.Name, before, after []model.RRset) {
	if j.differ != nil {
		j.differ(name, before, after)
	}
}

// soaSets is the SOA as a record set with the serial 0.
func soaSets(z *model.Zone) []model.RRset {
	if z == nil {
		return nil
	}
	s := z.SOA
	set, err := model.NewRRset([]dns.RR{&dns.SOA{
		Hdr: dns.RR_Header{Name: z.Name.String(), Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: s.TTL},
		Ns:  s.MName, Mbox: s.RName, Refresh: s.Refresh, Retry: s.Retry, Expire: s.Expire, Minttl: s.Minimum,
	}})
	if err != nil {
		return nil
	}
	return []model.RRset{set}
}

// next is the zone as it will be.
func (j *join) next(st state, apex []model.RRset, generation uint64, now time.Time) *model.Zone {
	z := model.Zone{Name: j.name(), CreateTime: now.UTC().Truncate(time.Second)}
	if st.zone != nil {
		z = *st.zone
	}
	z.SOA, z.Apex = j.file.Zone.SOA, apex
	if generation != 0 {
		z.Generation = generation
	}
	if j.replaceHosts && j.names.hostsRemoved > 0 {
		z.Incarnation = generation // what control keeps of the hosts goes with the old one
	}
	return &z
}

func (j *join) all() tally {
	t := j.head
	t.add(j.names, 1)
	return t
}

func (j *join) changes() bool {
	t := j.all()
	return j.created || t.added+t.removed+t.changed+t.hostsRemoved > 0
}

// total is about how many names the zone will have.
func (j *join) total() int64 { return max(int64(j.file.Len()), j.names.hosts) }

// becomes is what the zone will hold at a name below its apex.
func (j *join) becomes(st state, name model.Name) (*model.NameData, error) {
	for f, err := range j.fates(st, name) {
		if err != nil {
			return nil, err
		}
		if f.name == name {
			return f.next, nil
		}
		break
	}
	return nil, nil
}

// addresses is what the zone will say of a name's addresses.
func (j *join) addresses(st state, z *model.Zone, name model.Name) ([]netip.Addr, error) {
	if name == z.Name {
		return facts.AddressesIn(z.Apex), nil
	}
	data, err := j.becomes(st, name)
	if err != nil || data == nil {
		return nil, err
	}
	return facts.AddressesIn(data.Sets(z.WithDefaults().TTL)), nil
}

const maxWarnings = 20

func (j *join) note(text string) {
	if len(j.notes) < maxWarnings && !slices.Contains(j.notes, text) {
		j.notes = append(j.notes, text)
	}
}

// result is what the import is answered.
func (j *join) result(st state, change *pb.Change) (*pb.ImportZoneResponse, error) {
	apex, err := j.apex(st)
	if err != nil {
		return nil, err
	}
	z := j.next(st, apex, 0, time.Time{})
	for _, text := range z.NS() {
		if ns := model.NameOf(text); ns.Below(z.Name) {
			addrs, err := j.addresses(st, z, ns)
			if err != nil {
				return nil, err
			}
			if len(addrs) == 0 {
				j.note("name server " + ns.Text() + " has no address in the zone")
			}
		}
	}
	t := j.all()
	return &pb.ImportZoneResponse{
		Change: change, Created: j.created, RecordSets: int64(j.file.Sets), Added: t.added, Removed: t.removed,
		Changed: t.changed, Unchanged: t.unchanged, HostsKept: t.hosts, HostsRemoved: t.hostsRemoved, Skipped: t.skipped,
		Warnings: slices.Sorted(slices.Values(j.notes)),
	}, nil
}

func summary(o *pb.ImportZoneResponse) string {
	return fmt.Sprintf("%d record sets in the file: %d added, %d changed, %d removed, %d unchanged; %d hosts kept, %d removed",
		o.RecordSets, o.Added, o.Changed, o.Removed, o.Unchanged, o.HostsKept, o.HostsRemoved)
}
