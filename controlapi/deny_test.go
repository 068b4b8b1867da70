package controlapi_test

import (
	"context"
	"fmt"
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

	"signpost/controlapi/controltest"
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
	own    codes.Code // of the secret of its endpoint a
	user   codes.Code // of somebody who is logged in and is nothing to it, but may register in the zone
	editor codes.Code // of an editor of the host
	owner  codes.Code // of its owner
	zadmin codes.Code // of an administrator of the zone
}{
	"CreateZone":       {&pb.CreateZoneRequest{Name: "vo.example.org", NameServers: []*pb.NameServer{{Name: "ns.example.net"}}}, un, denied, denied, denied, denied, denied, denied, denied},
	"GetZone":          {&pb.GetZoneRequest{Name: "vo.example.org"}, un, denied, denied, denied, ok, ok, ok, ok},
	"ListZones":        {&pb.ListZonesRequest{}, un, denied, denied, denied, ok, ok, ok, ok},
	"UpdateZone":       {&pb.UpdateZoneRequest{Name: "vo.example.org"}, un, denied, denied, denied, denied, denied, denied, ok},
	"UpdateZonePolicy": {&pb.UpdateZonePolicyRequest{Name: "vo.example.org", Register: new("everyone")}, un, denied, denied, denied, denied, denied, denied, ok},
	"DeleteZone":       {&pb.DeleteZoneRequest{Name: "vo.example.org"}, un, denied, denied, denied, denied, denied, denied, denied},
	"AcceptZone":       {&pb.AcceptZoneRequest{Name: "vo.example.org"}, un, denied, denied, denied, denied, denied, denied, ok},
	"ImportZone":       {&pb.ImportZoneRequest{Name: "vo.example.org", DryRun: true}, un, denied, denied, denied, denied, denied, denied, ok},
	"ExportZone":       {&pb.ExportZoneRequest{Name: "vo.example.org"}, un, denied, denied, denied, denied, denied, denied, ok},

	"CreateHost":   {&pb.CreateHostRequest{Fqdn: "x.mine.vo.example.org"}, un, denied, denied, denied, denied, denied, ok, ok},
	"GetHost":      {&pb.GetHostRequest{Fqdn: "mine.vo.example.org"}, un, gone, ok, denied, gone, ok, ok, ok},
	"ListHosts":    {&pb.ListHostsRequest{Zone: "vo.example.org"}, un, denied, denied, denied, ok, ok, ok, ok},
	"UpdateHost":   {&pb.UpdateHostRequest{Fqdn: "mine.vo.example.org"}, un, gone, denied, denied, gone, ok, ok, ok},
	"DeleteHost":   {&pb.DeleteHostRequest{Fqdn: "mine.vo.example.org", Etag: `"1"`}, un, gone, denied, denied, gone, denied, ok, ok},
	"SetAddresses": {&pb.SetAddressesRequest{Fqdn: "mine.vo.example.org", ClearIpv6: true}, un, gone, ok, denied, gone, ok, ok, ok},
	"RotateSecret": {&pb.RotateSecretRequest{Fqdn: "mine.vo.example.org"}, un, gone, denied, denied, gone, denied, ok, ok},

	"ShareHost":    {&pb.ShareHostRequest{Fqdn: "mine.vo.example.org", Add: []string{"egi/carol"}}, un, gone, denied, denied, gone, denied, ok, ok},
	"TransferHost": {&pb.TransferHostRequest{Fqdn: "mine.vo.example.org", To: "egi/carol"}, un, gone, denied, denied, gone, denied, ok, ok},
	"AcceptHost":   {&pb.AcceptHostRequest{Fqdn: "mine.vo.example.org"}, un, gone, denied, denied, gone, denied, ok, denied},
	"LeaveHost":    {&pb.LeaveHostRequest{Fqdn: "mine.vo.example.org"}, un, gone, denied, denied, gone, ok, denied, denied},

	"BlockHost":   {&pb.BlockHostRequest{Fqdn: "mine.vo.example.org", Reason: "phishing"}, un, gone, denied, denied, gone, denied, denied, ok},
	"UnblockHost": {&pb.UnblockHostRequest{Fqdn: "mine.vo.example.org"}, un, gone, denied, denied, gone, denied, denied, ok},
	"DisableHost": {&pb.DisableHostRequest{Fqdn: "mine.vo.example.org"}, un, gone, denied, denied, gone, denied, ok, ok},
	"EnableHost":  {&pb.EnableHostRequest{Fqdn: "mine.vo.example.org"}, un, gone, denied, denied, gone, denied, ok, ok},

	"ListRecordSets":  {&pb.ListRecordSetsRequest{Fqdn: "mine.vo.example.org"}, un, gone, denied, denied, gone, ok, ok, ok},
	"GetRecordSet":    {&pb.GetRecordSetRequest{Fqdn: "mine.vo.example.org", Type: "A"}, un, gone, denied, denied, gone, ok, ok, ok},
	"SetRecordSet":    {&pb.SetRecordSetRequest{Fqdn: "_acme-challenge.mine.vo.example.org", Type: "TXT", Rdata: []string{"x"}}, un, gone, ok, denied, gone, ok, ok, ok},
	"DeleteRecordSet": {&pb.DeleteRecordSetRequest{Fqdn: "_acme-challenge.mine.vo.example.org", Type: "TXT"}, un, gone, ok, denied, gone, ok, ok, ok},

	"ListEndpoints":        {&pb.ListEndpointsRequest{Fqdn: "mine.vo.example.org"}, un, gone, denied, denied, gone, ok, ok, ok},
	"GetEndpoint":          {&pb.GetEndpointRequest{Fqdn: "mine.vo.example.org", Id: "a"}, un, gone, denied, ok, gone, ok, ok, ok},
	"SetEndpoint":          {&pb.SetEndpointRequest{Fqdn: "mine.vo.example.org", Id: "a", Priority: new(uint32(1))}, un, gone, denied, denied, gone, ok, ok, ok},
	"RemoveEndpoint":       {&pb.RemoveEndpointRequest{Fqdn: "mine.vo.example.org", Id: "a", Etag: `"1"`}, un, gone, denied, denied, gone, ok, ok, ok},
	"RotateEndpointSecret": {&pb.RotateEndpointSecretRequest{Fqdn: "mine.vo.example.org", Id: "b"}, un, gone, denied, denied, gone, denied, ok, ok},
	"SetEndpointAddresses": {&pb.SetEndpointAddressesRequest{Fqdn: "mine.vo.example.org", Id: "a", ClearIpv6: true}, un, gone, denied, ok, gone, ok, ok, ok},
	"SendHeartbeat":        {&pb.SendHeartbeatRequest{Fqdn: "mine.vo.example.org", Id: "a"}, un, gone, denied, ok, gone, ok, ok, ok},
	"SetEndpointWord":      {&pb.SetEndpointWordRequest{Fqdn: "mine.vo.example.org", Id: "a", Say: "drain"}, un, gone, denied, ok, gone, ok, ok, ok},
	"SetHostWord":          {&pb.SetHostWordRequest{Fqdn: "mine.vo.example.org", Say: "auto"}, un, gone, denied, denied, gone, ok, ok, ok},

	"GetPolicy":   {&pb.GetPolicyRequest{Fqdn: "mine.vo.example.org"}, un, gone, denied, denied, gone, ok, ok, ok},
	"SetPolicy":   {&pb.SetPolicyRequest{Fqdn: "mine.vo.example.org", Kind: "failover"}, un, gone, denied, denied, gone, ok, ok, ok},
	"GetCheck":    {&pb.GetCheckRequest{Fqdn: "mine.vo.example.org"}, un, gone, denied, denied, gone, ok, ok, ok},
	"SetCheck":    {&pb.SetCheckRequest{Fqdn: "mine.vo.example.org", Kind: "http"}, un, gone, denied, denied, gone, ok, ok, ok},
	"RemoveCheck": {&pb.RemoveCheckRequest{Fqdn: "mine.vo.example.org", Etag: `"1"`}, un, gone, denied, denied, gone, ok, ok, ok},
	"GetHealth":   {&pb.GetHealthRequest{Fqdn: "mine.vo.example.org"}, un, denied, denied, denied, gone, ok, ok, ok},

	"IssueCertificate": {&pb.IssueCertificateRequest{Fqdn: "mine.vo.example.org", Csr: "x"}, un, gone, denied, denied, gone, ok, ok, ok},
	"GetCertificate":   {&pb.GetCertificateRequest{Fqdn: "mine.vo.example.org"}, un, gone, denied, denied, gone, ok, ok, ok},

	"ListSites":     {&pb.ListSitesRequest{}, un, denied, denied, denied, denied, denied, denied, denied},
	"SetSiteWord":   {&pb.SetSiteWordRequest{Site: "cesnet", Say: "auto"}, un, denied, denied, denied, denied, denied, denied, denied},
	"ListCheckers":  {&pb.ListCheckersRequest{}, un, denied, denied, denied, denied, denied, denied, denied},
	"RemoveChecker": {&pb.RemoveCheckerRequest{Site: "cesnet"}, un, denied, denied, denied, denied, denied, denied, denied},
	"GetFreeze":     {&pb.GetFreezeRequest{}, un, denied, denied, denied, denied, denied, denied, denied},
	"SetFreeze":     {&pb.SetFreezeRequest{}, un, denied, denied, denied, denied, denied, denied, denied},

	"GetPrincipal":      {&pb.GetPrincipalRequest{Name: "egi/alice"}, un, denied, denied, denied, denied, denied, ok, denied},
	"DisablePrincipal":  {&pb.DisablePrincipalRequest{Name: "egi/nobody"}, un, denied, denied, denied, denied, denied, denied, denied},
	"EnablePrincipal":   {&pb.EnablePrincipalRequest{Name: "egi/nobody"}, un, denied, denied, denied, denied, denied, denied, denied},
	"TransferPrincipal": {&pb.TransferPrincipalRequest{Name: "egi/alice", To: "egi/carol"}, un, denied, denied, denied, denied, denied, denied, denied},

	"Watch": {&pb.WatchRequest{Fqdn: "mine.vo.example.org"}, un, denied, ok, denied, gone, ok, ok, ok},

	"CreateToken": {&pb.CreateTokenRequest{}, un, denied, denied, denied, ok, ok, ok, ok},
	"ListTokens":  {&pb.ListTokensRequest{Owner: "egi/alice"}, un, denied, denied, denied, denied, denied, ok, denied},
	"RevokeToken": {&pb.RevokeTokenRequest{Id: "0123456789", Owner: "egi/alice"}, un, denied, denied, denied, denied, denied, ok, denied},

	"ImportNames":        {&pb.ImportNamesRequest{Zone: "vo.example.org", DryRun: true, Names: []*pb.FormerName{{Fqdn: "x.vo.example.org"}}}, un, denied, denied, denied, denied, denied, denied, denied},
	"ImportZoneSettings": {&pb.ImportZoneSettingsRequest{Zone: "vo.example.org", DryRun: true}, un, denied, denied, denied, denied, denied, denied, denied},
	"ListImportedNames":  {&pb.ListImportedNamesRequest{Zone: "vo.example.org"}, un, denied, denied, denied, denied, denied, denied, denied},

	"ListAuditRecords": {&pb.ListAuditRecordsRequest{}, un, denied, denied, denied, denied, denied, denied, denied},
	"GetStatus":        {&pb.GetStatusRequest{}, un, denied, denied, denied, denied, denied, denied, denied},
	// Tells callers who they are, nobody included, and nothing else.
	"WhoAmI": {&pb.WhoAmIRequest{}, ok, ok, ok, ok, ok, ok, ok, ok},
	// Tells everybody where to log in.
	"ListIssuers": {&pb.ListIssuersRequest{}, ok, ok, ok, ok, ok, ok, ok, ok},
}

// hands is the methods that make credentials or hand rights on: a token needs grant.
var hands = map[string]bool{"UpdateZonePolicy": true, "RotateSecret": true, "ShareHost": true, "TransferHost": true, "AcceptHost": true, "CreateToken": true, "RotateEndpointSecret": true}

// narrowest is the methods whose answer depends on a narrowed token, not whether there is
// one.
var narrowest = map[string]bool{"ListZones": true, "ListHosts": true, "ListTokens": true, "RevokeToken": true, "WhoAmI": true, "ListIssuers": true}

const (
	ok     = codes.OK
	un     = codes.Unauthenticated
	denied = codes.PermissionDenied
	gone   = codes.NotFound
)

// Promise 8: no one changes what is not theirs.
func TestNobodyMayDoAnything(t *testing.T) {
	eachMethod(t, func(t *testing.T, m protoreflect.MethodDescriptor) {
		s := controltest.Start(t)
		s.Zone("vo.example.org")
		s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Register: new("everyone"), Depth: new(uint32(2)), Admins: &pb.Words{Values: []string{"group:egi/admins"}}})
		mine, other := s.HostOf(controltest.Person("egi/alice"), "mine.vo.example.org", "192.0.2.1"), s.Host("other.vo.example.org", "192.0.2.2")
		if _, err := s.Hosts.ShareHost(controltest.Person("egi/alice"), &pb.ShareHostRequest{Fqdn: "mine.vo.example.org", Add: []string{"group:egi/editors"}}); err != nil {
			t.Fatal(err)
		}
		s.Endpoint("mine.vo.example.org", "a", "192.0.2.3")
		s.Endpoint("mine.vo.example.org", "b", "192.0.2.4")
		own, otherOwn := s.EndpointSecret("mine.vo.example.org", "a"), s.EndpointSecret("mine.vo.example.org", "b")
		plain := s.TokenOf(controltest.Person("egi/alice"), &pb.CreateTokenRequest{})
		narrow := s.TokenOf(controltest.Person("egi/alice"), &pb.CreateTokenRequest{Host: "other.vo.example.org", Actions: []string{"*", "grant"}})
		ended := s.TokenOf(controltest.Person("egi/alice"), &pb.CreateTokenRequest{})
		s.Revoke(controltest.Person("egi/alice"), ended)
		callers := map[string]context.Context{
			"a revoked token":                  controltest.Bearer(ended),
			"an API token of nobody":           controltest.Bearer(access.NewToken()),
			"nobody":                           controltest.With(),
			"a garbage token":                  controltest.With("authorization", "Bearer garbage"),
			"a token of nobody":                controltest.With("authorization", "Bearer "+access.NewAdminToken()),
			"a secret of nobody":               controltest.As("mine.vo.example.org", access.NewHostSecret()),
			"another's secret here":            controltest.As("mine.vo.example.org", other),
			"a secret as a token":              controltest.With("authorization", "Bearer "+mine),
			"an unknown host":                  controltest.As("no.vo.example.org", mine),
			"no host at all":                   controltest.As("", mine),
			"the apex":                         controltest.As("vo.example.org", mine),
			"an endpoint's secret of nobody":   controltest.As("mine.vo.example.org/a", access.NewEndpointSecret()),
			"another endpoint's secret here":   controltest.As("mine.vo.example.org/a", otherOwn),
			"an endpoint's secret as a host's": controltest.As("mine.vo.example.org", own),
			"a host's secret as an endpoint's": controltest.As("mine.vo.example.org/a", mine),
			"broken basic":                     controltest.With("authorization", "Basic !!!"),
			"another scheme":                   controltest.With("authorization", "Digest x"),
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
			expect(t, name, invoke(s, ctx, m, row.in), want)
		}
		expect(t, "wrong host's secret", invoke(s, controltest.As("other.vo.example.org", other), m, row.in), row.wrong)
		expect(t, "host's secret", invoke(s, controltest.As("mine.vo.example.org", mine), m, row.in), row.host)
		expect(t, "endpoint's secret", invoke(s, controltest.As("mine.vo.example.org/a", own), m, row.in), row.own)
		beside := denied
		if row.nobody == codes.OK {
			beside = codes.OK
		}
		expect(t, "secret of the endpoint beside", invoke(s, controltest.As("mine.vo.example.org/b", otherOwn), m, row.in), beside)
		expect(t, "stranger", invoke(s, controltest.Person("egi/mallory", "group:egi/others"), m, row.in), row.user)
		expect(t, "editor", invoke(s, controltest.Person("egi/bob", "group:egi/editors"), m, row.in), row.editor)
		expect(t, "owner", invoke(s, controltest.Person("egi/alice"), m, row.in), row.owner)
		expect(t, "owner's token", invoke(s, controltest.Bearer(plain), m, row.in), map[bool]codes.Code{false: row.owner, true: denied}[hands[string(m.Name())]])
		narrowed := row.owner
		if narrowed == codes.OK && !narrowest[string(m.Name())] && m.Name() != "CreateToken" {
			narrowed = denied
		}
		expect(t, "owner's token for another host", invoke(s, controltest.Bearer(narrow), m, row.in), narrowed)
		expect(t, "zone's administrator", invoke(s, controltest.Person("egi/zoe", "group:egi/admins"), m, row.in), row.zadmin)
		expect(t, "operator", invoke(s, controltest.Person("egi/olga", "group:egi/operators"), m, row.in), codes.OK)
		expect(t, "admin", invoke(s, s.Admin(), m, row.in), codes.OK)
		expect(t, "admin as Basic", invoke(s, controltest.As("anybody", s.Token), m, row.in), codes.OK)
		logged := s.Log.String()
		for _, secret := range []string{mine, other, own, otherOwn, s.Token, plain, narrow, ended} {
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
func invoke(s *controltest.Server, ctx context.Context, m protoreflect.MethodDescriptor, in proto.Message) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	method := "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
	stream, err := s.Conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
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
		if got == un || got == denied || got == codes.Unimplemented || got == codes.Internal || strings.Contains(fmt.Sprint(err), "not yours") {
			t.Errorf("%s is refused: %v", caller, err)
		}
		return
	}
	if got != want {
		t.Errorf("%s: %v, want %s", caller, err, want)
	}
}

func TestASecretReachesNothingButItsHost(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	secret := s.Host("mine.vo.example.org", "192.0.2.1")
	s.Host("x.mine.vo.example.org", "192.0.2.2")
	s.Host("other.vo.example.org", "192.0.2.3")
	ctx := controltest.As("MINE.vo.example.org.", secret) // a name is compared without case and final dot
	if _, err := s.Hosts.SetAddresses(ctx, &pb.SetAddressesRequest{Fqdn: "mine.vo.example.org", Addresses: []string{"192.0.2.9"}}); err != nil {
		t.Error(err)
	}
	for fqdn, want := range map[string]codes.Code{"other.vo.example.org": gone, "no.vo.example.org": gone, "x.mine.vo.example.org": denied} {
		_, err := s.Hosts.SetAddresses(ctx, &pb.SetAddressesRequest{Fqdn: fqdn, Addresses: []string{"192.0.2.9"}})
		controltest.WantErr(t, err, want, "")
	}
	_, err1 := s.Hosts.GetHost(ctx, &pb.GetHostRequest{Fqdn: "other.vo.example.org"})
	_, err2 := s.Hosts.GetHost(ctx, &pb.GetHostRequest{Fqdn: "third.vo.example.org"})
	if strings.ReplaceAll(err1.Error(), "other", "third") != err2.Error() {
		t.Errorf("another's host and no host are told apart:\n%v\n%v", err1, err2)
	}
	for _, c := range []struct{ fqdn, rrtype string }{{"_acme-challenge.mine.vo.example.org", "A"}, {"mine.vo.example.org", "TXT"}, {"_acme-challenge.x.mine.vo.example.org", "TXT"}} {
		_, err := s.Records.SetRecordSet(ctx, &pb.SetRecordSetRequest{Fqdn: c.fqdn, Type: c.rrtype, Rdata: []string{"192.0.2.1"}})
		controltest.WantErr(t, err, denied, "")
	}
}

func TestARotatedSecretNoLongerWorks(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	old := s.Host("mine.vo.example.org")
	out, err := s.Hosts.RotateSecret(s.Admin(), &pb.RotateSecretRequest{Fqdn: "mine.vo.example.org"})
	if err != nil || out.Secret == old || !out.Change.Changed {
		t.Fatal(out, err)
	}
	in := &pb.SetAddressesRequest{Fqdn: "mine.vo.example.org", Addresses: []string{"192.0.2.9"}}
	_, err = s.Hosts.SetAddresses(controltest.As("mine.vo.example.org", old), in)
	controltest.WantErr(t, err, un, "")
	if _, err := s.Hosts.SetAddresses(controltest.As("mine.vo.example.org", out.Secret), in); err != nil {
		t.Error(err)
	}
}
