package rules

import (
	"net/netip"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
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

// KeepServer refuses to take the last address of a name server of the zone.
func KeepServer(z *model.Zone, name model.Name, before, after []netip.Addr) error {
	if len(before) == 0 || len(after) > 0 || !facts.IsServer(z, name) {
		return nil
	}
	return model.E(model.Precondition, "take the addresses of", name.Text()).
		Because("it is a name server of zone " + z.Name.Text() + ", which would not find it any more").
		Hint("take it out of the zone's NS records first, with signpost record set " + z.Name.Text() + " NS ...")
}

// FindServers refuses name servers that a zone has not had until now, that are inside
// it and have no address.
func FindServers(p *call.Plan, old, next *model.Zone) error {
	for _, text := range next.NS() {
		ns := model.NameOf(text)
		if !ns.In(next.Name) || facts.IsServer(old, ns) {
			continue
		}
		addrs := facts.AddressesIn(next.Apex)
		if ns != next.Name {
			var err error
			if addrs, err = facts.AddressesOf(p.Tx, ns); err != nil {
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
