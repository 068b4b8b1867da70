package zones_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"signpost/controlapi/controltest"
	"signpost/internal/model"
	"signpost/internal/store"
)

// The guard of a site looks at all hosts, and comes to its end also in a zone in which
// addresses change all the time; of two operators who each drain the other's site only one
// does.
func TestASiteIsDrainedInABusyZone(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	var z *model.Zone
	s.Done(s.Store.Read(t.Context(), func(tx *store.Tx) (err error) { z, err = tx.Zone("vo.example.org."); return err }))
	numbers := make([]int, 4000)
	for i := range numbers {
		numbers[i] = i
	}
	for part := range slices.Chunk(numbers, 60) {
		_, err := s.Store.Update(t.Context(), func(tx *store.Tx) error {
			for _, i := range part {
				name := model.Name(fmt.Sprintf("h%05d.%s", i, z.Name))
				if _, err := tx.Path(z, name); err != nil {
					return err
				}
				h := &model.Host{}
				for n, site := range []string{"one", "two"} {
					h.Endpoints = append(h.Endpoints, model.Endpoint{
						ID: site, Site: site, Generation: 1, Addresses: []netip.Addr{netip.AddrFrom4([4]byte{198, byte(18 + n), byte(i >> 8), byte(i)})},
					})
				}
				tx.PutName(z, name, &model.NameData{Host: h})
			}
			return nil
		})
		s.Done(err)
	}
	ctx, end := context.WithCancel(t.Context())
	var running sync.WaitGroup
	changes := 0
	running.Go(func() {
		for ; ctx.Err() == nil; changes++ {
			_, err := s.Store.Update(t.Context(), func(tx *store.Tx) error {
				if _, err := tx.Path(z, "busy.vo.example.org."); err != nil {
					return err
				}
				addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(changes)})
				tx.PutName(z, "busy.vo.example.org.", &model.NameData{Host: &model.Host{Endpoints: []model.Endpoint{{ID: model.MainEndpoint, Addresses: []netip.Addr{addr}}}}})
				return nil
			})
			if err != nil {
				t.Error(err)
				return
			}
			time.Sleep(3 * time.Millisecond)
		}
	})
	for range 5 {
		errs := map[string]error{}
		var mu sync.Mutex
		var both sync.WaitGroup
		for _, site := range []string{"one", "two"} {
			both.Go(func() {
				err := s.SayOfSite(site, "drain")
				mu.Lock()
				defer mu.Unlock()
				errs[site] = err
			})
		}
		both.Wait()
		refused := 0
		for _, err := range errs {
			if status.Code(err) == codes.FailedPrecondition {
				refused++
			} else if err != nil {
				t.Error(err)
			}
		}
		if refused != 1 {
			t.Errorf("%d of two are refused: %v", refused, errs)
		}
		s.Done(s.SayOfSite("one", "auto"), s.SayOfSite("two", "auto"))
	}
	end()
	running.Wait()
	t.Logf("%d addresses were set meanwhile", changes)
}
