package controlapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

func TestTheWholeLifeOverREST(t *testing.T) {
	s := controltest.Start(t)
	for _, step := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"POST", "/v1/zones", `{"name":"vo.example.org","nameServers":[{"name":"ns1.vo.example.org","addresses":["192.0.2.53"]}]}`, 200, `"name":"vo.example.org"`},
		{"POST", "/v1/hosts?request_id=one", `{"fqdn":"www.vo.example.org","addresses":["192.0.2.1"]}`, 200, `"secret":"sph_`},
		{"POST", "/v1/hosts?request_id=one", `{"fqdn":"www.vo.example.org","addresses":["192.0.2.1"]}`, 200, `"secret":"sph_`},
		{"POST", "/v1/hosts", `{"fqdn":"www.vo.example.org"}`, 409, `"reason":"ALREADY_EXISTS"`},
		{"GET", "/v1/hosts/www.vo.example.org", "", 200, `"addresses":["192.0.2.1"]`},
		{"POST", "/v1/hosts/www.vo.example.org:setAddresses?wait=visible&wait_timeout=10ms", `{"addresses":["2001:db8::1"]}`, 200, `"changed":true`},
		{"PATCH", "/v1/hosts/www.vo.example.org", `{"comment":"x"}`, 200, `"comment":"x"`},
		{"POST", "/v1/hosts/www.vo.example.org:rotateSecret", ``, 200, `"secret":"sph_`},
		{"PUT", "/v1/hosts/0%2F25.vo.example.org/records/TXT", `{"rdata":["x"]}`, 200, `"fqdn":"0/25.vo.example.org"`},
		{"GET", "/v1/hosts/0%2F25.vo.example.org/records", "", 200, `"type":"TXT"`},
		{"GET", "/v1/hosts/*.vo.example.org/records/TXT", "", 404, `"code":5`},
		{"DELETE", "/v1/hosts/0%2F25.vo.example.org/records/TXT", "", 200, `"changed":true`},
		{"GET", "/v1/hosts?zone=vo.example.org&page_size=1&pageToken=", "", 200, `"fqdn":"www.vo.example.org"`},
		{"GET", "/v1/audit?fqdn=www.vo.example.org", "", 200, `"action":"host.create"`},
		{"GET", "/v1/status", "", 200, `"version":"test"`},
		{"GET", "/v1/whoami", "", 200, `"principal":"admin/first"`},
		{"PATCH", "/v1/zones/vo.example.org", `{"ttl":300}`, 200, `"ttl":300`},
		{"DELETE", "/v1/zones/vo.example.org", "", 400, `"field":"force"`},
		{"DELETE", "/v1/zones/vo.example.org?force=true", "", 200, `"changed":true`},
		{"GET", "/v1/zones/vo.example.org", "", 404, `"reason":"NOT_FOUND"`},
	} {
		code, text := s.Call(step.method, step.path, "Bearer "+s.Token, step.body)
		if compact := strings.ReplaceAll(strings.ReplaceAll(text, `": `, `":`), `, `, `,`); code != step.code || !strings.Contains(compact, step.want) {
			t.Errorf("%s %s %s: %d %s, want %d %s", step.method, step.path, step.body, code, text, step.code, step.want)
		}
	}
}

func TestWhatBadRESTGets(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	large := `{"comment":"` + strings.Repeat("x", 1<<20) + `"}`
	for name, c := range map[string]struct {
		method, path, body string
		code               int
		want               string
	}{
		"unknown field":           {"POST", "/v1/hosts", `{"fqdn":"x.vo.example.org","colour":"red"}`, 400, "colour"},
		"no JSON":                 {"POST", "/v1/hosts", `{`, 400, ""},
		"wrong type":              {"POST", "/v1/hosts", `{"fqdn":7}`, 400, ""},
		"unknown query parameter": {"GET", "/v1/hosts?colour=red", "", 400, "colour"},
		"query beside body":       {"POST", "/v1/hosts?fqdn=x.vo.example.org", `{}`, 400, "fqdn"},
		"query against path":      {"GET", "/v1/hosts/a.vo.example.org?fqdn=b.vo.example.org", "", 400, "fqdn"},
		"bad number":              {"GET", "/v1/hosts?page_size=many", "", 400, ""},
		"bad page size":           {"GET", "/v1/hosts?page_size=-1", "", 400, "page_size"},
		"broken query":            {"GET", "/v1/hosts?zone=%zz", "", 400, "query"},
		"body too large":          {"POST", "/v1/hosts", large, 413, "1 MiB"},
		"no such path":            {"GET", "/v1/colours", "", 404, ""},
		"no such method":          {"PUT", "/v1/zones", "{}", 405, ""},
		"import option":           {"POST", "/v1/zones/vo.example.org:import?colour=red", "", 400, "colour"},
		"import option value":     {"POST", "/v1/zones/vo.example.org:import?replace=perhaps", "", 400, "replace"},
		"export of no zone":       {"GET", "/v1/zones/no.example.org:export", "", 404, "no such zone"},
		"export option":           {"GET", "/v1/zones/vo.example.org:export?colour=red", "", 400, "colour"},
		"bad wait":                {"GET", "/v1/zones?wait=forever", "", 400, "wait"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out := s.Rest(c.method, c.path, c.body)
			if msg, _ := out["message"].(string); code != c.code || !strings.Contains(msg, c.want) || out["code"] == nil {
				t.Errorf("%d %v, want %d with %q", code, out, c.code, c.want)
			}
		})
	}
	if code, text := s.Call("GET", "/v1/zones", "", ""); code != 401 {
		t.Errorf("nobody: %d %s", code, text)
	}
}

func TestZoneFilesOverREST(t *testing.T) {
	s := controltest.Start(t)
	code, out := s.Rest("POST", "/v1/zones/vo.example.org:import?dry_run=true&replace_hosts=", controltest.ZoneFile)
	if code != 200 || out["created"] != true || out["added"] != "9" {
		t.Errorf("dry run: %d %v", code, out)
	}
	code, out = s.Rest("POST", "/v1/zones/vo.example.org:import", controltest.ZoneFile)
	if code != 200 || out["created"] != true {
		t.Errorf("import: %d %v", code, out)
	}
	if code, text := s.Call("GET", "/v1/zones/vo.example.org:export", "Bearer "+s.Token, ""); code != 200 || text != s.Export("vo.example.org") {
		t.Errorf("export: %d %s", code, text)
	}
	code, out = s.Rest("POST", "/v1/zones/vo.example.org:import?replace=true", "garbage (")
	if code != 400 || out["details"] == nil {
		t.Errorf("garbage: %d %v", code, out)
	}
}

func TestTheClientsAddressComesFromTheProxyOnly(t *testing.T) {
	s := controltest.Start(t) // the test's own address is a listed proxy
	code, text := s.Call("POST", "/v1/zones", "Bearer "+s.Token, `{"name":"vo.example.org","nameServers":[{"name":"ns.example.net"}]}`,
		"X-Forwarded-For", "10.0.0.1, 198.51.100.7", "Grpc-Metadata-Signpost-Rest-Source", "203.0.113.1", "Signpost-Rest-Source", "203.0.113.1")
	if code != 200 {
		t.Fatal(text)
	}
	_, out := s.Rest("GET", "/v1/audit", "")
	if got := out["records"].([]any)[0].(map[string]any)["source"]; got != "198.51.100.7" {
		t.Errorf("source %v", got)
	}
	if _, err := s.Zones.ListZones(controltest.With("signpost-rest-source", "203.0.113.1"), nil); err == nil {
		t.Error("nobody may list")
	}
	if strings.Contains(s.Log.String(), "203.0.113.1") {
		t.Error("a client could choose its address")
	}
}

func TestHealthReflectionAndTheRest(t *testing.T) {
	s := controltest.Start(t)
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ready", "/openapi.json": `"openapi": "3.1.0"`} {
		if code, text := s.Call("GET", path, "", ""); code != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %.80s", path, code, text)
		}
	}
	h, err := grpc_health_v1.NewHealthClient(s.Conn).Check(controltest.With(), &grpc_health_v1.HealthCheckRequest{Service: "signpost.v1.HostService"})
	if err != nil || h.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Error(h, err)
	}
	stream, err := grpc_reflection_v1.NewServerReflectionClient(s.Conn).ServerReflectionInfo(controltest.With())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	if out, err := stream.Recv(); err != nil || !strings.Contains(out.String(), "signpost.v1.ZoneService") {
		t.Error(out, err)
	}
	s.Zone("vo.example.org")
	families, err := s.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, f := range families {
		for _, m := range f.Metric {
			found = found || f.GetName() == "signpost_api_calls_total" && m.Label[0].GetValue() == "ok" && m.Label[1].GetValue() == "CreateZone" && m.Counter.GetValue() == 1
		}
	}
	if !found {
		t.Error("the call is not counted")
	}
}

func TestAnOldClientThatSpeaksHTTP10IsServed(t *testing.T) {
	s := controltest.Start(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte("GET /healthz HTTP/1.0\r\n\r\n"))
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Error(line, err)
	}
}

// A zone file that is too large is refused before it is sent, and one that is cut off
// on its way is not taken for a whole one.
func TestAZoneFileOverRESTIsWholeOrRefused(t *testing.T) {
	s := controltest.Start(t)
	raw := func(length int, body string) string {
		t.Helper()
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /v1/zones/x.example.org:import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", s.Token, length, body)
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(60 * time.Second))
		answer, _ := io.ReadAll(conn) // what came counts
		return string(answer)
	}
	if got := raw(256<<20+1, ""); !strings.HasPrefix(got, "HTTP/1.1 413") || !strings.Contains(got, "larger than 256 MiB") {
		t.Errorf("too large: %s", got)
	}
	whole := controltest.Numbered(20_000, "192.0.2.1")
	if got := raw(len(whole)+10, whole); strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("cut off: %s", got)
	}
	if _, err := s.Zones.GetZone(s.Admin(), &pb.GetZoneRequest{Name: "x.example.org"}); status.Code(err) != codes.NotFound {
		t.Errorf("the zone of a file that was cut off: %v", err)
	}
	more := strings.Repeat("; a comment that makes it larger than other bodies may be\n", 20_000)
	if code, body := s.Call("POST", "/v1/zones/x.example.org:import", "Bearer "+s.Token, more+whole); code != 200 || !strings.Contains(body, `"recordSets":"20002"`) {
		t.Errorf("the whole file: %d %s", code, body)
	}
}
