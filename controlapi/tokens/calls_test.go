package tokens_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

func TestOperatorsSeeAndRevokeTokens(t *testing.T) {
	s := controltest.Start(t)
	secret := s.TokenOf(controltest.Person("egi/alice"), &pb.CreateTokenRequest{Comment: "backups"})
	olga := controltest.Person("egi/olga", "group:egi/operators")
	out, err := s.Tokens.ListTokens(olga, &pb.ListTokensRequest{Owner: "egi/alice"})
	if err != nil || len(out.Tokens) != 1 || out.Tokens[0].Comment != "backups" || out.Tokens[0].Owner != "egi/alice" {
		t.Fatal(out, err)
	}
	_, err = s.Tokens.RevokeToken(controltest.Person("egi/bob"), &pb.RevokeTokenRequest{Id: out.Tokens[0].Id})
	controltest.WantErr(t, err, codes.NotFound, "id")
	if _, err := s.Tokens.RevokeToken(s.Admin(), &pb.RevokeTokenRequest{Id: out.Tokens[0].Id, Owner: "egi/alice"}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Servers.WhoAmI(controltest.Bearer(secret), &pb.WhoAmIRequest{})
	controltest.WantErr(t, err, codes.Unauthenticated, "")
	_, err = s.Tokens.CreateToken(s.Admin(), &pb.CreateTokenRequest{})
	controltest.WantErr(t, err, codes.FailedPrecondition, "")
}

func TestBadTokensAreRefusedByField(t *testing.T) {
	s := controltest.Start(t)
	for field, in := range map[string]*pb.CreateTokenRequest{
		"zone":       {Zone: "a..b"},
		"host":       {Host: "a b"},
		"types[1]":   {Types: []string{"TXT", "NOPE"}},
		"actions[0]": {Actions: []string{"host.share"}},
		"sources[0]": {Sources: []string{"example.org"}},
		"lifetime":   {Lifetime: durationpb.New(367 * 24 * time.Hour)},
	} {
		_, err := s.Tokens.CreateToken(controltest.Person("egi/alice"), in)
		controltest.WantErr(t, err, codes.InvalidArgument, field)
	}
}

// Over REST, as Bearer and as the password of Basic; the audit says which token it was.

func TestATokenOverREST(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	alice := "Bearer a." + base64.RawURLEncoding.EncodeToString([]byte("egi/alice")) + ".b"
	s.HostOf(controltest.Person("egi/alice"), "web.vo.example.org", "192.0.2.1")
	code, body := s.Call("POST", "/v1/tokens", alice, `{"host":"web.vo.example.org","lifetime":"3600s"}`)
	_, rest, _ := strings.Cut(body, `"secret":"`)
	secret, _, ok := strings.Cut(rest, `"`)
	if code != 200 || !ok {
		t.Fatal(code, body)
	}
	id := s.TokenSelf(secret).Id
	for _, auth := range []string{"Bearer " + secret, "Basic " + base64.StdEncoding.EncodeToString([]byte("anybody:"+secret))} {
		if code, body := s.Call("POST", "/v1/hosts/web.vo.example.org:setAddresses", auth, `{"addresses":["192.0.2.9"]}`); code != 200 {
			t.Error(code, body)
		}
	}
	audit, err := s.Audits.ListAuditRecords(s.Admin(), &pb.ListAuditRecordsRequest{Fqdn: "web.vo.example.org"})
	if err != nil || audit.Records[0].Principal != "token/"+id+" of egi/alice" {
		t.Errorf("%v, %v", audit, err)
	}
	if code, body := s.Call("GET", "/v1/tokens", alice, ""); code != 200 || !strings.Contains(body, id) || strings.Contains(body, secret) {
		t.Error(code, body)
	}
	if code, body := s.Call("DELETE", "/v1/tokens/"+id, alice, ""); code != 200 {
		t.Error(code, body)
	}
	if code, body := s.Call("GET", "/v1/hosts/web.vo.example.org", "Bearer "+secret, ""); code != 401 || !strings.Contains(body, "revoked") {
		t.Error(code, body)
	}
}

// When credentials were used is written in the background, once a day of each, and shown.

// A secret in a kept answer is sealed, whatever call it is of.

func TestKeptSecretsAreSealed(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	bob := func(id string) context.Context {
		return metadata.AppendToOutgoingContext(controltest.Person("egi/bob"), "request-id", id)
	}
	first, err := s.Tokens.CreateToken(bob("t"), &pb.CreateTokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Tokens.CreateToken(bob("t"), &pb.CreateTokenRequest{})
	if err != nil || again.Secret != first.Secret || again.Change.Revision != first.Change.Revision {
		t.Errorf("%v, %v", again, err)
	}
	s.HostOf(controltest.Person("egi/alice"), "web.vo.example.org")
	if _, err := s.Hosts.TransferHost(controltest.Person("egi/alice"), &pb.TransferHostRequest{Fqdn: "web.vo.example.org", To: "egi/bob"}); err != nil {
		t.Fatal(err)
	}
	host, err := s.Hosts.AcceptHost(bob("h"), &pb.AcceptHostRequest{Fqdn: "web.vo.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Etcd().Get(t.Context(), s.Prefix, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range resp.Kvs {
		for _, secret := range []string{first.Secret, host.Secret} {
			if bytes.Contains(kv.Value, []byte(secret)) {
				t.Errorf("%s holds a secret", kv.Key)
			}
		}
	}
}
