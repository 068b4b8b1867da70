package zonefile

import (
	"net/netip"

	"signpost/controlapi/call"
	"signpost/controlapi/delegation"
	"signpost/controlapi/zones"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// still fails with errStale when the zone is not as an import has read it.
func still(p *call.Plan, was state, name model.Name) error {
	now, err := p.Zone(name)
	switch {
	case model.KindOf(err) == model.NotFound && err != nil:
		if was.zone != nil {
			return errStale
		}
	case err != nil:
		return err
	case was.zone == nil || now.ModRevision != was.zone.ModRevision:
		return errStale
	}
	rev, err := p.ZoneRevision(name)
	if err == nil && rev != was.zoneRevision {
		err = errStale
	}
	return err
}

// switchTo puts the zone with its next generation. Errors: errStale when the zone
// is not as it was read.
func switchTo(p *call.Plan, was state, j *join, claim *store.Claim) (*pb.ImportZoneResponse, error) {
	if err := p.EndImport(claim); err != nil {
		return nil, err
	}
	if err := still(p, was, j.name()); err != nil {
		return nil, err
	}
	apex, err := j.apex(was)
	if err != nil {
		return nil, err
	}
	z := j.next(was, apex, claim.Generation, p.Call.Desk.Now())
	addrs := func(n model.Name) ([]netip.Addr, error) { return j.addresses(was, z, n) }
	if was.zone == nil {
		lower, err := zones.Start(p, z, addrs)
		if err != nil {
			return nil, err
		}
		if z.Generation = claim.Generation; !zones.SameNames(lower, was.lower) {
			return nil, errStale
		}
	} else if err := delegation.Put(p, z, addrs); err != nil {
		return nil, err
	}
	if was.zone != nil && z.Incarnation != was.zone.Incarnation {
		if err := keepPolicy(p, was.zone, z); err != nil {
			return nil, err
		}
	}
	return putImported(p, was, j, z)
}

// keepPolicy lets a zone whose hosts all go have the policy that it has, and keeps their
// names for their owners: however many there are, by keeping what there was of them.
func keepPolicy(p *call.Plan, was, z *model.Zone) error {
	policy, err := p.Policy(was)
	if err != nil {
		return err
	}
	next := policy.WithFormer(was.Incarnation, p.Call.Desk.Now())
	if _, err := p.Policy(z); err != nil || policy.ModRevision == 0 && len(next.Formers) == 0 {
		return err
	}
	p.PutPolicy(z, &next)
	return nil
}

// mergeInPlace writes the names that a merge changes into the generation in use.
// Errors: errStale when the zone is not as it was read.
func mergeInPlace(p *call.Plan, was state, j *join) (*pb.ImportZoneResponse, error) {
	if err := still(p, was, j.name()); err != nil {
		return nil, err
	}
	apex, err := j.apex(was)
	if err != nil {
		return nil, err
	}
	z := j.next(was, apex, 0, p.Call.Desk.Now())
	if err := delegation.Put(p, z, func(n model.Name) ([]netip.Addr, error) { return j.addresses(was, z, n) }); err != nil {
		return nil, err
	}
	names := make([]model.Name, len(j.few))
	for i, f := range j.few {
		names[i] = f.name
	}
	if _, err := p.Datas(z, names...); err != nil {
		return nil, err
	}
	for _, f := range j.few {
		p.PutName(z, f.name, f.data)
	}
	return putImported(p, was, j, z)
}

// putImported puts the zone itself, and says what was done.
func putImported(p *call.Plan, was state, j *join, z *model.Zone) (*pb.ImportZoneResponse, error) {
	current, err := p.Revision()
	if err != nil {
		return nil, err
	}
	z.SerialBase = newBase(was, j.file.Serial, current)
	p.Changed = z
	p.PutZone(z)
	out, err := j.result(was, &pb.Change{})
	if err != nil {
		return nil, err
	}
	if out.Removed > 0 || out.HostsRemoved > 0 {
		p.Accept(z.Name) // it was told to replace
	}
	p.Record(z.Name, "", summary(out), "", "")
	return out, nil
}

// newBase is a serial base with which the serial at any revision after current is
// greater, by RFC 1982, than that of the file and than the one served until now:
// the least that the revision of the switch can be is current + 1, and each
// revision that it is later makes the serial one greater, for which there is room
// for 2^31 of them. The base stays as it is when that is enough already. Where no
// number is greater than both, what is served counts.
func newBase(was state, fileSerial uint32, current int64) uint32 {
	base, least := uint32(0), fileSerial
	if was.zone != nil {
		served := was.zone.Serial(was.zoneRevision)
		base = was.zone.SerialBase
		if int32(fileSerial-served) < 0 {
			least = served
		}
	}
	if next := base + uint32(current+1); int32(next-least) > 0 {
		return base
	}
	return least + 1 - uint32(current+1)
}
