package facts

import (
	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/store"
)

// Place is where the record sets of a name are kept.
type Place struct {
	Zone *model.Zone
	Name model.Name
	Apex bool            // they are in the zone's value
	Path []store.Named   // else: the name and those above it, below the apex
	Data *model.NameData // what is stored of the name; nil at an apex or when there is nothing
}

// ReadPlace finds where a name's records of a type are. The DS of a zone's apex is
// in the zone above (RFC 4035 section 2.4). Errors: NotFound.
func ReadPlace(tx *store.Tx, name model.Name, t uint16) (Place, error) {
	z, path, err := FindPath(tx, name)
	if err != nil {
		return Place{}, err
	}
	if len(path) == 0 && t == dns.TypeDS {
		above, err := Upper(tx, name)
		if err != nil {
			return Place{}, err
		}
		if above != nil {
			z = above
			if path, err = tx.Path(z, name); err != nil {
				return Place{}, err
			}
		}
	}
	at := Place{Zone: z, Name: name, Apex: len(path) == 0, Path: path}
	if !at.Apex {
		at.Data = path[0].Data
	}
	return at, nil
}

// Sets is the record sets as stored, without those of a host's addresses.
func (at Place) Sets() []model.RRset {
	switch {
	case at.Apex:
		return at.Zone.Apex
	case at.Data != nil:
		return at.Data.RRsets
	}
	return nil
}

// Revision is that of the key that the sets are kept in.
func (at Place) Revision() int64 {
	switch {
	case at.Apex:
		return at.Zone.ModRevision
	case at.Data != nil:
		return at.Data.ModRevision
	}
	return 0
}

// Withdrawn reports whether the name, when it holds these sets, belongs to a host that is
// withdrawn.
func (at Place) Withdrawn(sets []model.RRset) bool {
	for i, n := range at.Path {
		if n.Data != nil && n.Data.Host != nil && n.Host != nil {
			return n.Host.Withdrawn()
		}
		if i == 0 {
			n.Data = &model.NameData{RRsets: sets}
		}
		if CutAbove([]store.Named{n}) {
			return false
		}
	}
	return false
}
