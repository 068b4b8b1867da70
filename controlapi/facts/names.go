package facts

import (
	"strings"
	"time"

	"golang.org/x/net/idna"

	"signpost/internal/model"
	"signpost/internal/store"
)

// ParseName reads the name of a zone or of a record's owner: any domain name,
// with internationalized labels turned into A-labels. Errors are of kind Invalid.
func ParseName(field, text string) (model.Name, error) {
	labels := strings.Split(text, ".")
	for i, l := range labels {
		if strings.IndexFunc(l, func(r rune) bool { return r >= 0x80 }) < 0 {
			continue
		}
		a, err := idna.Lookup.ToASCII(l)
		if err != nil {
			return "", model.E(model.Invalid, "read domain name", text).In(field).Because("\"" + l + "\" is no valid internationalized label")
		}
		labels[i] = a
	}
	n, err := model.ParseName(strings.Join(labels, "."))
	if err != nil {
		return "", model.E(model.Invalid, "read domain name", text).In(field).
			Because("it is empty, or a label is empty or over 63 octets, or the name over 255").Hint("give a name such as www.example.org")
	}
	return n, nil
}

// FindHost reads a host with both of its values. Errors: NotFound, also when no
// zone contains the name. What tokens made of it that have ended is not there.
func FindHost(tx *store.Tx, name model.Name, now time.Time) (*model.Zone, store.Named, error) {
	z, path, err := FindPath(tx, name)
	if err != nil && model.KindOf(err) != model.NotFound {
		return nil, store.Named{}, err
	}
	if err != nil || len(path) == 0 || path[0].Host == nil || path[0].Data == nil || path[0].Data.Host == nil {
		return nil, store.Named{}, model.E(model.NotFound, "find host", name.Text()).Because("there is no such host").
			Hint("signpost host list shows those there are")
	}
	path[0].Host, err = Standing(tx, path[0].Host, now)
	return z, path[0], err
}

// FindPath reads the zone of a name, and the name with all between it and the
// apex; there are none when the name is the apex.
func FindPath(tx *store.Tx, name model.Name) (*model.Zone, []store.Named, error) {
	z, err := tx.ZoneAbove(name)
	if err != nil {
		return nil, nil, err
	}
	path, err := tx.Path(z, name)
	return z, path, err
}

// HostOn is the host that the first name of a path is or belongs to; nil when there is
// none, or a delegation or DNAME comes before it: what is at and below those is for the
// zone's administrators, who say there where others find their answers.
func HostOn(path []store.Named) *store.Named {
	for i, n := range path {
		if n.Data != nil && n.Data.Host != nil && n.Host != nil {
			return &path[i]
		}
		if CutAbove(path[i : i+1]) {
			break
		}
	}
	return nil
}

// HasType reports whether there is a set of one of these types.
func HasType(sets []model.RRset, types ...uint16) bool {
	for _, t := range types {
		if _, ok := model.FindRRset(sets, t); ok {
			return true
		}
	}
	return false
}
