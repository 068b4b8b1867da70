package controlapi_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"signpost/controlapi/controltest"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// What owners and editors keep at and below a host has bounds, that of administrators
// has none; what is more may become less.
func TestBoundsOfAHost(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	alice, zoe := controltest.Person("egi/alice"), controltest.Person("egi/zoe")
	s.HostOf(alice, "app.vo.example.org")
	set := func(who context.Context, fqdn string, n, size int) error {
		in := &pb.SetRecordSetRequest{Fqdn: fqdn, Type: "TXT"}
		for i := range n {
			in.Rdata = append(in.Rdata, fmt.Sprintf("%0*d", size-1, i)) // and an octet of length
		}
		_, err := s.Records.SetRecordSet(who, in)
		return err
	}
	allow := func(who context.Context, fqdn string, n, size int) {
		t.Helper()
		if err := set(who, fqdn, n, size); err != nil {
			t.Error(err)
		}
	}
	deny := func(fqdn string, n, size int, because string) {
		t.Helper()
		err := set(alice, fqdn, n, size)
		controltest.WantErr(t, err, codes.ResourceExhausted, "rdata")
		if err != nil && !strings.Contains(err.Error(), because) {
			t.Errorf("%v, want something with %q", err, because)
		}
	}
	allow(alice, "app.vo.example.org", 20, 10)
	deny("app.vo.example.org", 21, 10, "21 records, and owners put at most 20")
	allow(zoe, "app.vo.example.org", 25, 10)
	deny("app.vo.example.org", 26, 10, "at most 20")
	allow(alice, "app.vo.example.org", 24, 10)

	allow(alice, "app.vo.example.org", 20, 200)
	allow(alice, "x1.app.vo.example.org", 20, 200)
	deny("x2.app.vo.example.org", 1, 193, "8193 octets of data at and below it, and owners keep at most 8192")
	allow(alice, "x2.app.vo.example.org", 1, 192)
	allow(zoe, "x2.app.vo.example.org", 2, 192)
	allow(alice, "x2.app.vo.example.org", 1, 200)
	allow(alice, "x1.app.vo.example.org", 1, 5)

	for i := 3; i <= 20; i++ {
		allow(alice, fmt.Sprintf("x%d.app.vo.example.org", i), 1, 5)
	}
	deny("x21.app.vo.example.org", 1, 5, "has 20 names below it, and owners make at most 20")
	allow(alice, "x20.app.vo.example.org", 2, 5)
	allow(zoe, "x21.app.vo.example.org", 1, 5)
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{MaxRecords: new(uint32(2)), MaxOctets: new(uint32(20000)), MaxNames: new(uint32(22))})
	allow(alice, "x22.app.vo.example.org", 2, 10)
	deny("x20.app.vo.example.org", 3, 5, "at most 2")
	deny("x23.app.vo.example.org", 1, 5, "at most 22")
	allow(zoe, "x22.app.vo.example.org", 80, 200)
	deny("x21.app.vo.example.org", 2, 10, "at most 20000")
}

func TestPoliciesKnowTheirBounds(t *testing.T) {
	for field, p := range map[string]model.ZonePolicy{
		"quarantine":  {Quarantine: 1 << 30},
		"lease":       {Lease: 299},
		"max_records": {MaxRecords: 1001},
		"max_octets":  {MaxOctets: 1 << 20},
		"max_names":   {MaxNames: 51},
	} {
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	p := model.ZonePolicy{Quarantine: model.NoQuarantine, Lease: 300, MaxRecords: 1000, MaxOctets: 1 << 18, MaxNames: 50}
	if err := p.Check(); err != nil {
		t.Error(err)
	}
}
