package cutover

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"signpost/controlapi/message"
	"signpost/controlapi/rules"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
)

// fitting is the addresses that a host of the zone may have, and why others are left out.
func (i *importing) fitting(addrs []netip.Addr) (fit []netip.Addr, left []string, err error) {
	allowed, err := rules.AddressRulesOf(i.Plan, i.zone, addrs)
	if err != nil {
		return nil, nil, err
	}
	for _, a := range addrs {
		if why := allowed.Unfit(a); why != "" {
			left = append(left, "address "+a.String()+": "+why)
			continue
		}
		fit = append(fit, a)
	}
	if len(fit) > rules.MaxAddresses {
		left = append(left, "there are more than "+strconv.Itoa(rules.MaxAddresses)+" addresses")
		fit = fit[:rules.MaxAddresses]
	}
	return slices.Clip(fit), left, nil
}

// makeWildcard makes room for the wildcard of a host: records there that were imported, and
// not changed here, are the wildcard's. Errors: those of rules.CheckWildcard.
func (i *importing) makeWildcard(host model.Name) error {
	star, err := host.Child("*")
	if err != nil {
		return rules.CheckWildcard(i.Plan, i.zone, host)
	}
	path, err := i.pathOf(star)
	if err != nil {
		return err
	}
	before, err := i.Imported(i.zone, star)
	if err != nil {
		return err
	}
	data := path[0].Data
	if data == nil || data.Host != nil || before == nil || !slices.EqualFunc(data.RRsets, before.Sets, model.RRset.Equal) {
		return rules.CheckWildcard(i.Plan, i.zone, host)
	}
	for _, set := range data.RRsets {
		i.RecordAs(access.RecordDelete, i.zone.Name, star, model.TypeName(set.Type), message.RRset(set), "")
	}
	i.PutName(i.zone, star, nil)
	i.PutImported(i.zone, star, nil)
	i.done[star] = store.Named{Name: star}
	return nil
}

func withdrawnFor(is bool, reason string, now time.Time) *model.Withdrawal {
	if !is {
		return nil
	}
	return &model.Withdrawal{Reason: reason, Time: now}
}

func orTime(t, or time.Time) time.Time {
	if t.IsZero() {
		return or
	}
	return t
}
