package store

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

func (k keys) imported(z model.Zone, n model.Name) string {
	return k.importedIn(z) + relativeOrApex(n, z.Name)
}

func (k keys) importedIn(z model.Zone) string {
	return k.anyImported() + reversed(z.Name) + "/" + strconv.FormatUint(z.Incarnation, 10) + "/"
}

func relativeOrApex(n, z model.Name) string {
	if n == z {
		return ""
	}
	return relative(n, z)
}

// Imported reads what was last imported of a name of a zone, or of its apex; nil: nothing.
func (tx *Tx) Imported(z *model.Zone, name model.Name) (*model.Imported, error) {
	kvs, err := tx.get(tx.s.keys.imported(*z, name))
	if err != nil || !kvs[0].there() {
		return nil, err
	}
	return decodeImported(kvs[0].value)
}

// PutImported writes what is imported of a name that was looked for with Imported; nil
// forgets it.
func (tx *Tx) PutImported(z *model.Zone, name model.Name, i *model.Imported) {
	var raw []byte
	if i != nil {
		raw = encodeImported(i)
	}
	tx.put(tx.s.keys.imported(*z, name), raw)
}

// ImportedNames is the names of a zone of which something was imported, in key order, at
// most limit, starting after a name ("" for the first); the apex is not among them.
func (tx *Tx) ImportedNames(z *model.Zone, after model.Name, limit int) ([]model.Name, error) {
	prefix := tx.s.keys.importedIn(*z)
	from := prefix + "\x00"
	if after != "" {
		from = tx.s.keys.imported(*z, after) + "\x00"
	}
	kvs, err := tx.list(from, prefixEnd(prefix), int64(limit))
	if err != nil {
		return nil, err
	}
	out := make([]model.Name, len(kvs))
	for i, kv := range kvs {
		zone, rest, _ := strings.Cut(strings.TrimPrefix(string(kv.Key), tx.s.keys.anyImported()), "/")
		inc, name, _ := strings.Cut(rest, "/")
		if _, _, out[i], err = parseNameKey(zone, inc, name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// SealLegacy seals a host's secret of another service, as it is to be kept.
func (tx *Tx) SealLegacy(z *model.Zone, host model.Name, text string) (*model.Sealed, error) {
	s, err := tx.seal(tx.s.keys.host(*z, host), []byte(text))
	if err != nil {
		return nil, err
	}
	return &model.Sealed{KeyID: s.GetKeyId(), Box: s.GetBox()}, nil
}

// OpenLegacy is what SealLegacy has sealed for that host. Errors: Unavailable when this
// control service does not hold the key; Internal for what was not sealed for it.
func (tx *Tx) OpenLegacy(z *model.Zone, host model.Name, s *model.Sealed) (string, error) {
	text, err := tx.s.open(tx.s.keys.host(*z, host), &storepb.Sealed{KeyId: s.KeyID, Box: s.Box})
	return string(text), err
}

// sweepImported removes what was imported into dead incarnations of zones.
func (s *Store) sweepImported(ctx context.Context, _ time.Time) (int, error) {
	return s.sweepGroups(ctx, s.keys.anyImported(), isDeadIncarnation)
}

func encodeImported(i *model.Imported) []byte {
	p := &storepb.Imported{Schema: 2, Rrsets: encodeRRsets(i.Sets), Time: seconds(i.Time)}
	if h := i.Host; h != nil {
		p.Host = &storepb.FormerHost{
			Owner: h.Owner, Comment: h.Comment, Wildcard: h.Wildcard, Blocked: h.Blocked, Disabled: h.Disabled, Secret: h.Secret, Follows: h.Follows,
		}
		for _, a := range h.Addresses {
			p.Host.Addresses = append(p.Host.Addresses, a.AsSlice())
		}
	}
	if s := i.Settings; s != nil {
		p.Settings = &storepb.FormerSettings{Admins: texts(s.Admins), Register: uint32(s.Register), Groups: texts(s.Groups), Reserved: s.Reserved}
	}
	return encode(p)
}

func decodeImported(raw []byte) (*model.Imported, error) {
	var p storepb.Imported
	if err := decode("imported name", raw, &p); err != nil {
		return nil, err
	}
	out := &model.Imported{Time: fromSeconds(p.Time)}
	var err error
	if out.Sets, err = decodeRRsets(p.Rrsets); err != nil {
		return nil, err
	}
	if h := p.Host; h != nil {
		out.Host = &model.FormerHost{
			Owner: h.Owner, Comment: h.Comment, Wildcard: h.Wildcard, Blocked: h.Blocked, Disabled: h.Disabled, Secret: h.Secret, Follows: h.Follows,
		}
		for _, b := range h.Addresses {
			a, ok := netip.AddrFromSlice(b)
			if !ok {
				return nil, model.E(model.Internal, "read stored imported name", "").Because("there is a broken address in it")
			}
			out.Host.Addresses = append(out.Host.Addresses, a)
		}
	}
	if s := p.Settings; s != nil {
		out.Settings = &model.FormerSettings{Admins: principals(s.Admins), Groups: principals(s.Groups), Register: model.Register(s.Register), Reserved: s.Reserved}
	}
	return out, nil
}
