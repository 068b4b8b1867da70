package cutover

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/miekg/dns"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/hosts"
	"signpost/controlapi/message"
	"signpost/controlapi/rules"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// hostOf is a name with its host as it will be, and without what it adopts.
func (i *importing) hostOf(r *pb.ImportedName, f *former, here store.Named, before *model.Imported) (store.Named, error) {
	hosted := here.Data.Host != nil && here.Host != nil
	if f.host != nil && f.host.follows != nil && !i.single {
		return here, model.E(model.Invalid, "import host", f.name.Text()).In("names").Because("it follows another host, and is not alone in its call").Hint("send it by itself, after whom it follows")
	}
	switch {
	case f.host == nil && hosted:
		r.Kept = append(r.Kept, "the host, which is not there any more")
		return here, nil
	case f.host == nil:
		return here, nil
	case hosted:
		return i.changedHost(r, f.host, here, before.Host)
	case before.Host != nil:
		if !before.Host.Equal(&f.host.FormerHost) {
			r.Kept = append(r.Kept, "the host was deleted here")
		}
		return here, nil
	}
	return i.newHost(r, f.host, here, before.Sets)
}

// newHost is a name with a host that was not there. Address records of the name that were
// imported, or are the host's, become the host's.
func (i *importing) newHost(r *pb.ImportedName, f *formerHost, here store.Named, before []model.RRset) (store.Named, error) {
	data := *here.Data
	for _, t := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeNS, dns.TypeDNAME} {
		set, there := model.FindRRset(data.RRsets, t)
		was, _ := model.FindRRset(before, t)
		own := rules.IsAddressType(t) && slices.Equal(model.NormalizeAddresses(facts.AddressesIn([]model.RRset{set})), rules.Family(f.Addresses, t == dns.TypeA))
		if there && !own && !set.Equal(was) {
			return here, model.E(model.Precondition, "import host", here.Name.Text()).
				Because("the name has " + model.TypeName(t) + " records that were made here").Hint("delete them, or the host there")
		}
		data.RRsets = model.WithoutRRset(data.RRsets, t)
	}
	addrs, left, err := i.fitting(f.Addresses)
	if err != nil {
		return here, err
	}
	r.Kept = append(r.Kept, left...)
	number, err := i.NewNumber()
	if err != nil {
		return here, err
	}
	now := i.Call.Desk.Now().UTC().Truncate(time.Second)
	h := &model.Host{Wildcard: f.Wildcard, TTL: f.ttl}
	if h.TTL == i.zone.WithDefaults().TTL {
		h.TTL = 0
	}
	if err := rules.CheckTTL(i.zone, h.TTL); err != nil {
		r.Kept = append(r.Kept, "the TTL of the zone: "+err.Error())
		h.TTL = 0
	}
	control := &model.HostControl{
		Owner: f.Owner, Comment: f.Comment, CreateTime: orTime(f.created, now),
		Blocked: withdrawnFor(f.Blocked, f.blocked, now), Disabled: withdrawnFor(f.Disabled, f.disabled, now),
	}
	hosts.GiveAddresses(h, control, addrs, number, now)
	control.UpdateTime4, control.UpdateTime6, control.RefreshTime = f.updated4, f.updated6, now
	if h.Wildcard {
		if err := i.makeWildcard(here.Name); err != nil {
			if model.KindOf(err) != model.Precondition {
				return here, err
			}
			h.Wildcard = false
			r.Kept = append(r.Kept, "no wildcard: "+err.Error())
		}
	}
	if f.secret != nil {
		if control.LegacySecret, err = i.SealLegacy(i.zone, here.Name, f.secret.Text()); err != nil {
			return here, err
		}
	}
	data.Host = h
	next := store.Named{Name: here.Name, Data: &data, Host: control}
	if next, err = i.followOf(f, next, next); err != nil {
		return here, err
	}
	control = next.Host
	text := message.DescribeHost(next)
	if w := facts.DescribeWithdrawal(control); w != "" {
		text += ", " + w
	}
	r.Outcome = "created"
	r.Changes = append(r.Changes, "owner "+control.Owner+", "+text)
	i.Owner = control.Owner
	i.RecordAs(access.HostCreate, i.zone.Name, here.Name, "imported", "", text)
	return next, nil
}

// changedHost is a host with what has changed there and not here.
func (i *importing) changedHost(r *pb.ImportedName, f *formerHost, here store.Named, before *model.FormerHost) (store.Named, error) {
	now := i.Call.Desk.Now().UTC().Truncate(time.Second)
	data, h, control := *here.Data, *here.Data.Host, *here.Host
	data.Host = &h
	attribute := func(what string, as fork, is, there string, take func()) {
		switch as {
		case taken:
			take()
			r.Changes = append(r.Changes, what+" "+there)
		case kept:
			r.Kept = append(r.Kept, what+": here "+is+", there "+there)
		}
	}
	texts := func(there, was, is string) fork { return threeWays(there == was, is == there, is == was) }
	flags := func(there, was, is bool) fork { return threeWays(there == was, is == there, is == was) }
	attribute("owner", texts(f.Owner, before.Owner, control.Owner), control.Owner, f.Owner, func() { control.Owner = f.Owner })
	attribute("comment", texts(f.Comment, before.Comment, control.Comment), strconv.Quote(control.Comment), strconv.Quote(f.Comment), func() { control.Comment = f.Comment })
	attribute("blocked", flags(f.Blocked, before.Blocked, control.Blocked != nil), strconv.FormatBool(control.Blocked != nil), strconv.FormatBool(f.Blocked),
		func() { control.Blocked = withdrawnFor(f.Blocked, f.blocked, now) })
	attribute("disabled", flags(f.Disabled, before.Disabled, control.Disabled != nil), strconv.FormatBool(control.Disabled != nil), strconv.FormatBool(f.Disabled),
		func() { control.Disabled = withdrawnFor(f.Disabled, f.disabled, now) })
	wildcard := flags(f.Wildcard, before.Wildcard, h.Wildcard)
	if wildcard == taken && f.Wildcard {
		if err := i.makeWildcard(here.Name); err != nil {
			if model.KindOf(err) != model.Precondition {
				return here, err
			}
			wildcard = kept
		}
	}
	attribute("wildcard", wildcard, strconv.FormatBool(h.Wildcard), strconv.FormatBool(f.Wildcard), func() { h.Wildcard = f.Wildcard })
	there, left, err := i.fitting(f.Addresses)
	if err != nil {
		return here, err
	}
	was, _, err := i.fitting(before.Addresses)
	if err != nil {
		return here, err
	}
	if !slices.Equal(f.Addresses, before.Addresses) {
		r.Kept = append(r.Kept, left...)
	}
	is := h.Addresses()
	want := is
	for _, v4 := range []bool{true, false} {
		if control.Follows.Of(v4).IsValid() {
			continue
		}
		t, w, n := rules.Family(there, v4), rules.Family(was, v4), rules.Family(is, v4)
		what, at := "IPv6", f.updated6
		if v4 {
			what, at = "IPv4", f.updated4
		}
		attribute(what, threeWays(slices.Equal(t, w), slices.Equal(n, t), slices.Equal(n, w)), message.Addresses(n), message.Addresses(t), func() {
			want = rules.ReplaceFamilies(want, t, v4 && len(t) == 0, !v4 && len(t) == 0)
			if at = orTime(at, now); v4 {
				control.UpdateTime4 = at
			} else {
				control.UpdateTime6 = at
			}
		})
	}
	if err := i.takeAddresses(&h, &control, is, want); err != nil {
		return here, err
	}
	next := store.Named{Name: here.Name, Data: &data, Host: &control}
	var failed error
	attribute("follows", texts(f.Follows, before.Follows, here.Host.Follows.String()), orNone(here.Host.Follows.String()), orNone(f.Follows), func() { next, failed = i.followOf(f, here, next) })
	if failed != nil {
		return here, failed
	}
	control, data = *next.Host, *next.Data
	secret, err := i.takeSecret(r, f, here, before, &control)
	if err != nil {
		return here, err
	}
	if len(r.Changes) == 0 && !secret {
		return here, nil
	}
	next = store.Named{Name: here.Name, Data: &data, Host: &control}
	if len(r.Changes) == 0 {
		return store.Named{Name: here.Name, Data: here.Data, Host: &control}, nil
	}
	i.RecordAs(access.HostUpdate, i.zone.Name, here.Name, "imported", describeAll(here), describeAll(next))
	return next, nil
}

// takeAddresses gives a host other addresses, and leaves the times alone.
func (i *importing) takeAddresses(h *model.Host, control *model.HostControl, is, want []netip.Addr) error {
	if slices.Equal(is, want) {
		return nil
	}
	number, err := i.NewNumber()
	if err != nil {
		return err
	}
	v4, v6 := control.UpdateTime4, control.UpdateTime6
	hosts.GiveAddresses(h, control, want, number, v4)
	control.UpdateTime4, control.UpdateTime6 = v4, v6
	return nil
}

// takeSecret gives a host the secret that it has there, if that is another than the one
// that was imported, or was none then; not in the place of one that was made here.
func (i *importing) takeSecret(r *pb.ImportedName, f *formerHost, here store.Named, before *model.FormerHost, control *model.HostControl) (bool, error) {
	if f.secret == nil {
		return false, nil
	}
	old, err := call.OpenLegacy(i.Tx, i.zone, here)
	if err != nil {
		return false, err
	}
	ours := old == nil && (here.Host.SecretHash != nil || before.Secret)
	if ours || old != nil && old.SameSource(*f.secret) {
		return false, nil
	}
	if control.LegacySecret, err = i.SealLegacy(i.zone, here.Name, f.secret.Text()); err != nil {
		return false, err
	}
	control.SecretHash = nil
	r.Changes = append(r.Changes, "another secret")
	return true, nil
}
