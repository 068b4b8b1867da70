package control

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"signpost/internal/access/oidc"
	"signpost/internal/access/oidc/oidctest"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// On the day the identity provider is gone, an admin token that was made with nothing but
// etcd and the key does all that is needed, and all of it can be found later.
func TestTheDayTheIdentityProviderIsGone(t *testing.T) {
	p := oidctest.New(t)
	p.Entitle([]string{"urn:mace:egi.eu:group:ops"})
	audit := filepath.Join(t.TempDir(), "audit")
	s, _ := started(t, func(c *Config) {
		c.AuditFile, c.LogLevel = audit, "info"
		c.Issuers = []oidc.Issuer{
			{Name: "egi", URL: p.URL, AuthorizedParties: []string{oidctest.PublicClient}, EntitlementsFrom: "userinfo", Namespace: "urn:mace:egi.eu"},
		}
		c.Operators = []string{"group:egi/ops"}
	})
	conn, err := grpc.NewClient(strings.TrimPrefix(s.URL(), "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	with := func(token string) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
	}
	zones, hosts := pb.NewZoneServiceClient(conn), pb.NewHostServiceClient(conn)
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	person := p.Token(nil)
	must(zones.CreateZone(with(person), &pb.CreateZoneRequest{Name: "vo.example.org", NameServers: []*pb.NameServer{{Name: "ns.example.net"}}}))
	for _, name := range []string{"www", "old"} {
		must(hosts.CreateHost(with(person), &pb.CreateHostRequest{Fqdn: name + ".vo.example.org", Addresses: []string{"192.0.2.1"}}))
	}

	p.Down(true)
	another := p.Token(nil)
	if _, err := zones.ListZones(with(another), &pb.ListZonesRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("a person whom only the provider knows: %v", err)
	}
	if code := get(t, s.URL()+"/v1/zones", another); code != 503 {
		t.Errorf("the same over REST: %d", code)
	}
	must(zones.ListZones(with(person), &pb.ListZonesRequest{})) // who was seen a moment ago works on

	// All that is needed: where etcd is, and the key.
	c := Config{EtcdEndpoints: s.config.EtcdEndpoints, EtcdPrefix: s.config.EtcdPrefix, MasterKeyFile: s.config.MasterKeyFile, AdminTokenFile: "none", LogLevel: "info"}
	token, err := NewToken(t.Context(), c, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	admin := with(token)
	who, err := pb.NewServerServiceClient(conn).WhoAmI(admin, &pb.WhoAmIRequest{})
	must(nil, err)
	id := strings.TrimPrefix(who.Principal, "admin/")
	out, err := hosts.ListHosts(admin, &pb.ListHostsRequest{Zone: "vo.example.org"})
	if err != nil || len(out.Hosts) != 2 {
		t.Fatal(out, err)
	}
	must(hosts.SetAddresses(admin, &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{"192.0.2.2"}}))
	must(zones.UpdateZonePolicy(admin, &pb.UpdateZonePolicyRequest{Name: "vo.example.org", Register: new("everyone")}))
	must(hosts.DeleteHost(admin, &pb.DeleteHostRequest{Fqdn: "old.vo.example.org"}))
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL()+"/v1/zones/new.example.org:import", strings.NewReader(
		"$ORIGIN new.example.org.\n@ 60 IN SOA ns.example.net. h.example.net. 1 60 60 60 60\n@ 60 IN NS ns.example.net.\n"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("import: %d %s %v", resp.StatusCode, body, err)
	}

	// It has leaked: it is taken back, and what it had opened ends.
	stream, err := pb.NewWatchServiceClient(conn).Watch(admin, &pb.WatchRequest{})
	must(nil, err)
	_, err = stream.Recv()
	must(nil, err)
	all, err := ListTokens(t.Context(), c, io.Discard)
	if err != nil || len(all) != 2 || all[0].ID != id && all[1].ID != id {
		t.Fatal(all, err)
	}
	if err := RevokeToken(t.Context(), c, "none", io.Discard); model.KindOf(err) != model.NotFound || !strings.Contains(err.Error(), "admin-token list") {
		t.Errorf("%v", err)
	}
	c.AuditFile = audit
	var log bytes.Buffer
	must(nil, RevokeToken(t.Context(), c, id, &log))
	if _, err := zones.ListZones(admin, &pb.ListZonesRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("with the token that was taken back: %v", err)
	}
	since := time.Now()
	for err == nil {
		_, err = stream.Recv()
	}
	if took := time.Since(since); status.Code(err) != codes.Unauthenticated || took > 5*time.Second {
		t.Errorf("the stream ended after %s: %v", took, err)
	}
	if left, err := ListTokens(t.Context(), c, io.Discard); err != nil || len(left) != 1 || left[0].ID == id {
		t.Error(left, err)
	}

	must(nil, s.Close())
	raw, err := os.ReadFile(audit)
	must(nil, err)
	used, changed := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(string(raw)) {
		var m struct {
			Outcome, Principal, Action string
			Admin                      bool `json:"admin_token"`
		}
		must(nil, json.Unmarshal([]byte(line), &m))
		switch {
		case m.Principal == tokenCommand:
			changed[m.Action] = true
		case m.Principal == who.Principal && m.Admin && m.Outcome == "admin token used":
			used[m.Action] = true
		case m.Principal == who.Principal && m.Admin && m.Outcome == "changed":
			changed[m.Action] = true
		}
	}
	for _, action := range []string{"host.list", "host.set-addresses", "zone.open", "host.delete", "zone.import"} {
		if !used[action] {
			t.Errorf("the use for %s is not in the audit file: %s", action, raw)
		}
		if !changed[action] && action != "host.list" {
			t.Errorf("the change %s is not in the audit file: %s", action, raw)
		}
	}
	if !changed["token.revoke"] || strings.Contains(string(raw)+log.String(), token) || strings.Contains(string(raw), person) {
		t.Errorf("%s\n%s", raw, &log)
	}
}

func get(t *testing.T, url, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// A SIGHUP makes a running service open the audit file anew, without a line to write.
func TestAHangupOpensTheAuditFileAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit")
	s, _ := started(t, func(c *Config) { c.AuditFile = path })
	s.reopenOnHangup(t.Context())
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
