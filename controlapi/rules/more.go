package rules

import (
	"fmt"
	"slices"

	"github.com/miekg/dns"

	"signpost/controlapi/call"
	"signpost/internal/access"
	"signpost/internal/model"
)

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

// MostLooked is how many names below a host are looked at when it is another's.
const MostLooked = 1000

// NoAddressBeside is the types that a host with addresses has no records of.
var NoAddressBeside = []uint16{dns.TypeCNAME, dns.TypeNS, dns.TypeDNAME}

func IsAddressType(t uint16) bool { return t == dns.TypeA || t == dns.TypeAAAA }

func OnlyAddresses(sets []model.RRset) bool {
	for _, s := range sets {
		if !IsAddressType(s.Type) {
			return false
		}
	}
	return true
}

// PrincipalNames reads people and groups, without those given twice. Errors are of kind
// Invalid and name the field.
func PrincipalNames(field string, texts []string) ([]model.PrincipalName, error) {
	var out []model.PrincipalName
	for i, text := range texts {
		n, err := model.ParsePrincipalName(fmt.Sprintf("%s[%d]", field, i), text)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out, nil
}

// PersonName reads the name of a person. Errors are of kind Invalid and name the field.
func PersonName(field, text string) (model.PrincipalName, error) {
	n, err := model.ParsePrincipalName(field, text)
	if err == nil && n.IsGroup() {
		err = model.E(model.Invalid, "read name of a person", text).In(field).Because("it is a group").Hint("write ISSUER/SUBJECT")
	}
	return n, err
}
