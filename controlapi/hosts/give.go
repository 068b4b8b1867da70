package hosts

import (
	"signpost/controlapi/call"
	"signpost/internal/model"
	"signpost/internal/store"
)

// Give makes somebody the owner of a host, with another secret or none. What the former
// owner could still act with goes in the same transaction: the secrets of the host and of
// its endpoints, the editors, the challenge records with which certificates are got, at so many names,
// and what the host and others have together, but with those that are kept.
func Give(p *call.Plan, z *model.Zone, h store.Named, to model.PrincipalName, secret []byte, kept func(*model.HostControl) bool) (next store.Named, challenges int, err error) {
	control := *h.Host
	control.Owner, control.Editors, control.Offer, control.SecretHash, control.LegacySecret, control.Secrets, control.Grants = string(to), nil, nil, secret, nil, nil, nil
	if secret != nil {
		control.Grants = control.Grants.With(model.GrantSecret, p.Call.Maker())
	}
	p.Owner, p.In = h.Host.Owner, z
	if err := unrelate(p, z, h, &control, kept); err != nil {
		return h, 0, err
	}
	p.PutHost(z, h.Name, h.Host, &control)
	if challenges, err = dropChallenges(p, z, h.Name); err != nil {
		return h, 0, err
	}
	p.Record(z.Name, h.Name, "", "owner "+h.Host.Owner, "owner "+control.Owner)
	return store.Named{Name: h.Name, Data: h.Data, Host: &control}, challenges, nil
}
