package hosts

import (
	"slices"
	"strconv"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/guard"
	"signpost/controlapi/rules"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// A host may follow another: its addresses of a family are then made of the other's, and
// change with them in one transaction. The follower says so and how, the main host lists who
// does; what one side alone says is nothing. Who may set the addresses of both may say it, and
// from then on who may set those of the main host sets the follower's.

// Follow plans whom a host follows from now on. next is the host with what else changes of
// it, and is not written here; the main hosts' lists are.
func Follow(p *call.Plan, z *model.Zone, old, next store.Named, in *pb.UpdateHostRequest) (store.Named, error) {
	wanted, err := FollowingOf(in)
	if err != nil {
		return next, err
	}
	was := old.Host.Follows
	if was.String() == wanted.String() {
		return next, nil
	}
	control := *next.Host
	control.Follows = wanted
	next.Host = &control
	if was != nil && (wanted == nil || was.Main != wanted.Main) {
		if err := unlist(p, z, was.Main, old.Name); err != nil {
			return next, err
		}
	}
	if wanted == nil {
		return next, nil
	}
	if err := mayFollow(p, z, old, wanted); err != nil {
		return next, err
	}
	main, err := enlist(p, z, wanted.Main, old.Name)
	if err != nil {
		return next, err
	}
	addrs := wanted.Follow(main.Data.Host.Addresses(), next.Data.Host.Addresses())
	if err := rules.CheckAddresses(p, z, "follows", addrs); err != nil {
		return next, err
	}
	if next, err = withAddresses(p, next, addrs); err != nil {
		return next, err
	}
	return next, guard.Cleared(p, z, old, in.GetConfirmLast(), next.Data.Host)
}

// FollowingOf reads whom a host is to follow; nil: nobody. Errors are of kind Invalid.
func FollowingOf(in *pb.UpdateHostRequest) (*model.Following, error) {
	given := in.GetFollows()
	if given.GetMain() == "" {
		if given.GetIpv4() != "" || given.GetIpv6() != "" {
			return nil, model.E(model.Invalid, "update host", in.GetFqdn()).In("follows.main").Because("it is said how to follow, and not whom")
		}
		return nil, nil
	}
	f := &model.Following{}
	var err error
	if f.Main, err = model.ParseHostName("follows.main", given.GetMain()); err != nil {
		return nil, err
	}
	if f.IPv4, err = model.ParseShare("follows.ipv4", given.GetIpv4(), true); err != nil {
		return nil, err
	}
	if f.IPv6, err = model.ParseShare("follows.ipv6", given.GetIpv6(), false); err != nil {
		return nil, err
	}
	if !f.IPv4.IsValid() && !f.IPv6.IsValid() {
		f.IPv4, f.IPv6 = model.Same(true), model.Same(false)
	}
	return f, nil
}

// mayFollow refuses what a host cannot follow, and those who may not say it.
func mayFollow(p *call.Plan, z *model.Zone, h store.Named, f *model.Following) error {
	refuse := func(why, hint string) error {
		return model.E(model.Precondition, "update host", h.Name.Text()).In("follows.main").Because(why).Hint(hint)
	}
	if f.Main == h.Name {
		return model.E(model.Invalid, "update host", h.Name.Text()).In("follows.main").Because("it is the host itself")
	}
	for _, of := range []struct {
		action access.Action
		name   model.Name
	}{{access.SetAddresses, h.Name}, {access.HostUpdate, f.Main}, {access.SetAddresses, f.Main}} {
		if err := p.Call.May(p.Tx, of.action, access.Resource{Name: of.name}); err != nil {
			return err
		}
	}
	if len(h.Host.Followers) > 0 {
		return refuse("others follow it, "+h.Host.Followers[0].Text()+" among them", "let those follow "+f.Main.Text()+", too")
	}
	for _, t := range rules.NoAddressBeside {
		if facts.HasType(h.Data.RRsets, t) {
			return refuse("it has "+model.TypeName(t)+" records, beside which there are no addresses", "delete them first")
		}
	}
	return nil
}

// enlist writes a host into the list of those who follow another of its zone. Errors:
// NotFound; Precondition when that follows somebody itself; Exhausted.
func enlist(p *call.Plan, z *model.Zone, main, follower model.Name) (store.Named, error) {
	refuse := func(kind model.Kind, why, hint string) (store.Named, error) {
		return store.Named{}, model.E(kind, "update host", follower.Text()).In("follows.main").Because(why).Hint(hint)
	}
	of, m, err := facts.FindHost(p.Tx, main, p.Call.Desk.Now())
	switch {
	case err != nil:
		return m, err
	case of.Name != z.Name:
		return refuse(model.Precondition, main.Text()+" is in zone "+of.Name.Text(), "a host follows one of its own zone, "+z.Name.Text())
	case m.Host.Follows != nil:
		return refuse(model.Precondition, main.Text()+" follows "+m.Host.Follows.Main.Text()+" itself", "follow that one")
	}
	control := *m.Host
	control.Followers = m.Host.WithFollower(follower)
	if len(control.Followers) > model.MostFollowers {
		return refuse(model.Exhausted, main.Text()+" has "+strconv.Itoa(model.MostFollowers)+" followers, as many as a host may", "follow another")
	}
	putFollowers(p, z, m, &control)
	return m, nil
}

// unlist takes a host out of the list of those who follow another, as far as that is there.
func unlist(p *call.Plan, z *model.Zone, main, follower model.Name) error {
	all, err := hostsAt(p, z, main)
	for _, m := range all {
		control := *m.Host
		control.Followers = m.Host.WithoutFollower(follower)
		putFollowers(p, z, m, &control)
	}
	return err
}

func putFollowers(p *call.Plan, z *model.Zone, m store.Named, next *model.HostControl) {
	if slices.Equal(m.Host.Followers, next.Followers) {
		return
	}
	p.PutHost(z, m.Name, m.Host, next)
	p.RecordOf(m, access.HostUpdate, "followers "+namesText(m.Host.Followers), "followers "+namesText(next.Followers))
}

func namesText(names []model.Name) string {
	if len(names) == 0 {
		return "none"
	}
	text := ""
	for _, n := range names {
		text += " " + n.Text()
	}
	return text[1:]
}

// hostsAt is the hosts among names of a zone, as they are before this change.
func hostsAt(p *call.Plan, z *model.Zone, names ...model.Name) ([]store.Named, error) {
	if len(names) == 0 {
		return nil, nil
	}
	all, err := p.HostsAt(z, names...)
	if err != nil {
		return nil, err
	}
	out := all[:0]
	for _, n := range all {
		if n.Host == nil || n.Data == nil || n.Data.Host == nil {
			continue
		}
		if n.Host, err = facts.Standing(p.Tx, n.Host, p.Call.Desk.Now()); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}
