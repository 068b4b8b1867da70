package store

import (
	"bytes"
	"slices"
	"sync"

	"signpost/internal/model"
)

// decoded keeps what zones' values say, because every change of a name looks at its
// zone and few change one. It is no copy of the state: it says what octets mean.
type decoded struct {
	mu    sync.RWMutex
	zones map[model.Name]decodedZone
}

type decodedZone struct {
	raw  []byte
	zone *model.Zone
}

// mostDecoded bounds it, for zones that are gone.
const mostDecoded = 10_000

// decode is decodeZone. The zone may be changed, but not what its record sets hold.
func (d *decoded) decode(name model.Name, raw []byte, rev int64) (*model.Zone, error) {
	d.mu.RLock()
	known := d.zones[name]
	d.mu.RUnlock()
	if known.zone == nil || known.zone.ModRevision != rev || !bytes.Equal(known.raw, raw) {
		z, err := decodeZone(name, raw, rev)
		if err != nil {
			return nil, err
		}
		known = decodedZone{raw, z}
		d.mu.Lock()
		if d.zones == nil || len(d.zones) >= mostDecoded {
			d.zones = map[model.Name]decodedZone{}
		}
		d.zones[name] = known
		d.mu.Unlock()
	}
	z := *known.zone
	z.Apex = slices.Clone(z.Apex)
	return &z, nil
}
