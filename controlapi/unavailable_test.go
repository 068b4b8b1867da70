package controlapi_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"signpost/controlapi"
	"signpost/internal/access"
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
	s := start(t, func(c *controlapi.Config) { c.Store = lost })
	secret := access.NewHostSecret()
	_, err = s.hosts.SetAddresses(as("www.vo.example.org", secret), &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{"192.0.2.1"}})
	wantErr(t, err, codes.Unavailable, "")
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("www.vo.example.org:"+secret))
	if code, text := s.call("GET", "/v1/hosts/www.vo.example.org", basic, ""); code != http.StatusServiceUnavailable {
		t.Errorf("%d %s", code, text)
	}
	if code, text := s.call("GET", "/readyz", "", ""); code != http.StatusServiceUnavailable || strings.Contains(text, "ready\n") {
		t.Errorf("/readyz: %d %s", code, text)
	}
	if code, _ := s.call("GET", "/healthz", "", ""); code != http.StatusOK {
		t.Errorf("/healthz: %d", code)
	}
}
