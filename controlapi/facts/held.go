package facts

import (
	"slices"
	"time"

	"signpost/internal/model"
	"signpost/internal/store"
)

// HeldOf is which of the names below a host belong to it: those that are not at or below
// one that stands for itself.
func HeldOf(below []store.Named, itself func(store.Named) bool) []store.Named {
	var held []store.Named
	var others []model.Name
	for _, n := range below { // in key order: a name comes before those below it
		other := itself(n)
		for _, o := range others {
			other = other || n.Name.In(o)
		}
		if other {
			others = append(others, n.Name)
		} else {
			held = append(held, n)
		}
	}
	return held
}

// IsHost reports whether there is a host at a name.
func IsHost(n store.Named) bool { return n.Data.Host != nil }

// IsCutOrHost reports whether a name stands for itself below a host: as a host of its own,
// a delegation or a DNAME.
func IsCutOrHost(n store.Named) bool { return IsHost(n) || CutAbove([]store.Named{n}) }

// Judges reports whether the checker of a site, if there is one, is among those that a
// host's check names.
func Judges(h *model.Host, site string) bool {
	return h.Checked && (len(h.CheckSites) == 0 || slices.Contains(h.CheckSites, site))
}

// LeaseEnd is when something is done to a host that is not refreshed; zero: never.
func LeaseEnd(policy *model.ZonePolicy, h *model.HostControl) time.Time {
	end := policy.LeaseEnd(h)
	if !end.IsZero() && h.Lapsed != nil {
		end = h.Lapsed.Time.Add(max(lapsedKept, time.Duration(policy.Lease)*time.Second))
	}
	return end
}

// lapsedKept is how long a host that was not refreshed is there still, or a further
// lease if that is longer.
const lapsedKept = 30 * 24 * time.Hour

// IsOf reports whether a record is of a zone as it is now: not of one above or below it,
// in which its names were or are, nor of one of that name that was deleted before. An
// import that takes its hosts away makes no other zone of it.
func IsOf(z *model.Zone, a *model.AuditRecord) bool {
	return a.Zone == z.Name && (a.Revision > store.MadeAt(z.Incarnation) || !a.Time.Before(z.CreateTime))
}

// Judging is the registered checkers that a host's check names.
func Judging(h *model.Host, all []model.Checker) (out []model.Checker) {
	for _, k := range all {
		if Judges(h, k.Site) {
			out = append(out, k)
		}
	}
	return out
}
