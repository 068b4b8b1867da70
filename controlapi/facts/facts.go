// Package facts answers one question: what does state say of a name now? What is there,
// whose it is, and what a decision about it rests on; what tokens made of it that have
// ended is not there.
package facts

import (
	"slices"
	"strconv"
	"time"

	"github.com/miekg/dns"

	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
)

// Known is a resource with all that a decision about a person rests on. What is not
// there is left out: then nobody but an operator has a right to it.
func Known(tx *store.Tx, who access.Principal, a access.Action, r access.Resource, now time.Time) (access.Resource, error) {
	if r.Name == "" {
		return r, nil
	}
	z, path, err := placeOf(tx, a, r)
	if err == nil {
		r.Zone = z.Name
		r.Policy, err = tx.Policy(z)
	}
	if err != nil {
		if model.KindOf(err) == model.NotFound {
			err = nil
		}
		return r, err
	}
	if r.Policy, err = StandingPolicy(tx, r.Policy, now); err != nil {
		return r, err
	}
	if h := HostOn(path); h != nil {
		host, err := Standing(tx, h.Host, now)
		if err != nil {
			return r, err
		}
		r.Host, r.Owner, r.Editors, r.Blocked = h.Name, host.Owner, host.Editors, host.Blocked
		if o := host.Offer; o != nil && now.Before(o.ExpireTime) {
			r.Offered = o.To
		}
	}
	if a == access.HostCreate && len(path) > 0 {
		r.Obstacle, err = obstacle(tx, who, z, r.Policy, path, now)
	}
	return r, err
}

// KnownOf is a resource with what a decision about the secret of a host, or of an
// endpoint of it, rests on. That of a
// host that is no more is no longer right, which identify says.
func KnownOf(tx *store.Tx, host model.Name, r access.Resource, now time.Time) (access.Resource, error) {
	_, h, err := FindHost(tx, host, now)
	switch {
	case err == nil:
		r.Host, r.Blocked = host, h.Host.Blocked
	case model.KindOf(err) == model.NotFound:
		err = nil
	}
	return r, err
}

// placeOf is the zone whose administrators decide about a resource, and the names from
// the resource's up to the zone's apex.
func placeOf(tx *store.Tx, a access.Action, r access.Resource) (*model.Zone, []store.Named, error) {
	if access.IsOfZones(a) {
		z, err := tx.Zone(r.Name)
		return z, nil, err
	}
	z, path, err := FindPath(tx, r.Name)
	if err != nil || len(path) > 0 || r.Type != dns.TypeDS {
		return z, path, err
	}
	// The DS of an apex is the upper zone's (RFC 4035 section 2.4), and so is the word on it.
	above, err := Upper(tx, r.Name)
	if err != nil || above == nil {
		return z, path, err
	}
	path, err = tx.Path(above, r.Name)
	return above, path, err
}

// mostBelow is how many names below a new host are looked at; with more it is refused.
const mostBelow = 100

// obstacle is why only the zone's administrators may register the first name of path;
// nil when nothing is in the way. The first row that matches:
//
//	the name                                        obstacle
//	has more labels than the zone lets register     yes
//	has a label that the zone reserves              yes
//	is that of a name server of the zone, or above  yes
//	is at or below a delegation or DNAME            yes
//	is kept for another, or one above it is         yes
//	has records                                     yes
//	is below another's host                         yes
//	is above one that is kept for another           yes
//	has a name below it that belongs to no host     yes
//	of the caller's
//	anything else                                   no
func obstacle(tx *store.Tx, who access.Principal, z *model.Zone, policy *model.ZonePolicy, path []store.Named, now time.Time) (*access.Obstacle, error) {
	is := func(cause error, why string) (*access.Obstacle, error) {
		return &access.Obstacle{Why: why, Cause: cause}, nil
	}
	name, p := path[0].Name, policy.WithDefaults()
	if len(path) > int(p.Depth) {
		return is(model.ErrTooDeep, "zone "+z.Name.Text()+" lets names be registered "+strconv.Itoa(int(p.Depth))+" labels below it and no deeper")
	}
	for _, l := range name.Labels()[:len(path)] {
		if p.Reserves(l) {
			return is(model.ErrReserved, "the label "+l+" is reserved in zone "+z.Name.Text())
		}
	}
	for _, ns := range z.NS() {
		if model.NameOf(ns).In(name) {
			return is(model.ErrReserved, "a name server of zone "+z.Name.Text()+" has that name, or one below it")
		}
	}
	if CutAbove(path) {
		return is(model.ErrRecords, "it is at or below a delegation or DNAME")
	}
	why, err := keptFor(tx, who, z, policy, path, now)
	if err != nil {
		return nil, err
	}
	if why != "" {
		return is(model.ErrNotFree, why)
	}
	mine := func(n store.Named) bool { return n.Host != nil && n.Host.Owner == who.Name() }
	if d := path[0].Data; d != nil && len(d.RRsets) > 0 && d.Host == nil {
		return is(model.ErrRecords, "there are records at the name")
	}
	for _, above := range path[1:] {
		if above.Data != nil && above.Data.Host != nil && !mine(above) {
			return is(model.ErrNotFree, "it is below host "+above.Name.Text()+", which is not yours")
		}
	}
	below, err := tx.Below(z, name, mostBelow+1)
	if err != nil {
		return nil, err
	}
	if len(below) > mostBelow {
		return is(model.ErrNotFree, "there are too many names below it")
	}
	kept, err := tx.KeptBelow(z, current(policy.Formers, now), name, mostBelow+1)
	if err != nil {
		return nil, err
	}
	if len(kept) > mostBelow {
		return is(model.ErrNotFree, "too many names below it are kept for others")
	}
	for _, n := range below {
		if n.Data.Host != nil {
			delete(kept, n.Name) // a host that is there has ended it
		}
	}
	for at, k := range kept {
		if k.Owner != who.Name() && now.Before(k.ExpireTime) {
			return is(model.ErrNotFree, "the name "+at.Text()+" below it was another's and is kept until "+k.ExpireTime.UTC().Format(time.RFC3339))
		}
	}
	var hosts []model.Name // of the caller's, below the name
	for _, n := range below {
		if n.Data.Host != nil {
			at, err := tx.Path(z, n.Name)
			if err != nil {
				return nil, err
			}
			if mine(at[0]) {
				hosts = append(hosts, n.Name)
				continue
			}
		}
		if !isBelowAny(n.Name, hosts) || n.Data.Host != nil || CutAbove([]store.Named{n}) {
			return is(model.ErrNotFree, "there are names below it that are not yours")
		}
	}
	return nil, nil
}

// current is those of whom names are kept still.
func current(formers []model.Former, now time.Time) (out []model.Former) {
	for _, f := range formers {
		if now.Before(f.ExpireTime) {
			out = append(out, f)
		}
	}
	return out
}

// keptFor is why a name that somebody's host had, or that is below one, is not free for
// others; "" when it is.
func keptFor(tx *store.Tx, who access.Principal, z *model.Zone, policy *model.ZonePolicy, path []store.Named, now time.Time) (string, error) {
	names := make([]model.Name, len(path))
	for i, n := range path {
		names[i] = n.Name
	}
	kept, err := tx.KeptNames(z, names...)
	if err != nil {
		return "", err
	}
	for _, f := range slices.Backward(policy.Formers) {
		if !now.Before(f.ExpireTime) {
			continue
		}
		since, err := tx.KeptSince(z, f, names...)
		if err != nil {
			return "", err
		}
		for i, n := range path {
			if kept[i] == nil && (n.Data == nil || n.Data.Host == nil) { // a host that is there has ended it
				kept[i] = since[i]
			}
		}
	}
	for i, k := range kept {
		if k != nil && k.Owner != who.Name() && now.Before(k.ExpireTime) {
			return "the name " + names[i].Text() + " was another's and is kept until " + k.ExpireTime.UTC().Format(time.RFC3339), nil
		}
	}
	return "", nil
}

func isBelowAny(n model.Name, of []model.Name) bool {
	for _, o := range of {
		if n.Below(o) {
			return true
		}
	}
	return false
}
