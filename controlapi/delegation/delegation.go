// Package delegation answers one question: what does a zone say of the zones of ours
// below it?
package delegation

import (
	"maps"
	"net/netip"

	"github.com/miekg/dns"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/rules"
	"signpost/internal/model"
	"signpost/internal/store"
)

// Where a zone of ours is below another, the upper one holds its delegation: our
// own name servers answer from the lower zone without it, but a secondary that has
// only the upper one refers to it, and a question for its DS is not answered
// NXDOMAIN. It follows the NS records of the lower zone; addresses of name servers
// (glue) are those of the moment when it was written.

// delegation is what an upper zone says of a lower one: its NS, the addresses of
// those of its name servers that are inside it, and a DS that was there.
func delegation(z *model.Zone, there *model.NameData, addrs func(model.Name) ([]netip.Addr, error)) (map[model.Name]*model.NameData, error) {
	ns, _ := model.FindRRset(z.Apex, dns.TypeNS)
	out := map[model.Name]*model.NameData{z.Name: {RRsets: []model.RRset{ns}}}
	if there != nil {
		if ds, ok := model.FindRRset(there.RRsets, dns.TypeDS); ok {
			out[z.Name].RRsets = model.WithRRset(out[z.Name].RRsets, ds)
		}
	}
	for _, text := range z.NS() {
		name := model.NameOf(text)
		if !name.In(z.Name) {
			continue
		}
		list, err := addrs(name)
		if err != nil {
			return nil, err
		}
		for _, s := range rules.AddressSets(list, ns.TTL) {
			if out[name] == nil {
				out[name] = &model.NameData{}
			}
			out[name].RRsets = model.WithRRset(out[name].RRsets, s)
		}
	}
	return out, nil
}

// Put writes the delegation of z into the zone above it, if there is one.
// Errors: Precondition when z is new and would hide names of the zone above.
func Put(p *call.Plan, z *model.Zone, addrs func(model.Name) ([]netip.Addr, error)) error {
	above, err := facts.Upper(p.Tx, z.Name)
	if above == nil || err != nil {
		return err
	}
	path, err := p.Path(above, z.Name)
	if err != nil {
		return err
	}
	if facts.CutAbove(path[1:]) {
		return nil // the zone above says nothing there
	}
	below, err := p.Below(above, z.Name, 101)
	if err != nil {
		return err
	}
	hidden := wouldHide(path[0], below)
	switch {
	case hidden != "" && z.ModRevision != 0:
		return nil // somebody took the delegation away and put other data there
	case hidden != "":
		return model.E(model.Precondition, "create zone", z.Name.Text()).In("name").
			Because("it would hide names of zone " + above.Name.Text() + ", " + hidden.Text() + " among them").
			Hint("remove them there first")
	}
	want, err := delegation(z, path[0].Data, addrs)
	if err != nil {
		return err
	}
	for _, old := range below {
		if want[old.Name] == nil && !facts.IsServer(above, old.Name) && old.Data.Host == nil && rules.OnlyAddresses(old.Data.RRsets) {
			p.PutName(above, old.Name, nil)
		}
	}
	return PutNames(p, above, want)
}

// Remove takes the delegation of a zone that goes out of the zone above.
func Remove(p *call.Plan, z *model.Zone) error {
	above, err := facts.Upper(p.Tx, z.Name)
	if above == nil || err != nil {
		return err
	}
	path, err := p.Path(above, z.Name)
	if err != nil {
		return err
	}
	if !facts.IsCut(path[0].Data) {
		return nil
	}
	gone := map[model.Name]*model.NameData{z.Name: nil}
	for _, ns := range z.NS() {
		if n := model.NameOf(ns); n.Below(z.Name) && !facts.IsServer(above, n) {
			gone[n] = nil
		}
	}
	return PutNames(p, above, gone)
}

// Lower is what a zone says of the zones of ours below it; there, if it is
// there, is how it is now.
func Lower(p *call.Plan, z model.Name, there *model.Zone) (map[model.Name]*model.NameData, error) {
	out := map[model.Name]*model.NameData{}
	err := p.OfZonesBelow(z, func() error {
		all, err := p.ZonesBelow(z)
		if err != nil {
			return err
		}
		ours := map[model.Name]bool{}
		for _, name := range all {
			ours[name] = true
		}
		for _, name := range all {
			if isBelowOne(name, ours, z) {
				continue // that one delegates it
			}
			lower, err := p.Zone(name)
			if err != nil {
				return err
			}
			var now *model.NameData
			if there != nil {
				datas, err := p.Datas(there, name)
				if err != nil {
					return err
				}
				now = datas[0]
			}
			d, err := delegation(lower, now, func(n model.Name) ([]netip.Addr, error) { return facts.AddressesOf(p.Tx, n) })
			if err != nil {
				return err
			}
			maps.Copy(out, d)
		}
		return nil
	})
	return out, err
}

// isBelowOne reports whether a name is strictly below one of these, which are below z.
func isBelowOne(name model.Name, of map[model.Name]bool, z model.Name) bool {
	for n, ok := name.Parent(); ok && n.Below(z); n, ok = n.Parent() {
		if of[n] {
			return true
		}
	}
	return false
}

// PutNames writes what a delegation consists of at these names, nil for none of it.
// Whatever else is stored there stays, and a host, which has an owner, is not touched.
func PutNames(p *call.Plan, z *model.Zone, names map[model.Name]*model.NameData) error {
	for name, data := range names {
		path, err := p.Path(z, name)
		if err != nil {
			return err
		}
		next := &model.NameData{}
		if old := path[0].Data; old != nil && old.Host != nil {
			continue
		} else if old != nil {
			for _, s := range old.RRsets {
				if s.Type != dns.TypeNS && s.Type != dns.TypeDS && !rules.IsAddressType(s.Type) {
					next.RRsets = model.WithRRset(next.RRsets, s)
				}
			}
		}
		if data != nil {
			for _, s := range data.RRsets {
				next.RRsets = model.WithRRset(next.RRsets, s)
			}
		}
		p.PutName(z, name, next)
	}
	return nil
}

// wouldHide is a name that is answered now and would not be any more, or a host, also
// one that a delegation hides already: it is somebody's, who would lose it.
func wouldHide(here store.Named, below []store.Named) model.Name {
	for _, n := range append([]store.Named{here}, below...) {
		if n.Data != nil && n.Data.Host != nil {
			return n.Name
		}
	}
	switch {
	case facts.IsCut(here.Data) || facts.CutAbove([]store.Named{here}):
		return ""
	case here.Data != nil:
		return here.Name
	case len(below) > 0:
		return below[0].Name
	}
	return ""
}
