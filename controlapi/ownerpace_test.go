package controlapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// Who has many hosts has as many secrets, but not as many times the changes.
func TestThePaceOfAllHostsOfOneOwner(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{MaxChanges: new(uint32(2))}) // 20 a minute in all, but not fewer than hosts: 100
	secrets := map[string]string{}
	for i := range 60 {
		if i%3 == 0 {
			s.Clock.Add(90 * time.Second)
		}
		fqdn := fmt.Sprintf("h%d.vo.example.org", i)
		secrets[fqdn] = s.HostOf(controltest.Person("egi/alice"), fqdn)
	}
	s.Clock.Add(time.Hour)
	other := s.HostOf(controltest.Person("egi/bob"), "other.vo.example.org")
	done, refused := 0, 0
	for n := range 4 {
		for fqdn, secret := range secrets {
			err := s.UpdateAs(controltest.As(fqdn, secret), fqdn, fmt.Sprintf("192.0.2.%d", n+1))
			switch {
			case err == nil:
				done++
			case strings.Contains(err.Error(), "all hosts of its owner have made more than 100 changes a minute"):
				controltest.WantErr(t, err, codes.ResourceExhausted, "")
				refused++
			default:
				t.Fatal(err)
			}
		}
	}
	if done != 200 || refused != 40 {
		t.Errorf("%d changes were made and %d refused, want 200 and 40", done, refused)
	}
	if err := s.UpdateAs(controltest.As("other.vo.example.org", other), "other.vo.example.org", "192.0.2.1"); err != nil {
		t.Errorf("another owner's: %v", err)
	}
}
