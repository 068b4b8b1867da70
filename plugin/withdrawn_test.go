package signpost_test

import (
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/store"
)

// A withdrawn name has no answers and is in no transfer, over etcd and back.
func TestAWithdrawnHostIsNotAnswered(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	put := func(withdrawn bool) {
		w.update(func(tx *store.Tx) error {
			z, err := tx.Zone(name1(t, "example.org"))
			if err != nil {
				return err
			}
			n := name1(t, "www.example.org")
			if _, err := tx.Datas(z, n); err != nil {
				return err
			}
			tx.PutName(z, n, &model.NameData{
				RRsets: []model.RRset{rrset(t, "TXT", "kept")}, Withdrawn: withdrawn,
				Host: &model.Host{Wildcard: true, Endpoints: []model.Endpoint{{ID: model.MainEndpoint, Generation: 1, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}}},
			})
			return nil
		})
	}
	put(false)
	s := start(t, block("endpoint "+w.etcd.Endpoint(), "transfer example.org {\nto *\n}"))
	for range 2 {
		s.says(t, "www.example.org", "A", "NOERROR 192.0.2.1")
		s.says(t, "x.www.example.org", "A", "NOERROR 192.0.2.1")
		put(true)
		s.says(t, "www.example.org", "A", "NOERROR")
		s.says(t, "www.example.org", "TXT", "NOERROR")
		s.says(t, "x.www.example.org", "A", "NXDOMAIN")
		if got, _ := s.transfer(t, func(m *dns.Msg) { m.SetAxfr("example.org.") }); len(got) != 2 {
			t.Errorf("transferred is %v", got)
		}
		put(false)
	}
}
