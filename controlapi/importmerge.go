package controlapi

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/miekg/dns"

	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// state is a zone as an import found it, all at one revision.
type state struct {
	zone         *model.Zone // nil: there is none
	names        map[model.Name]*model.NameData
	lower        map[model.Name]*model.NameData // what it must hold of the zones below it
	zoneRevision int64
	revision     int64
	number       uint64 // for the next generation
}

func readState(p *plan, name model.Name) (state, error) {
	var was state
	var err error
	if was.number, err = p.NewNumber(); err != nil {
		return was, err
	}
	if was.revision, err = p.Revision(); err != nil {
		return was, err
	}
	if was.zoneRevision, err = p.ZoneRevision(name); err != nil {
		return was, err
	}
	z, err := p.Zone(name)
	switch {
	case err == nil:
		was.zone = z
		if was.names, err = allNames(p.Tx, z); err != nil {
			return was, err
		}
	case model.KindOf(err) != model.NotFound:
		return was, err
	}
	was.lower, err = p.lowerZones(name, was.names)
	return was, err
}

// held is a name that the zone holds besides its frame, as holds says.
func (was state) held() model.Name {
	if was.zone == nil {
		return ""
	}
	frame := map[model.Name]bool{}
	for _, ns := range was.zone.NS() {
		frame[model.NameOf(ns)] = true
	}
	for _, n := range slices.Sorted(maps.Keys(was.names)) {
		if data := was.names[n]; !frame[n] || data.Host != nil || !onlyAddresses(data.RRsets) {
			return n
		}
	}
	return ""
}

// merged is what a zone will be, and what that means.
type merged struct {
	zone  model.Zone
	names map[model.Name]*model.NameData
	out   *pb.ImportZoneResponse
}

func (m *merged) changes() bool {
	return m.out.Created || m.out.Added+m.out.Removed+m.out.Changed+m.out.HostsRemoved > 0
}

func (m *merged) summary() string {
	o := m.out
	return fmt.Sprintf("%d record sets in the file: %d added, %d changed, %d removed, %d unchanged; %d hosts kept, %d removed",
		o.RecordSets, o.Added, o.Changed, o.Removed, o.Unchanged, o.HostsKept, o.HostsRemoved)
}

// merge decides what an import makes of a zone:
//
//	name                                   becomes
//	a host, or below one                   what it was; what the file says of it is skipped
//	the same, with replaceHosts            what the file says
//	any other that the file has            what the file says
//	of the delegation of a zone of ours    as that zone says, unless the file delegates it
//	any other                              nothing
//
// The apex and the SOA are the file's, the settings stay.
func merge(was state, file *model.ZoneFile, replaceHosts bool, now time.Time) *merged {
	m := &merged{names: map[model.Name]*model.NameData{}, out: &pb.ImportZoneResponse{}}
	if was.zone == nil {
		m.out.Created = true
		m.zone = model.Zone{Name: file.Zone.Name, CreateTime: now.UTC().Truncate(time.Second)}
	} else {
		m.zone = *was.zone
	}
	m.zone.SOA, m.zone.Apex, m.zone.Generation = file.Zone.SOA, file.Zone.Apex, was.number
	ttl := m.zone.WithDefaults().TTL
	hosts := map[model.Name]bool{}
	for name, data := range was.names {
		if data.Host != nil {
			hosts[name] = !replaceHosts
		}
	}
	if replaceHosts && len(hosts) > 0 {
		m.zone.Incarnation = was.number // what control keeps of the hosts goes with the old one
		m.out.HostsRemoved = int64(len(hosts))
	} else {
		m.out.HostsKept = int64(len(hosts))
	}
	m.count(soaAsSet(was.zone), soaAsSet(&m.zone))
	if was.zone != nil {
		m.count(was.zone.Apex, file.Zone.Apex)
	} else {
		m.count(nil, file.Zone.Apex)
	}
	old := served(was.names, ttl)
	for name, data := range was.names {
		if owned(name, hosts, m.zone.Name) {
			m.names[name] = data
		}
	}
	want := withLower(file.Names, was.lower, m.zone.Name)
	for name, data := range want {
		if owned(name, hosts, m.zone.Name) {
			m.skip(name, old[name], data.RRsets)
			continue
		}
		m.names[name] = data
		m.count(old[name], data.RRsets)
	}
	for name, sets := range old {
		if want[name] == nil && !owned(name, hosts, m.zone.Name) {
			m.count(sets, nil)
		}
	}
	m.out.RecordSets = int64(1 + len(file.Zone.Apex)) // the SOA, too
	for _, data := range file.Names {
		m.out.RecordSets += int64(len(data.RRsets))
	}
	m.warn(hosts)
	return m
}

// withLower is the names of a file and, where it does not delegate them itself, the
// delegations of zones of ours below.
func withLower(names, lower map[model.Name]*model.NameData, zone model.Name) map[model.Name]*model.NameData {
	want := maps.Clone(names)
	for name, data := range lower {
		delegated := false
		for n, ok := name, true; ok && n.Below(zone); n, ok = n.Parent() {
			delegated = delegated || names[n] != nil && isHiding(names[n])
		}
		if !delegated {
			want[name] = data
		}
	}
	return want
}

// count compares the record sets of one name before and after.
func (m *merged) count(before, after []model.RRset) {
	for _, b := range before {
		if _, ok := model.FindRRset(after, b.Type); !ok {
			m.out.Removed++
		}
	}
	for _, a := range after {
		switch b, ok := model.FindRRset(before, a.Type); {
		case !ok:
			m.out.Added++
		case b.Equal(a):
			m.out.Unchanged++
		default:
			m.out.Changed++
		}
	}
}

// skip counts record sets of the file at a name that is a host's: those that are
// there already are no loss.
func (m *merged) skip(name model.Name, there, file []model.RRset) {
	lost := 0
	for _, f := range file {
		if t, ok := model.FindRRset(there, f.Type); ok && t.Equal(f) {
			m.out.Unchanged++
		} else {
			lost++
		}
	}
	if m.out.Skipped += int64(lost); lost > 0 {
		m.note(name.Text() + " belongs to a host: the file's records are not taken")
	}
}

const maxWarnings = 20

func (m *merged) note(text string) {
	if len(m.out.Warnings) < maxWarnings {
		m.out.Warnings = append(m.out.Warnings, text)
	}
}

func (m *merged) warn(hosts map[model.Name]bool) {
	for host, kept := range hosts {
		for n, ok := host.Parent(); kept && ok && n.Below(m.zone.Name); n, ok = n.Parent() {
			if data := m.names[n]; data != nil && isHiding(data) {
				m.note("host " + host.Text() + " is hidden by the delegation or DNAME at " + n.Text())
			}
		}
	}
	for _, text := range m.zone.NS() {
		ns := model.NameOf(text)
		data := m.names[ns]
		if ns.Below(m.zone.Name) && (data == nil || !hasType(data, dns.TypeA, dns.TypeAAAA) && len(data.Host.Addresses()) == 0) {
			m.note("name server " + ns.Text() + " has no address in the zone")
		}
	}
	slices.Sort(m.out.Warnings)
}

// owned reports whether a name is a host that stays, or below one.
func owned(name model.Name, hosts map[model.Name]bool, zone model.Name) bool {
	for n, ok := name, true; ok && n.Below(zone); n, ok = n.Parent() {
		if hosts[n] {
			return true
		}
	}
	return false
}

// served is the record sets of all names as they are answered.
func served(names map[model.Name]*model.NameData, ttl uint32) map[model.Name][]model.RRset {
	out := make(map[model.Name][]model.RRset, len(names))
	for name, data := range names {
		for _, set := range data.Sets(ttl) {
			out[name] = model.Merge(out[name], set)
		}
		star, err := name.Child("*")
		if err != nil {
			continue // too long to be a name
		}
		for _, set := range data.WildcardSets(ttl) {
			out[star] = model.Merge(out[star], set)
		}
	}
	return out
}

// soaAsSet is the SOA without its serial, for counting.
func soaAsSet(z *model.Zone) []model.RRset {
	if z == nil {
		return nil
	}
	return []model.RRset{{Type: dns.TypeSOA, TTL: z.SOA.TTL, Data: [][]byte{[]byte(fmt.Sprint(z.SOA))}}}
}

func sameNames(a, b map[model.Name]*model.NameData) bool {
	return maps.EqualFunc(a, b, func(x, y *model.NameData) bool { return slices.EqualFunc(x.RRsets, y.RRsets, model.RRset.Equal) })
}
