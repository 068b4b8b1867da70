package zone

import (
	"iter"
	"slices"

	"signpost/internal/model"
)

// Zones yields the zones by name.
func (v *View) Zones() iter.Seq[*Zone] {
	return func(yield func(*Zone) bool) {
		var zones []*Zone
		for s := range v.slots.all() {
			if s.zone != nil {
				zones = append(zones, s.zone)
			}
		}
		slices.SortFunc(zones, func(a, b *Zone) int { return model.CompareNames(a.name, b.name) })
		for _, z := range zones {
			if !yield(z) {
				return
			}
		}
	}
}
