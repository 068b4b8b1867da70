package controlapi_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"signpost/internal/access"
	pb "signpost/proto/signpost/v1"
)

// refused says what each kind of caller gets from a method that is asked about the
// host mine.vo.example.org or its zone; codes.OK is "not refused": the call may
// still fail for another reason. Nobody and a garbage token are told
// Unauthenticated everywhere but where a row says so.
var refused = map[string]struct {
	in     proto.Message
	nobody codes.Code // of a caller without credential
	wrong  codes.Code // of the secret of another host
	host   codes.Code // of the host's own secret
}{
	"CreateZone": {&pb.CreateZoneRequest{Name: "vo.example.org", NameServers: []*pb.NameServer{{Name: "ns.example.net"}}}, un, denied, denied},
	"GetZone":    {&pb.GetZoneRequest{Name: "vo.example.org"}, un, denied, denied},
	"ListZones":  {&pb.ListZonesRequest{}, un, denied, denied},
	"UpdateZone": {&pb.UpdateZoneRequest{Name: "vo.example.org"}, un, denied, denied},
	"DeleteZone": {&pb.DeleteZoneRequest{Name: "vo.example.org"}, un, denied, denied},
	"AcceptZone": {&pb.AcceptZoneRequest{Name: "vo.example.org"}, un, denied, denied},
	"ImportZone": {&pb.ImportZoneRequest{Name: "vo.example.org", DryRun: true}, un, denied, denied},
	"ExportZone": {&pb.ExportZoneRequest{Name: "vo.example.org"}, un, denied, denied},

	"CreateHost":   {&pb.CreateHostRequest{Fqdn: "x.mine.vo.example.org"}, un, denied, denied},
	"GetHost":      {&pb.GetHostRequest{Fqdn: "mine.vo.example.org"}, un, gone, codes.OK},
	"ListHosts":    {&pb.ListHostsRequest{Zone: "vo.example.org"}, un, denied, denied},
	"UpdateHost":   {&pb.UpdateHostRequest{Fqdn: "mine.vo.example.org"}, un, gone, denied},
	"DeleteHost":   {&pb.DeleteHostRequest{Fqdn: "mine.vo.example.org", Etag: `"1"`}, un, gone, denied},
	"SetAddresses": {&pb.SetAddressesRequest{Fqdn: "mine.vo.example.org", ClearIpv6: true}, un, gone, codes.OK},
	"RotateSecret": {&pb.RotateSecretRequest{Fqdn: "mine.vo.example.org"}, un, gone, denied},

	"ListRecordSets":  {&pb.ListRecordSetsRequest{Fqdn: "mine.vo.example.org"}, un, gone, denied},
	"GetRecordSet":    {&pb.GetRecordSetRequest{Fqdn: "mine.vo.example.org", Type: "A"}, un, gone, denied},
	"SetRecordSet":    {&pb.SetRecordSetRequest{Fqdn: "_acme-challenge.mine.vo.example.org", Type: "TXT", Rdata: []string{"x"}}, un, gone, codes.OK},
	"DeleteRecordSet": {&pb.DeleteRecordSetRequest{Fqdn: "_acme-challenge.mine.vo.example.org", Type: "TXT"}, un, gone, codes.OK},

	"Watch": {&pb.WatchRequest{Fqdn: "mine.vo.example.org"}, un, denied, codes.OK},

	"ListAuditRecords": {&pb.ListAuditRecordsRequest{}, un, denied, denied},
	"GetStatus":        {&pb.GetStatusRequest{}, un, denied, denied},
	// Tells callers who they are, nobody included, and nothing else.
	"WhoAmI": {&pb.WhoAmIRequest{}, codes.OK, codes.OK, codes.OK},
}

const (
	un     = codes.Unauthenticated
	denied = codes.PermissionDenied
	gone   = codes.NotFound
)

// Promise 8: no one changes what is not theirs.
func TestNobodyMayDoAnything(t *testing.T) {
	eachMethod(t, func(t *testing.T, m protoreflect.MethodDescriptor) {
		s := start(t)
		s.zone("vo.example.org")
		mine, other := s.host("mine.vo.example.org", "192.0.2.1"), s.host("other.vo.example.org", "192.0.2.2")
		callers := map[string]context.Context{
			"nobody":                with(),
			"a garbage token":       with("authorization", "Bearer garbage"),
			"a token of nobody":     with("authorization", "Bearer "+access.NewAdminToken()),
			"a secret of nobody":    as("mine.vo.example.org", access.NewHostSecret()),
			"another's secret here": as("mine.vo.example.org", other),
			"a secret as a token":   with("authorization", "Bearer "+mine),
			"an unknown host":       as("no.vo.example.org", mine),
			"no host at all":        as("", mine),
			"the apex":              as("vo.example.org", mine),
			"broken basic":          with("authorization", "Basic !!!"),
			"another scheme":        with("authorization", "Digest x"),
		}
		row, ok := refused[string(m.Name())]
		if !ok {
			t.Fatalf("the deny matrix has no row for %s: say there who is refused", m.FullName())
		}
		if string(row.in.ProtoReflect().Descriptor().FullName()) != string(m.Input().FullName()) {
			t.Fatalf("the row's request is a %T", row.in)
		}
		for name, ctx := range callers {
			want := un
			if name == "nobody" {
				want = row.nobody
			}
			expect(t, name, s.invoke(ctx, m, row.in), want)
		}
		expect(t, "wrong host's secret", s.invoke(as("other.vo.example.org", other), m, row.in), row.wrong)
		expect(t, "host's secret", s.invoke(as("mine.vo.example.org", mine), m, row.in), row.host)
		expect(t, "admin", s.invoke(s.admin(), m, row.in), codes.OK)
		expect(t, "admin as Basic", s.invoke(as("anybody", s.token), m, row.in), codes.OK)
		logged := s.log.String()
		for _, secret := range []string{mine, other, s.token} {
			if strings.Contains(logged, secret) {
				t.Error("a secret is in the log")
			}
		}
		if n := strings.Count(logged, `"msg":"call refused"`); row.wrong != codes.OK && (n < len(callers)+1 || !strings.Contains(logged, `"principal":"host/other.vo.example.org"`)) {
			t.Errorf("refused attempts are not in the log: %s", logged)
		}
	})
}

func eachMethod(t *testing.T, f func(*testing.T, protoreflect.MethodDescriptor)) {
	protoregistry.GlobalFiles.RangeFilesByPackage("signpost.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				t.Run(string(methods.Get(j).Name()), func(t *testing.T) { f(t, methods.Get(j)) })
			}
		}
		return true
	})
}

// endless is the methods whose answer never ends: the first message says that they
// are not refused.
var endless = map[protoreflect.Name]bool{"Watch": true}

// invoke makes a call whatever its kind and drains its answer.
func (s *server) invoke(ctx context.Context, m protoreflect.MethodDescriptor, in proto.Message) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	method := "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
	stream, err := s.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(in); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for {
		if err := stream.RecvMsg(dynamicpb.NewMessage(m.Output())); err == io.EOF || err == nil && endless[m.Name()] {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func expect(t *testing.T, caller string, err error, want codes.Code) {
	t.Helper()
	got := status.Code(err)
	if want == codes.OK {
		if got == un || got == denied || got == codes.Unimplemented || got == codes.Internal {
			t.Errorf("%s is refused: %v", caller, err)
		}
		return
	}
	if got != want {
		t.Errorf("%s: %v, want %s", caller, err, want)
	}
}

func TestASecretReachesNothingButItsHost(t *testing.T) {
	s := start(t)
	s.zone("vo.example.org")
	secret := s.host("mine.vo.example.org", "192.0.2.1")
	s.host("x.mine.vo.example.org", "192.0.2.2")
	s.host("other.vo.example.org", "192.0.2.3")
	ctx := as("MINE.vo.example.org.", secret) // a name is compared without case and final dot
	if _, err := s.hosts.SetAddresses(ctx, &pb.SetAddressesRequest{Fqdn: "mine.vo.example.org", Addresses: []string{"192.0.2.9"}}); err != nil {
		t.Error(err)
	}
	for fqdn, want := range map[string]codes.Code{"other.vo.example.org": gone, "no.vo.example.org": gone, "x.mine.vo.example.org": denied} {
		_, err := s.hosts.SetAddresses(ctx, &pb.SetAddressesRequest{Fqdn: fqdn, Addresses: []string{"192.0.2.9"}})
		wantErr(t, err, want, "")
	}
	_, err1 := s.hosts.GetHost(ctx, &pb.GetHostRequest{Fqdn: "other.vo.example.org"})
	_, err2 := s.hosts.GetHost(ctx, &pb.GetHostRequest{Fqdn: "third.vo.example.org"})
	if strings.ReplaceAll(err1.Error(), "other", "third") != err2.Error() {
		t.Errorf("another's host and no host are told apart:\n%v\n%v", err1, err2)
	}
	for _, c := range []struct{ fqdn, rrtype string }{{"_acme-challenge.mine.vo.example.org", "A"}, {"mine.vo.example.org", "TXT"}, {"_acme-challenge.x.mine.vo.example.org", "TXT"}} {
		_, err := s.records.SetRecordSet(ctx, &pb.SetRecordSetRequest{Fqdn: c.fqdn, Type: c.rrtype, Rdata: []string{"192.0.2.1"}})
		wantErr(t, err, denied, "")
	}
}

func TestARotatedSecretNoLongerWorks(t *testing.T) {
	s := start(t)
	s.zone("vo.example.org")
	old := s.host("mine.vo.example.org")
	out, err := s.hosts.RotateSecret(s.admin(), &pb.RotateSecretRequest{Fqdn: "mine.vo.example.org"})
	if err != nil || out.Secret == old || !out.Change.Changed {
		t.Fatal(out, err)
	}
	in := &pb.SetAddressesRequest{Fqdn: "mine.vo.example.org", Addresses: []string{"192.0.2.9"}}
	_, err = s.hosts.SetAddresses(as("mine.vo.example.org", old), in)
	wantErr(t, err, un, "")
	if _, err := s.hosts.SetAddresses(as("mine.vo.example.org", out.Secret), in); err != nil {
		t.Error(err)
	}
}
