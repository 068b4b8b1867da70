package call

import (
	"signpost/controlapi/facts"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
)

// Maker is the API token with which the caller came, and with which ends what it makes;
// nil: none.
func (c *Call) Maker() []byte {
	if c.Who.Kind != access.User || c.Who.Narrow == nil {
		return nil
	}
	return c.Credential.Secret.Sum[:]
}

// narrowSecret gives who holds a secret no more than the token had that made it, as the
// grant says: it ends with it, and is used from where it is. All else that a secret may the token might do.
// Errors: Unauthenticated when the token has ended.
func (d *Desk) narrowSecret(tx *store.Tx, who *access.Principal, h *model.HostControl, grant string) error {
	by := h.Grants.By(grant)
	if by == nil {
		return nil
	}
	makers, err := facts.MakersOf(tx, by, d.Now())
	if err != nil {
		return err
	}
	if makers == nil {
		return access.EndedSecret(who.Kind)
	}
	who.Expires, who.Narrow = makers[0].ExpireTime, &access.Narrow{Token: makers[0].ID}
	for _, m := range makers {
		who.Narrow.Limits = append(who.Narrow.Limits, model.TokenLimits{Sources: m.Limits.Sources})
	}
	return nil
}
