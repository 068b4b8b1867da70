package zone_test

import (
	"testing"

	"signpost/internal/model"
	"signpost/internal/zone"
	"signpost/internal/zone/zonetest"
)

// DNS semantics are those of the RFCs; the oracle is what BIND, NSD, Knot and
// PowerDNS agree on.
func TestAnswersAreThoseOfOtherServers(t *testing.T) {
	for _, c := range zonetest.Cases(t) {
		changes, err := zonetest.Changes(c.Zone, 1)
		if err != nil {
			t.Errorf("case %d: %v", c.ID, err)
			continue
		}
		v := zone.Empty(0).Apply(1, changes)
		q := c.Question()
		z := v.Find(model.NameOf(q.Name), q.Qtype)
		if z == nil {
			t.Errorf("case %d: no zone for %s", c.ID, q.Name)
			continue
		}
		r := z.Answer(q.Name, q.Qtype, 0)
		if diff := c.Compare(r.Rcode, r.AA, r.Answer, r.Ns); diff != "" {
			t.Error(diff)
		}
	}
}
