package controlapi_test

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// Before any verdict on a secret: who cannot know says so.
func TestWithoutEtcdTheAnswerIsUnavailableNeverNo(t *testing.T) {
	lost, err := store.Open(store.Config{Endpoints: []string{"http://127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lost.Close() })
	s := controltest.Start(t, func(c *controlapi.Config) { c.Store = lost })
	secret := access.NewHostSecret()
	var wg sync.WaitGroup
	wg.Go(func() {
		in := &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{"192.0.2.1"}}
		_, err := s.Hosts.SetAddresses(controltest.As("www.vo.example.org", secret), in)
		controltest.WantErr(t, err, codes.Unavailable, "")
	})
	wg.Go(func() {
		if err := s.Service.Ready(context.Background()); model.KindOf(err) != model.Unavailable {
			t.Error(err)
		}
	})
	wg.Wait()
	if code, _ := s.Call("GET", "/healthz", "", ""); code != http.StatusOK {
		t.Errorf("/healthz: %d", code)
	}
}
