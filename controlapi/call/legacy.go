package call

import (
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
)

// checkSecret compares what was shown with the secrets that a host has, its own and that of
// another service, and gives the hash that is kept of it; nil: none of ours yet. Errors:
// Unauthenticated when it is neither; Unavailable when this control service cannot know,
// for it does not hold the master key that the latter is sealed with.
func (c Credential) checkSecret(tx *store.Tx, z *model.Zone, h store.Named) ([]byte, error) {
	if c.legacy == "" {
		if !c.Secret.Is(h.Host.SecretHash) {
			return nil, access.Wrong()
		}
		return c.Secret.Sum[:], nil
	}
	kept, err := OpenLegacy(tx, z, h)
	if err != nil {
		return nil, err
	}
	if kept == nil || !kept.Is(c.legacy, h.Host.SecretHash) {
		return nil, access.Wrong()
	}
	return h.Host.SecretHash, nil
}

// OpenLegacy is the secret that a host has of another service; nil: none.
func OpenLegacy(tx *store.Tx, z *model.Zone, h store.Named) (*access.LegacySecret, error) {
	if h.Host.LegacySecret == nil {
		return nil, nil
	}
	text, err := tx.OpenLegacy(z, h.Name, h.Host.LegacySecret)
	if err != nil {
		return nil, err
	}
	kept, err := access.OpenLegacySecret(text)
	return &kept, err
}

// ReplaceLegacy is next with a hash of ours in the place of the other service's, when the
// call was made with the secret for the first time. The change stands on the hash that the
// secret was right by; whoever comes at the same time with the same secret decides again,
// on the new hash, by which it is right, too.
func (p *Plan) ReplaceLegacy(z *model.Zone, old store.Named, next *model.HostControl) (*model.HostControl, error) {
	shown := p.Call.Credential.legacy
	if shown == "" {
		return next, nil
	}
	kept, err := OpenLegacy(p.Tx, z, old)
	if err != nil || kept == nil || kept.Used() {
		return next, err
	}
	if !kept.Is(shown, old.Host.SecretHash) {
		return nil, access.Wrong()
	}
	replaced, hash := kept.Replaced(shown)
	sealed, err := p.SealLegacy(z, old.Name, replaced.Text())
	if err != nil { // the key in use is not here: another control service does it another time
		return next, nil //nolint:nilerr // the secret is right as it is
	}
	control := *next
	control.LegacySecret, control.SecretHash = sealed, hash
	return &control, nil
}
