package watch_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/controlapi/controltest"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// fillSite makes names of hosts, each with one endpoint on the site "large"; whole ones
// have an owner, too. What is left of others is looked at and not told of.
func fillSite(s *controltest.Server, z *model.Zone, from, to int, whole bool) {
	s.T.Helper()
	numbers := make([]int, 0, to-from)
	for i := from; i < to; i++ {
		numbers = append(numbers, i)
	}
	for part := range slices.Chunk(numbers, 30) {
		_, err := s.Store.Update(s.T.Context(), func(tx *store.Tx) error {
			for _, i := range part {
				name := model.Name(fmt.Sprintf("h%05d.%s", i, z.Name))
				if _, err := tx.Path(z, name); err != nil {
					return err
				}
				addr := netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
				tx.PutName(z, name, &model.NameData{Host: &model.Host{Endpoints: []model.Endpoint{{ID: "a", Site: "large", Generation: 1, Addresses: []netip.Addr{addr}}}}})
				if whole {
					tx.PutHost(z, name, nil, &model.HostControl{Owner: "egi/alice", SecretHash: make([]byte, 32), CreateTime: time.Unix(1e9, 0)})
				}
			}
			return nil
		})
		s.Done(err)
	}
}

// At most 4,096 endpoints are told of, of at most 10,000 hosts that are looked at; that there
// are more is one event.
func TestHowManyEndpointsOneRevisionTellsOf(t *testing.T) {
	controltest.Bulk(t)
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	var z *model.Zone
	s.Done(s.Store.Read(t.Context(), func(tx *store.Tx) (err error) { z, err = tx.Zone("vo.example.org."); return err }))
	fillSite(s, z, 0, 4096, true)
	w := s.Watch(s.Admin(), &pb.WatchRequest{Kinds: []string{"health"}})
	say := "drain"
	turn := func(endpoints, many int) {
		t.Helper()
		_, err := s.Health.SetSiteWord(s.Admin(), &pb.SetSiteWordRequest{Site: "large", Say: say, ConfirmLast: true})
		s.Done(err)
		say = map[string]string{"drain": "auto", "auto": "drain"}[say]
		for {
			m, err := w.From.Recv()
			s.Done(err)
			if len(m.GetEvents()) == 0 {
				continue
			}
			told, more := 0, 0
			for _, e := range m.GetEvents() {
				if e.GetEndpointChange() != nil {
					told++
				} else if e.GetKind() == "health" && e.GetFqdn() == "" {
					more++
				}
			}
			if told != endpoints || more != many || len(m.GetEvents()) != told+more {
				t.Errorf("%d endpoints are told of and %d times that there are more, want %d and %d", told, more, endpoints, many)
			}
			return
		}
	}
	turn(4096, 0)
	fillSite(s, z, 4096, 4097, true)
	turn(4096, 1)
	fillSite(s, z, 4097, 10000, false)
	turn(4096, 1)
	fillSite(s, z, 10000, 10001, false)
	turn(0, 1)
}

// What many checkers say of many endpoints does not come in messages that no client takes.
func TestAMessageIsNeverTooLargeForAClient(t *testing.T) {
	controltest.Bulk(t)
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	var z *model.Zone
	s.Done(s.Store.Read(t.Context(), func(tx *store.Tx) (err error) { z, err = tx.Zone("vo.example.org."); return err }))
	fillSite(s, z, 0, 4000, true)
	w := s.Watch(s.Admin(), &pb.WatchRequest{Kinds: []string{"health"}})
	_, err := s.Health.SetSiteWord(s.Admin(), &pb.SetSiteWordRequest{Site: "large", Say: "drain", Reason: strings.Repeat("x", 500), ConfirmLast: true})
	s.Done(err)
	for {
		m, err := w.From.Recv()
		s.Done(err)
		if n := len(m.GetEvents()); n > 0 {
			if last := m.GetEvents()[n-1]; n < 1000 || n >= 4000 || last.GetFqdn() != "" {
				t.Errorf("%d events, the last is %v", n, last)
			}
			return
		}
	}
}
