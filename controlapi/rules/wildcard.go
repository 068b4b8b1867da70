package rules

import (
	"signpost/controlapi/call"
	"signpost/internal/access"
	"signpost/internal/model"
)

// MostLooked is how many names below a host are looked at when it is another's.
const MostLooked = 1000

// CheckAlone refuses to all but the zone's administrators to make a wildcard above a host
// that another owns than owner: it would answer for that one's name when it is gone.
func CheckAlone(p *call.Plan, z *model.Zone, name model.Name, owner, field string) error {
	if p.Call.May(p.Tx, access.ZoneUpdate, access.Resource{Name: z.Name}) == nil {
		return nil
	}
	denied := func(why string) error {
		return model.E(model.Denied, "make wildcard", name.Text()).In(field).Because(why).Hint("ask an administrator of the zone")
	}
	below, err := p.Below(z, name, MostLooked+1)
	if err != nil {
		return err
	}
	if len(below) > MostLooked {
		return denied("there are too many names below it")
	}
	for _, n := range below {
		if n.Data.Host == nil {
			continue
		}
		path, err := p.Path(z, n.Name)
		if err != nil {
			return err
		}
		if path[0].Host == nil || path[0].Host.Owner != owner {
			return denied("there is a host below it that is not its owner's")
		}
	}
	return nil
}

// CheckWildcard refuses to make a host a wildcard when the name "*" below it is
// taken.
func CheckWildcard(p *call.Plan, z *model.Zone, host model.Name) error {
	star, err := host.Child("*")
	if err != nil {
		return model.E(model.Invalid, "make wildcard", host.Text()).In("wildcard").Because("the host's name is too long for names below it")
	}
	path, err := p.Path(z, star)
	if err != nil {
		return err
	}
	if path[0].Data != nil {
		return model.E(model.Precondition, "make wildcard", host.Text()).In("wildcard").
			Because("there are records at " + star.Text()).Hint("delete them first")
	}
	return nil
}
