package records_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

func TestARecordSetIsSetReadAndDeleted(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	in := &pb.SetRecordSetRequest{Fqdn: "_sip._tcp.VO.example.org", Type: "srv", Ttl: proto.Uint32(300), Rdata: []string{"0 0 5061 b.example.net.", "0 0 5060 a.example.net."}}
	set, err := s.Records.SetRecordSet(s.Admin(), in)
	if err != nil || !set.Change.Changed || set.RecordSet.Type != "SRV" || len(set.RecordSet.Rdata) != 2 {
		t.Fatal(set, err)
	}
	got, err := s.Records.GetRecordSet(s.Admin(), &pb.GetRecordSetRequest{Fqdn: "_sip._tcp.vo.example.org", Type: "SRV"})
	if err != nil || got.Etag != set.RecordSet.Etag || got.Ttl != 300 {
		t.Error(got, err)
	}
	again, err := s.Records.SetRecordSet(s.Admin(), in)
	if err != nil || again.Change.Changed || again.RecordSet.Etag != got.Etag {
		t.Error(again, err)
	}
	in.Etag = `"0"`
	_, err = s.Records.SetRecordSet(s.Admin(), in)
	controltest.WantErr(t, err, codes.Aborted, "etag")
	if _, err := s.Records.DeleteRecordSet(s.Admin(), &pb.DeleteRecordSetRequest{Fqdn: in.Fqdn, Type: "SRV", Etag: got.Etag}); err != nil {
		t.Error(err)
	}
	_, err = s.Records.DeleteRecordSet(s.Admin(), &pb.DeleteRecordSetRequest{Fqdn: in.Fqdn, Type: "SRV"})
	controltest.WantErr(t, err, codes.NotFound, "")
	_, err = s.Records.GetRecordSet(s.Admin(), &pb.GetRecordSetRequest{Fqdn: in.Fqdn, Type: "SRV"})
	controltest.WantErr(t, err, codes.NotFound, "")
}

func TestAnyOwnerThatDNSAllowsMayHaveRecords(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	for _, owner := range []string{"*.vo.example.org", "a.*.vo.example.org", "_x_.vo.example.org", `0/25.vo.example.org`, `a\.b.vo.example.org`, `a\032b.vo.example.org`, "bücher.vo.example.org"} {
		s.Record(owner, "TXT", "x")
		if got := s.Sets(owner); got != `TXT 60 "x"` {
			t.Errorf("%s: %s", owner, got)
		}
	}
	s.Record("sub.vo.example.org", "NS", "ns.sub.vo.example.org.")
	s.Record("ns.sub.vo.example.org", "A", "192.0.2.1") // glue
	s.Record("sub.vo.example.org", "TXT", "hidden")
	s.Record("sub.vo.example.org", "DS", "1 13 2 "+strings.Repeat("ab", 32))
	s.Record("vo.example.org", "MX", "10 mx.example.net.")
	s.Record("vo.example.org", "A", "127.0.0.1")
	if got := s.Sets("xn--bcher-kva.vo.example.org"); got != `TXT 60 "x"` {
		t.Errorf("an internationalized name is not kept in A-label form: %s", got)
	}
}

func TestWhatBadRecordsGet(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Host("www.vo.example.org", "192.0.2.1")
	s.Record("alias.vo.example.org", "CNAME", "www.vo.example.org.")
	s.Record("sub.vo.example.org", "NS", "ns.example.net.")
	s.Record("sub.vo.example.org", "DS", "1 13 2 "+strings.Repeat("ab", 32))
	ds := "1 13 2 " + strings.Repeat("ab", 32)
	for name, c := range map[string]struct {
		fqdn, rrtype string
		ttl          uint32
		rdata        []string
		code         codes.Code
		field        string
	}{
		"no name":             {"", "TXT", 0, []string{"x"}, codes.InvalidArgument, "fqdn"},
		"bad name":            {"a..vo.example.org", "TXT", 0, []string{"x"}, codes.InvalidArgument, "fqdn"},
		"no zone":             {"www.example.net", "TXT", 0, []string{"x"}, codes.NotFound, ""},
		"no type":             {"x.vo.example.org", "", 0, []string{"x"}, codes.InvalidArgument, "type"},
		"unknown type":        {"x.vo.example.org", "NOPE", 0, []string{"x"}, codes.InvalidArgument, "type"},
		"meta type":           {"x.vo.example.org", "ANY", 0, []string{"x"}, codes.InvalidArgument, "type"},
		"SOA":                 {"vo.example.org", "SOA", 0, []string{"a. b. 1 2 3 4 5"}, codes.InvalidArgument, "type"},
		"no data":             {"x.vo.example.org", "A", 0, nil, codes.InvalidArgument, "rdata"},
		"bad data":            {"x.vo.example.org", "A", 0, []string{"192.0.2.1", "2001:db8::1"}, codes.InvalidArgument, "rdata[1]"},
		"wrong family":        {"x.vo.example.org", "AAAA", 0, []string{"192.0.2.1"}, codes.InvalidArgument, "rdata[0]"},
		"two lines":           {"x.vo.example.org", "TXT", 0, []string{"x\nevil 60 IN A 192.0.2.1"}, codes.InvalidArgument, "rdata[0]"},
		"TTL too small":       {"x.vo.example.org", "TXT", 1, []string{"x"}, codes.InvalidArgument, "ttl"},
		"TTL over 31 bits":    {"x.vo.example.org", "TXT", 1 << 31, []string{"x"}, codes.InvalidArgument, "ttl"},
		"host's A":            {"www.vo.example.org", "A", 0, []string{"192.0.2.9"}, codes.InvalidArgument, "type"},
		"CNAME beside host":   {"www.vo.example.org", "CNAME", 0, []string{"a."}, codes.FailedPrecondition, "type"},
		"data beside CNAME":   {"alias.vo.example.org", "TXT", 0, []string{"x"}, codes.FailedPrecondition, "type"},
		"two CNAMEs":          {"y.vo.example.org", "CNAME", 0, []string{"a.", "b."}, codes.FailedPrecondition, "type"},
		"CNAME at the apex":   {"vo.example.org", "CNAME", 0, []string{"a."}, codes.FailedPrecondition, "type"},
		"DS without NS":       {"x.vo.example.org", "DS", 0, []string{ds}, codes.FailedPrecondition, "type"},
		"DS of the apex":      {"vo.example.org", "DS", 0, []string{ds}, codes.InvalidArgument, "type"},
		"NS at a wildcard":    {"*.vo.example.org", "NS", 0, []string{"a."}, codes.FailedPrecondition, "type"},
		"relative target":     {"x.vo.example.org", "CNAME", 0, []string{"www"}, codes.InvalidArgument, "rdata[0]"},
		"relative exchange":   {"x.vo.example.org", "MX", 0, []string{"10 mail.example.org.", "20 mail"}, codes.InvalidArgument, "rdata[1]"},
		"the origin":          {"x.vo.example.org", "SRV", 0, []string{"0 0 5060 @"}, codes.InvalidArgument, "rdata[0]"},
		"larger than DNS has": {"x.vo.example.org", "TXT", 0, large(), codes.InvalidArgument, "rdata"},
	} {
		t.Run(name, func(t *testing.T) {
			in := &pb.SetRecordSetRequest{Fqdn: c.fqdn, Type: c.rrtype, Rdata: c.rdata}
			if c.ttl != 0 {
				in.Ttl = &c.ttl
			}
			_, err := s.Records.SetRecordSet(s.Admin(), in)
			controltest.WantErr(t, err, c.code, c.field)
		})
	}
	for name, c := range map[string]struct{ fqdn, rrtype string }{"the last NS": {"vo.example.org", "NS"}, "NS under a DS": {"sub.vo.example.org", "NS"}} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Records.DeleteRecordSet(s.Admin(), &pb.DeleteRecordSetRequest{Fqdn: c.fqdn, Type: c.rrtype})
			controltest.WantErr(t, err, codes.FailedPrecondition, "type")
		})
	}
	_, err := s.Records.DeleteRecordSet(s.Admin(), &pb.DeleteRecordSetRequest{Fqdn: "www.vo.example.org", Type: "A"})
	controltest.WantErr(t, err, codes.InvalidArgument, "type")
	_, err = s.Records.SetRecordSet(s.Admin(), &pb.SetRecordSetRequest{Fqdn: "x.vo.example.org", Type: "TXT", Ttl: proto.Uint32(0), Rdata: []string{"x"}})
	controltest.WantErr(t, err, codes.InvalidArgument, "ttl")
	if code, text := s.Call("PUT", "/v1/hosts/x.vo.example.org/records/TXT", "Bearer "+s.Token, `{"ttl":0,"rdata":["x"]}`); code != 400 || !strings.Contains(text, "leave it out") {
		t.Errorf("%d %s", code, text)
	}
	if got := s.Sets("x.vo.example.org"); got != "" {
		t.Errorf("something changed: %s", got)
	}
}

func large() []string {
	out := make([]string, 300)
	for i := range out {
		out[i] = `"` + strings.Repeat("x", 250) + string(rune('0'+i%10)) + string(rune('0'+i/10%10)) + string(rune('0'+i/100)) + `"`
	}
	return out
}
