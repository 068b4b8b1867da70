package facts

import (
	"slices"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/store"
)

// Upper is the zone of ours that a zone is below; nil when there is none.
func Upper(tx *store.Tx, z model.Name) (*model.Zone, error) {
	parent, ok := z.Parent()
	if !ok {
		return nil, nil
	}
	above, err := tx.ZoneAbove(parent)
	if err != nil && model.KindOf(err) == model.NotFound {
		return nil, nil
	}
	return above, err
}

// IsCut reports whether a name below an apex is a delegation.
func IsCut(d *model.NameData) bool {
	if d == nil {
		return false
	}
	_, ok := model.FindRRset(d.RRsets, dns.TypeNS)
	return ok
}

// CutAbove reports whether one of the names is a delegation or a DNAME, which
// hides what is below it.
func CutAbove(path []store.Named) bool {
	return slices.ContainsFunc(path, func(n store.Named) bool {
		if n.Data == nil {
			return false
		}
		_, dname := model.FindRRset(n.Data.RRsets, dns.TypeDNAME)
		return dname || IsCut(n.Data)
	})
}
