package controlapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	"signpost/internal/access"
	"signpost/internal/auditlog"
	pb "signpost/proto/signpost/v1"
	"signpost/test/proctest"
)

// startWithAudit is a control service with an audit file; read stops writing it and is
// its lines and its text.
func startWithAudit(t *testing.T, change ...func(*controlapi.Config)) (s *controltest.Server, read func() ([]map[string]any, string)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit")
	f, err := auditlog.Open(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { f.Run(ctx) })
	stop := func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	s = controltest.Start(t, append(change, func(c *controlapi.Config) { c.Audit = f })...)
	return s, func() (out []map[string]any, text string) {
		t.Helper()
		stop()
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			var m map[string]any
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			out = append(out, m)
		}
		return out, string(raw)
	}
}

// Every change is a line with the revision of its audit record in etcd; every refusal is a
// line, and none of it is in etcd; no secret is in any.
func TestTheAuditFileHasChangesAndRefusals(t *testing.T) {
	s, read := startWithAudit(t)
	s.Open("vo.example.org")
	secret := s.Host("www.vo.example.org", "192.0.2.1")
	alice := controltest.Person("egi/alice")
	mine, err := s.Hosts.CreateHost(alice, &pb.CreateHostRequest{Fqdn: "mine.vo.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	set := func(ctx context.Context, host, address string) error {
		_, err := s.Hosts.SetAddresses(ctx, &pb.SetAddressesRequest{Fqdn: host, Addresses: []string{address}})
		return err
	}
	must(nil, set(controltest.As("www.vo.example.org", secret), "www.vo.example.org", "192.0.2.2"))
	must(nil, set(controltest.As("www.vo.example.org", secret), "www.vo.example.org", "192.0.2.2")) // changes nothing
	must(s.Records.SetRecordSet(alice, &pb.SetRecordSetRequest{Fqdn: "mine.vo.example.org", Type: "TXT", Rdata: []string{"x"}}))
	must(s.Records.DeleteRecordSet(alice, &pb.DeleteRecordSetRequest{Fqdn: "mine.vo.example.org", Type: "TXT"}))
	must(s.Hosts.ShareHost(alice, &pb.ShareHostRequest{Fqdn: "mine.vo.example.org", Add: []string{"egi/bob"}}))
	must(s.Hosts.TransferHost(alice, &pb.TransferHostRequest{Fqdn: "mine.vo.example.org", To: "egi/bob"}))
	must(s.Hosts.AcceptHost(controltest.Person("egi/bob"), &pb.AcceptHostRequest{Fqdn: "mine.vo.example.org"}))
	rotated, err := s.Hosts.RotateSecret(s.Admin(), &pb.RotateSecretRequest{Fqdn: "www.vo.example.org"})
	must(nil, err)
	must(s.Hosts.UpdateHost(s.Admin(), &pb.UpdateHostRequest{Fqdn: "www.vo.example.org", Comment: new("c")}))
	code, zone := s.Call("GET", "/v1/zones/vo.example.org:export", "Bearer "+s.Token, "")
	if code != 200 {
		t.Fatalf("export: %d %s", code, zone)
	}
	if code, body := s.Call("POST", "/v1/zones/vo.example.org:import?merge=true", "Bearer "+s.Token, zone+"a 60 IN TXT x\n"); code != 200 {
		t.Fatalf("import: %d %s", code, body)
	}
	must(s.Hosts.DeleteHost(s.Admin(), &pb.DeleteHostRequest{Fqdn: "www.vo.example.org"}))
	must(s.Zones.DeleteZone(s.Admin(), &pb.DeleteZoneRequest{Name: "vo.example.org", Force: true}))
	stranger := access.NewAdminToken()
	for range 12 { // the last ones are locked out
		_, err = s.Zones.ListZones(controltest.With("authorization", "Bearer "+stranger), &pb.ListZonesRequest{})
		if err == nil {
			t.Fatal("a token of nobody is taken")
		}
	}
	s.Zone("other.example.org")
	controltest.WantErr(t, set(controltest.With(), "x.other.example.org", "192.0.2.1"), un, "")
	_, err = s.Zones.DeleteZone(controltest.Person("egi/mallory"), &pb.DeleteZoneRequest{Name: "other.example.org"})
	controltest.WantErr(t, err, gone, "")
	all, err := s.Audits.ListAuditRecords(s.Admin(), &pb.ListAuditRecordsRequest{PageSize: 1000})
	must(nil, err)

	lines, text := read()
	var inEtcd, inFile []string
	for _, r := range all.Records {
		inEtcd = append(inEtcd, strings.Join([]string{r.Principal, r.Action, r.Zone, r.Name, r.Detail, r.Before, r.After, r.RequestId, r.Source}, " "))
	}
	word := func(m map[string]any, key string) string { s, _ := m[key].(string); return s }
	outcomes := map[string]int{}
	for _, m := range lines {
		outcomes[word(m, "outcome")]++
		switch word(m, "outcome") {
		case "changed":
			inFile = append(inFile, strings.Join([]string{word(m, "principal"), word(m, "action"), word(m, "zone"), word(m, "name"), word(m, "detail"), word(m, "before"), word(m, "after"), word(m, "request"), word(m, "source")}, " "))
			if m["revision"] == nil || m["agent"] == nil || m["time"] == nil {
				t.Errorf("%v", m)
			}
		case "refused", "wrong credential":
			if m["reason"] == nil || m["source"] != "127.0.0.1" || m["action"] == nil || m["revision"] != nil {
				t.Errorf("%v", m)
			}
		}
		if word(m, "principal") == "egi/alice" && (m["issuer"] != "egi" || m["subject"] != "alice") || m["principal"] == "admin/first" && (m["token"] != "first" || m["admin_token"] != true) {
			t.Errorf("%v", m)
		}
	}
	slices.Sort(inEtcd)
	slices.Sort(inFile)
	if !slices.Equal(inEtcd, inFile) || len(inFile) < 12 {
		t.Errorf("in etcd\n%s\nin the file\n%s", strings.Join(inEtcd, "\n"), strings.Join(inFile, "\n"))
	}
	if outcomes["wrong credential"] != 12 || outcomes["refused"] != 2 || outcomes["admin token used"] < 6 {
		t.Errorf("%v", outcomes)
	}
	for _, no := range []string{secret, mine.Secret, rotated.Secret, s.Token, stranger, "sph_", "sp_admin_"} {
		if strings.Contains(text, no) || strings.Contains(s.Log.String(), no) {
			t.Errorf("%s is in the file or the log", no)
		}
	}
	for _, no := range []string{"Bearer", "Basic", "uthorization"} {
		if strings.Contains(text, no) {
			t.Errorf("%s is in the file", no)
		}
	}
}

// A change of which nobody knows whether it was made is written down as that.
func TestAChangeThatMayHaveBeenMadeIsInTheAuditFile(t *testing.T) {
	s, read := startWithAudit(t)
	s.Zone("vo.example.org")
	s.Host("www.vo.example.org", "192.0.2.1")
	ctx, cancel := context.WithCancel(controlapi.WithCaller(t.Context(), controlapi.Caller{Authorization: "Bearer " + s.Token}))
	cancel() // etcd is not heard any more
	proctest.Until(t, "a copy that a change can be decided on", func() error {
		_, err := s.Service.SetAddresses(ctx, &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{"192.0.2.2"}})
		if err == nil {
			t.Fatal("it was made")
		}
		if !strings.Contains(err.Error(), "commit change") {
			return err
		}
		return nil
	})
	lines, _ := read()
	for _, m := range lines {
		if m["outcome"] == "maybe changed" && m["after"] == "192.0.2.2" && m["revision"] == nil {
			return
		}
	}
	t.Errorf("%v", lines)
}

func TestTheAuditIsFiltered(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	s.Clock.Add(time.Hour)
	if _, err := s.Hosts.CreateHost(controltest.Person("egi/alice"), &pb.CreateHostRequest{Fqdn: "a.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	s.Clock.Add(time.Hour)
	s.Host("b.vo.example.org", "192.0.2.1")
	if _, err := s.Hosts.DeleteHost(s.Admin(), &pb.DeleteHostRequest{Fqdn: "b.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"":                           "host.delete host.create host.create zone.open zone.create",
		"principal=egi/alice":        "host.create",
		"principal=egi/alic":         "",
		"action=host.create":         "host.create host.create",
		"action=host":                "host.delete host.create host.create",
		"action=ho":                  "",
		"since=2026-11-23T09:00:00Z": "host.delete host.create host.create",
		"since=2026-11-23T09:30:00Z&action=host.create":         "host.create",
		"zone=vo.example.org&principal=admin/first&action=zone": "zone.open zone.create",
	} {
		var got []string
		for token := ""; ; {
			code, body := s.Call("GET", "/v1/audit?pageSize=1&"+query+"&pageToken="+token, "Bearer "+s.Token, "")
			var page struct {
				Records       []struct{ Action string }
				NextPageToken string
			}
			if err := json.Unmarshal([]byte(body), &page); err != nil || code != 200 {
				t.Fatalf("%s: %d %s", query, code, body)
			}
			for _, r := range page.Records {
				got = append(got, r.Action)
			}
			if token = page.NextPageToken; token == "" {
				break
			}
		}
		if have := strings.Join(got, " "); have != want {
			t.Errorf("%s: %s, want %s", query, have, want)
		}
	}
	page, err := s.Audits.ListAuditRecords(s.Admin(), &pb.ListAuditRecordsRequest{PageSize: 1, Action: "host"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Audits.ListAuditRecords(s.Admin(), &pb.ListAuditRecordsRequest{PageSize: 1, Action: "zone", PageToken: page.NextPageToken})
	controltest.WantErr(t, err, codes.InvalidArgument, "page_token")
}

// Who is refused all the time does not fill the audit file, and no change is left out.
func TestRefusalsDoNotFillTheAuditFile(t *testing.T) {
	s, read := startWithAudit(t)
	s.Open("vo.example.org")
	mallory, alice := controltest.Person("egi/mallory"), controltest.Person("egi/alice")
	for i := range 60 {
		if _, err := s.Zones.DeleteZone(mallory, &pb.DeleteZoneRequest{Name: "vo.example.org"}); err == nil {
			t.Fatal("a stranger deletes a zone")
		}
		if i%3 == 0 {
			s.HostOf(alice, fmt.Sprintf("h%d.vo.example.org", i))
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	s.Service.SumUpRefusals(ended)
	lines, _ := read()
	n := map[any]int{}
	for _, m := range lines {
		n[m["outcome"]]++
		if m["outcome"] == "more refused" && (m["lines"] != 40.0 || m["kinds"] != 1.0 || m["source"] != "127.0.0.1/32" || m["action"] != "zone.delete") {
			t.Errorf("%v", m)
		}
	}
	if n["refused"] != 20 || n["more refused"] != 1 || n["changed"] != 22 || counted(s, "signpost_refusals_summed_total") != 40 {
		t.Errorf("%v", n)
	}
}
