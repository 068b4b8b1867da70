package rules

import (
	"strconv"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
)

// mostCounted is how many names below a host are looked at to count those that belong to
// it; with more it has too many.
const mostCounted = 1000

// Bounded reports whether what the caller keeps in a zone has bounds: not for its
// administrators.
func Bounded(p *call.Plan, z *model.Zone) bool {
	switch p.Call.Who.Kind {
	case access.User:
		return p.Call.May(p.Tx, access.ZoneExport, access.Resource{Name: z.Name}) != nil
	case access.HostSecret, access.EndpointSecret:
		return true
	}
	return false
}

// CheckBounds refuses owners and editors more at and below their host than its zone lets
// them keep. What is already more may become less. Errors: Exhausted.
func CheckBounds(p *call.Plan, at facts.Place, set model.RRset) error {
	if at.Apex || !Bounded(p, at.Zone) {
		return nil
	}
	policy, err := p.Policy(at.Zone)
	if err != nil {
		return err
	}
	bounds := policy.WithDefaults()
	refuse := func(why string) error {
		return model.E(model.Exhausted, "set records", at.Name.Text()+" "+model.TypeName(set.Type)).In("rdata").Because(why).
			Hint("delete some, or ask an administrator of the zone")
	}
	old, _ := model.FindRRset(at.Sets(), set.Type)
	if most := int(bounds.MaxRecords); len(set.Data) > most && len(set.Data) > len(old.Data) {
		return refuse("it would have " + strconv.Itoa(len(set.Data)) + " records, and owners put at most " + strconv.Itoa(most) + " into a set")
	}
	var host store.Named
	for _, n := range at.Path {
		if n.Data != nil && n.Data.Host != nil {
			host = n
			break
		}
	}
	if host.Data == nil {
		return nil
	}
	below, err := p.Below(at.Zone, host.Name, mostCounted)
	if err != nil {
		return err
	}
	held := facts.HeldOf(below, facts.IsCutOrHost)
	if most := int(bounds.MaxNames); at.Data == nil && (len(held) >= most || len(below) == mostCounted) {
		return refuse("host " + host.Name.Text() + " has " + strconv.Itoa(len(held)) + " names below it, and owners make at most " + strconv.Itoa(most))
	}
	octets := rdataOctets(host.Data.RRsets)
	for _, n := range held {
		octets += rdataOctets(n.Data.RRsets)
	}
	more := rdataOctets([]model.RRset{set}) - rdataOctets([]model.RRset{old})
	if most := int(bounds.MaxOctets); more > 0 && octets+more > most {
		return refuse("host " + host.Name.Text() + " would have " + strconv.Itoa(octets+more) + " octets of data at and below it, and owners keep at most " + strconv.Itoa(most))
	}
	return nil
}

func rdataOctets(sets []model.RRset) (n int) {
	for _, s := range sets {
		for _, d := range s.Data {
			n += len(d)
		}
	}
	return n
}
