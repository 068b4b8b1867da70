package controlapi

import (
	"net/netip"
	"slices"

	"signpost/internal/model"
)

// A name server inside its own zone is found by its addresses there, and name servers
// refuse to load a zone that lacks them. No change takes them away:
//
//	the name is among the zone's NS   addresses before   after   refused
//	no                                any                any     no
//	yes                               some               none    yes
//	yes                               none               none    no: an import left it so
//
// and none adds a name server inside the zone that has none. Errors are of kind
// Precondition.

// keepServer refuses to take the last address of a name server of the zone.
func keepServer(z *model.Zone, name model.Name, before, after []netip.Addr) error {
	if len(before) == 0 || len(after) > 0 || !isServer(z, name) {
		return nil
	}
	return model.E(model.Precondition, "take the addresses of", name.Text()).
		Because("it is a name server of zone " + z.Name.Text() + ", which would not find it any more").
		Hint("take it out of the zone's NS records first, with signpost record set " + z.Name.Text() + " NS ...")
}

func isServer(z *model.Zone, name model.Name) bool {
	return slices.ContainsFunc(z.NS(), func(ns string) bool { return model.NameOf(ns) == name })
}

// findServers refuses name servers that a zone has not had until now, that are inside
// it and have no address.
func (p *plan) findServers(old, next *model.Zone) error {
	for _, text := range next.NS() {
		ns := model.NameOf(text)
		if !ns.In(next.Name) || isServer(old, ns) {
			continue
		}
		addrs := addressesIn(next.Apex)
		if ns != next.Name {
			var err error
			if addrs, err = addressesOf(p.Tx, ns); err != nil {
				return err
			}
		}
		if len(addrs) == 0 {
			return model.E(model.Precondition, "change records of", next.Name.Text()).In("rdata").
				Because("name server " + ns.Text() + " is inside the zone and has no address").Hint("give it one first")
		}
	}
	return nil
}

// dataAddresses is the addresses that a name may be answered with, a host's or records.
func dataAddresses(d *model.NameData) []netip.Addr {
	if d == nil || d.Withdrawn {
		return nil
	}
	return append(addressesIn(d.RRsets), d.Host.AllAddresses()...)
}
