package hosts

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"signpost/controlapi/call"
	"signpost/controlapi/guard"
	"signpost/controlapi/rules"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
)

// Lead has those who follow a host follow it to the addresses that it has now, and refreshes
// them with it.
func Lead(p *call.Plan, z *model.Zone, policy *model.ZonePolicy, main store.Named, confirmed bool) error {
	all, err := hostsAt(p, z, main.Host.Followers...)
	if err != nil {
		return err
	}
	for _, old := range all {
		if old.Host.Follows == nil || old.Host.Follows.Main != main.Name {
			continue
		}
		addrs := old.Host.Follows.Follow(main.Data.Host.Addresses(), old.Data.Host.Addresses())
		if len(addrs) > rules.MaxAddresses {
			return model.E(model.Precondition, "set addresses of", main.Name.Text()).In("addresses").
				Because(old.Name.Text() + " follows it, and would have more than " + strconv.Itoa(rules.MaxAddresses)).Hint("take addresses of the other family from that one")
		}
		if err := checkLed(p, z, main.Name, old, addrs); err != nil {
			return err
		}
		next, err := withAddresses(p, old, addrs)
		if err != nil {
			return err
		}
		if err := guard.Cleared(p, z, old, confirmed, next.Data.Host); err != nil {
			return err
		}
		if _, err := putAddresses(p, z, policy, old, next); err != nil {
			return err
		}
	}
	return nil
}

// checkLed refuses addresses that one who follows would come to have and may not: the part of
// the main host's in them may be so short that they are of another kind. Errors: Precondition.
func checkLed(p *call.Plan, z *model.Zone, main model.Name, old store.Named, addrs []netip.Addr) error {
	was := old.Data.Host.Addresses()
	more := slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return slices.Contains(was, a) })
	allowed, err := rules.AddressRulesOf(p, z, more)
	if err != nil {
		return err
	}
	for _, a := range more {
		if why := allowed.Unfit(a); why != "" {
			return model.E(model.Precondition, "set addresses of", main.Text()).In("addresses").
				Because(old.Name.Text() + " follows it, and would have " + a.String() + ": " + why).Hint("let that one follow otherwise, or nobody")
		}
	}
	return nil
}

// putAddresses writes a host that was given its addresses, be they new or not: it is
// refreshed, if that is due, and answered again, if it had lapsed.
func putAddresses(p *call.Plan, z *model.Zone, policy *model.ZonePolicy, old, next store.Named) (store.Named, error) {
	now := p.Call.Desk.Now()
	changed := next.Data != old.Data || old.Host.Lapsed != nil
	if next.Host == old.Host && policy.RefreshDue(old.Host, now) {
		control := *old.Host
		control.RefreshTime = now.UTC().Truncate(time.Second)
		next.Host = &control
	}
	if old.Host.Lapsed != nil {
		next.Host.Lapsed = nil
	}
	if next.Host == old.Host {
		return next, nil
	}
	next, err := Put(p, z, old, next)
	if err != nil {
		return next, err
	}
	if p.Later == nil {
		p.Later = map[model.Name]store.Named{}
	}
	p.Later[old.Name] = next
	if changed {
		p.RecordOf(old, access.SetAddresses, addressesAndWhy(old), addressesAndWhy(next))
	}
	return next, nil
}

// CheckFollowed refuses other addresses for a host than it has, in the families in which it
// follows another. Errors: Precondition.
func CheckFollowed(h store.Named, addrs []netip.Addr) error {
	f := h.Host.Follows
	for _, v4 := range []bool{true, false} {
		if !f.Of(v4).IsValid() || slices.Equal(rules.Family(addrs, v4), rules.Family(h.Data.Host.Addresses(), v4)) {
			continue
		}
		what := map[bool]string{true: "IPv4", false: "IPv6"}[v4]
		return model.E(model.Precondition, "set addresses of", h.Name.Text()).In("addresses").
			Because("it has its " + what + " addresses from " + f.Main.Text() + ", which it follows").
			Hint("set those of " + f.Main.Text() + ", or let it follow nobody: signpost host set " + h.Name.Text() + " --follows \"\"")
	}
	return nil
}

// unrelate ends what a host and others have together, but with those that are kept: what is
// to be written of the host is altered, of the others it is written. Addresses stay as they
// are.
func unrelate(p *call.Plan, z *model.Zone, h store.Named, control *model.HostControl, kept func(*model.HostControl) bool) error {
	if f := h.Host.Follows; f != nil {
		mains, err := hostsAt(p, z, f.Main)
		if err != nil {
			return err
		}
		if len(mains) == 0 || !kept(mains[0].Host) {
			control.Follows = nil
			if err := unlist(p, z, f.Main, h.Name); err != nil {
				return err
			}
		}
	}
	followers, err := hostsAt(p, z, h.Host.Followers...)
	if err != nil {
		return err
	}
	control.Followers = nil
	for _, f := range followers {
		if f.Host.Follows == nil || f.Host.Follows.Main != h.Name {
			continue
		}
		if kept(f.Host) {
			control.Followers = append(control.Followers, f.Name)
			continue
		}
		alone := *f.Host
		alone.Follows = nil
		p.PutHost(z, f.Name, f.Host, &alone)
		p.RecordOf(f, access.HostUpdate, "follows "+f.Host.Follows.String(), "follows nobody")
	}
	return nil
}

func keepNone(*model.HostControl) bool { return false }
