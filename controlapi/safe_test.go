package controlapi_test

import (
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"signpost/controlapi/controltest"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// What REST offers under GET, and with it HEAD, is safe (RFC 9110 section 9.2.1): a link
// that somebody is made to follow changes nothing.
func TestWhatIsAskedWithGETChangesNothing(t *testing.T) {
	seen := 0
	eachMethod(t, func(t *testing.T, m protoreflect.MethodDescriptor) {
		rule, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
		if rule.GetGet() == "" {
			t.Skip("it is not offered under GET, so there is nothing to try")
		}
		seen++
		s := controltest.Start(t)
		s.Zone("vo.example.org")
		s.Host("mine.vo.example.org", "192.0.2.1")
		s.Endpoint("mine.vo.example.org", "a", "192.0.2.2")
		if _, err := s.Health.SetCheck(s.Admin(), &pb.SetCheckRequest{Fqdn: "mine.vo.example.org", Kind: "http"}); err != nil {
			t.Fatal(err)
		}
		certificate(s, "vo.example.org.", "mine.vo.example.org.")
		before, err := s.Store.Revision(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := invoke(s, s.Admin(), m, refused[string(m.Name())].in); err != nil {
			t.Error(err)
		}
		if after, err := s.Store.Revision(t.Context()); err != nil || after != before {
			t.Errorf("etcd's revision went from %d to %d, %v", before, after, err)
		}
	})
	if seen < 8 {
		t.Errorf("%d methods are offered under GET; that compares nothing", seen)
	}
}

// certificate gives a host one, as if it had been ordered.
func certificate(s *controltest.Server, zone, host model.Name) {
	s.T.Helper()
	if _, err := s.Store.Update(s.T.Context(), func(tx *store.Tx) error {
		z, err := tx.Zone(zone)
		if err == nil {
			_, err = tx.Certificate(z, host)
		}
		if err == nil {
			tx.PutCertificate(z, host, &model.Certificate{Chain: []byte("chain"), Serial: "1"})
		}
		return err
	}); err != nil {
		s.T.Fatal(err)
	}
}
