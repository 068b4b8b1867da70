package cutover

import (
	"net/netip"
	"slices"

	"signpost/controlapi/facts"
	"signpost/controlapi/hosts"
	"signpost/controlapi/message"
	"signpost/controlapi/rules"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// gone plans the removal of a name that the other service has no more, unless something of
// it was changed here.
func (i *importing) gone(r *pb.ImportedName, here store.Named, before *model.Imported) error {
	if before.Time.IsZero() {
		return nil
	}
	hosted := here.Data.Host != nil && here.Host != nil
	if hosted && here.Host.Follows != nil && !i.single {
		return model.E(model.Invalid, "import", here.Name.Text()).In("names").Because("the host follows another, and is not alone in its call").Hint("send it by itself")
	}
	if hosted {
		why, err := i.changedHere(here, before)
		if err != nil {
			return err
		}
		if why != "" {
			r.Kept = append(r.Kept, "the host, which is not there any more: "+why)
			return nil
		}
		below, err := i.Below(i.zone, here.Name, rules.MostLooked+1)
		if err != nil {
			return err
		}
		for _, n := range below {
			if will, planned := i.done[n.Name]; !planned || will.Data != nil && len(will.Data.RRsets) > 0 {
				r.Kept = append(r.Kept, "the host, which is not there any more: there is "+n.Name.Text()+" below it")
				return nil
			}
		}
		i.Owner = here.Host.Owner
		if _, err := hosts.DeleteAs(i.Plan, access.HostDelete, i.zone, here); err != nil {
			return err
		}
		r.Changes = append(r.Changes, "the host")
	} else {
		left := here.Data.RRsets
		for _, set := range before.Sets {
			now, is := model.FindRRset(left, set.Type)
			switch {
			case is && now.Equal(set):
				left = model.WithoutRRset(left, set.Type)
				r.Changes = append(r.Changes, model.TypeName(set.Type)+": none")
				i.RecordAs(access.RecordDelete, i.zone.Name, here.Name, model.TypeName(set.Type), message.RRset(now), "")
			case is:
				r.Kept = append(r.Kept, model.TypeName(set.Type)+": here "+ttlAndText(now)+", there none")
			}
		}
		data := *here.Data
		data.RRsets = left
		if err := rules.KeepServer(i.zone, here.Name, facts.DataAddresses(here.Data), facts.DataAddresses(&data)); err != nil {
			return err
		}
		if len(r.Changes) > 0 {
			i.PutName(i.zone, here.Name, &data)
			i.done[here.Name] = store.Named{Name: here.Name, Data: &data}
		}
	}
	if len(r.Changes) > 0 {
		r.Outcome = "removed"
	}
	i.PutImported(i.zone, here.Name, nil)
	return nil
}

// ownAddresses is those of a host that it has not from whom it follows.
func ownAddresses(h store.Named) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(h.Data.Host.Addresses()), func(a netip.Addr) bool { return h.Host.Follows.Of(a.Is4()).IsValid() })
}

// changedHere is what of a host is no more as it was imported; "" when all is.
func (i *importing) changedHere(here store.Named, before *model.Imported) (string, error) {
	h, c, was := here.Data.Host, here.Host, before.Host
	var there []netip.Addr
	if was != nil {
		var err error
		if there, _, err = i.fitting(was.Addresses); err != nil {
			return "", err
		}
	}
	is := func(why string) (string, error) { return why, nil }
	switch {
	case was == nil:
		return is("it was made here")
	case c.Owner != was.Owner:
		return is("its owner is another")
	case c.Follows.String() != was.Follows:
		return is("whom it follows was changed here")
	case len(c.Followers) > 0:
		return is("others follow it")
	case !slices.Equal(ownAddresses(here), there):
		return is("its addresses were changed here")
	case c.LegacySecret == nil && c.SecretHash != nil:
		return is("it got a secret here")
	case len(c.Editors) > 0 || len(c.Secrets) > 0 || len(h.WithoutEndpoint(model.MainEndpoint)) > 0:
		return is("it has editors or endpoints")
	case c.Comment != was.Comment || h.Wildcard != was.Wildcard || (c.Blocked != nil) != was.Blocked || (c.Disabled != nil) != was.Disabled:
		return is("it was changed here")
	case !slices.EqualFunc(here.Data.RRsets, before.Sets, model.RRset.Equal):
		return is("its records were changed here")
	}
	return "", nil
}
