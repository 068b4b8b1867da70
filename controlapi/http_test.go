package controlapi_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// do is call with the answer's header.
func do(s *controltest.Server, method, path, body string, headers ...string) (*http.Response, string) {
	s.T.Helper()
	req, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.T.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := (&http.Client{Timeout: 60 * time.Second}).Do(req)
	if err != nil {
		s.T.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.T.Fatal(err)
	}
	return resp, string(raw)
}

// Whoever stands between may have looked at the one credential, and we at the other.
func TestTwoCredentialsAreRefusedOnEveryWayIn(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	secret := s.Host("www.vo.example.org", "192.0.2.1")
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("www.vo.example.org:"+secret))
	for _, path := range []string{"/v1/whoami", "/v1/zones/vo.example.org:export", "/v1/watch", "/nic/update?hostname=www.vo.example.org&myip=192.0.2.9", "/myip"} {
		for _, second := range []string{basic, ""} {
			if resp, body := do(s, "GET", path, "", "Authorization", second); resp.StatusCode != 400 || !strings.Contains(body, "more than once") {
				t.Errorf("%s: %s %s", path, resp.Status, body)
			}
		}
	}
	_, err := s.Servers.WhoAmI(controltest.With("authorization", "Bearer "+s.Token, "authorization", basic), &pb.WhoAmIRequest{})
	controltest.WantErr(t, err, codes.InvalidArgument, "authorization")
}

// A browser sends the Basic credential that it keeps with whatever a page asks for.
func TestAPageOfAnotherSiteChangesNothing(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	secret := s.Host("www.vo.example.org", "192.0.2.1")
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("www.vo.example.org:"+secret))
	ask := []struct{ method, path, body string }{
		{"GET", "/nic/update?hostname=www.vo.example.org&myip=192.0.2.66", ""},
		{"POST", "/v1/hosts/www.vo.example.org:setAddresses", `{"addresses":["192.0.2.66"]}`},
	}
	for _, c := range ask {
		for _, site := range []string{"cross-site", "same-site", "what comes next"} {
			if code, body := s.Call(c.method, c.path, basic, c.body, "Sec-Fetch-Site", site, "Content-Type", "text/plain"); code != 403 || !strings.Contains(body, "another site") {
				t.Errorf("%s %s: %d %s", site, c.path, code, body)
			}
		}
	}
	if h, err := s.Hosts.GetHost(s.Admin(), &pb.GetHostRequest{Fqdn: "www.vo.example.org"}); err != nil || h.Addresses[0] != "192.0.2.1" {
		t.Error(h, err)
	}
	for _, site := range []string{"none", "same-origin"} {
		if code, body := s.Call(ask[1].method, ask[1].path, basic, ask[1].body, "Sec-Fetch-Site", site); code != 200 {
			t.Errorf("%s: %d %s", site, code, body)
		}
	}
	// Where a browser says no more than the page's origin.
	own := strings.TrimPrefix(s.URL, "http://")
	for origin, want := range map[string]int{
		"https://evil.example": 403, "null": 403, "https://evil.example/" + own: 403, "http://" + own + ".evil.example": 403, "%": 403,
		"http://" + own: 200, "https://" + own: 200, "": 200,
	} {
		headers := []string{"Origin", origin}
		if origin == "" {
			headers = nil
		}
		if code, body := s.Call(ask[1].method, ask[1].path, basic, ask[1].body, headers...); code != want {
			t.Errorf("from %q: %d %s", origin, code, body)
		}
	}
	if code, _ := s.Call("GET", "/v1/issuers", "", "", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"); code != 200 {
		t.Errorf("without a credential: %d", code)
	}
}

func TestIfMatchIsTheEtagOfAChange(t *testing.T) {
	s := controltest.Start(t)
	const zone, host, record = "/v1/zones/vo.example.org", "/v1/hosts/www.vo.example.org", "/v1/hosts/www.vo.example.org/records/TXT"
	s.Zone("vo.example.org")
	s.Host("www.vo.example.org", "192.0.2.1")
	s.Record("www.vo.example.org", "TXT", "x")
	for _, c := range []struct{ get, method, path, body string }{
		{zone, "PATCH", zone, `{"ttl":300}`},
		{host, "PATCH", host, `{"comment":"x"}`},
		{host, "POST", host + ":setAddresses", ` { "addresses":["192.0.2.2"]}`},
		{record, "PUT", record, `{"rdata":["y"]}`},
		{record, "DELETE", record, ""},
		{host, "DELETE", host, ""},
		{zone, "DELETE", zone + "?force=true", ""},
	} {
		got, body := do(s, "GET", c.get, "")
		etag := got.Header.Get("ETag")
		var shown struct{ Etag string }
		if err := json.Unmarshal([]byte(body), &shown); err != nil || etag == "" || etag != shown.Etag {
			t.Errorf("GET %s: ETag %q, %s", c.get, etag, body)
		}
		for _, wrong := range []string{`"1"`, `W/` + etag, `""`} {
			if resp, text := do(s, c.method, c.path, c.body, "If-Match", wrong); resp.StatusCode != 412 || !strings.Contains(text, `"ABORTED"`) {
				t.Errorf("%s %s with %s: %s %s", c.method, c.path, wrong, resp.Status, text)
			}
		}
		for _, bad := range [][]string{
			{"If-Match", "*"}, {"If-Match", strings.Trim(etag, `"`)}, {"If-Match", etag + ", " + etag},
			{"If-Match", etag, "If-Match", etag}, {"If-None-Match", "*"},
		} {
			if resp, text := do(s, c.method, c.path, c.body, bad...); resp.StatusCode != 400 || !strings.Contains(text, bad[0]) {
				t.Errorf("%s %s with %s: %s %s", c.method, c.path, bad, resp.Status, text)
			}
		}
		if resp, text := do(s, c.method, c.path, c.body, "If-Match", etag); resp.StatusCode != 200 || !strings.Contains(strings.ReplaceAll(text, " ", ""), `"changed":true`) {
			t.Errorf("%s %s with %s: %s %s", c.method, c.path, etag, resp.Status, text)
		}
	}
}

func TestIfMatchThatNothingWouldLookAtIsRefused(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Host("www.vo.example.org", "192.0.2.1")
	etag := func() string {
		resp, _ := do(s, "GET", "/v1/hosts/www.vo.example.org", "")
		return resp.Header.Get("ETag")
	}
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/v1/hosts/www.vo.example.org:rotateSecret", ""},
		{"POST", "/v1/hosts", `{"fqdn":"x.vo.example.org"}`},
		{"POST", "/v1/zones/vo.example.org:import", ""},
		{"PATCH", "/v1/hosts/www.vo.example.org", `{"etag":"1","comment":"x"}`},
		{"DELETE", "/v1/hosts/www.vo.example.org?etag=1", ""},
		{"GET", "/v1/hosts/www.vo.example.org", ""},
	} {
		if resp, text := do(s, c.method, c.path, c.body, "If-Match", etag()); resp.StatusCode != 400 || !strings.Contains(text, "If-Match") {
			t.Errorf("%s %s: %s %s", c.method, c.path, resp.Status, text)
		}
	}
	// What is wrong with a body is still said.
	for _, body := range []string{`{"comment":"x","comment":"y"}`, `[]`, `{"colour":"red"}`} {
		if resp, text := do(s, "PATCH", "/v1/hosts/www.vo.example.org", body, "If-Match", etag()); resp.StatusCode != 400 {
			t.Errorf("%s: %s %s", body, resp.Status, text)
		}
	}
	// An etag in the request itself has the status of the error table.
	if resp, text := do(s, "DELETE", `/v1/hosts/www.vo.example.org?etag="1"`, ""); resp.StatusCode != 409 {
		t.Errorf("%s %s", resp.Status, text)
	}
}

func TestAMethodThatIsNotThereIsToldWhichAre(t *testing.T) {
	s := controltest.Start(t)
	for path, allow := range map[string]string{
		"/v1/zones":                                "GET, HEAD, POST",
		"/v1/zones/vo.example.org":                 "GET, HEAD, PATCH, DELETE",
		"/v1/hosts/0%2F25.example.org/records/TXT": "GET, HEAD, PUT, DELETE",
		"/v1/hosts/www.example.org/records":        "GET, HEAD",
		"/v1/watch":                                "GET, HEAD",
		"/v1/whoami":                               "GET, HEAD",
	} {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			if slices.Contains(strings.Split(allow, ", "), method) {
				continue
			}
			resp, text := do(s, method, path, "")
			if resp.StatusCode != 405 || resp.Header.Get("Allow") != allow {
				t.Errorf("%s %s: %s, Allow %q, want %q; %s", method, path, resp.Status, resp.Header.Get("Allow"), allow, text)
			}
		}
	}
	if resp, _ := do(s, "POST", "/v1/colours", ""); resp.StatusCode != 404 || resp.Header.Get("Allow") != "" {
		t.Errorf("%s, Allow %q", resp.Status, resp.Header.Get("Allow"))
	}
}

func TestHEADAnswersAsGETAndChangesNothing(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Host("www.vo.example.org", "192.0.2.1")
	before := auditText(s)
	for _, path := range []string{
		"/v1/zones", "/v1/zones/vo.example.org", "/v1/zones/no.example.org", "/v1/hosts/www.vo.example.org",
		"/v1/hosts/www.vo.example.org/records/A", "/v1/zones/vo.example.org:export", "/v1/colours", "/v1/hosts?colour=red",
		"/v1/zones/vo.example.org:import", "/v1/hosts/www.vo.example.org:rotateSecret",
	} {
		head, text := do(s, "HEAD", path, "")
		get, body := do(s, "GET", path, "")
		if head.StatusCode != get.StatusCode || head.Header.Get("ETag") != get.Header.Get("ETag") || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
			t.Errorf("HEAD %s: %s %v; GET: %s %v %s", path, head.Status, head.Header, get.Status, get.Header, body)
		}
		if text != "" || body == "" {
			t.Errorf("HEAD %s has a body: %q", path, text)
		}
	}
	if resp, _ := do(s, "HEAD", "/v1/watch", ""); resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD of a stream: %s", resp.Status)
	}
	if after := auditText(s); after != before {
		t.Errorf("HEAD changed something: %s", after)
	}
}

func auditText(s *controltest.Server) string {
	s.T.Helper()
	out, err := s.Audits.ListAuditRecords(s.Admin(), &pb.ListAuditRecordsRequest{PageSize: 1000})
	if err != nil {
		s.T.Fatal(err)
	}
	return out.String()
}

// An empty id would make every call one of its own, and of several the client does
// not know which one counted.
func TestWhatComesWithACallIsGivenOnce(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	for _, query := range []string{
		"request_id=", "request_id=a&request_id=b", "request_id=a&request_id=a", "wait=", "wait=visible&wait=visible", "wait_timeout=", "wait_timeout=1s&wait_timeout=2s",
	} {
		field, _, _ := strings.Cut(query, "=")
		for _, c := range []struct{ method, path, body string }{
			{"POST", "/v1/hosts?", `{"fqdn":"www.vo.example.org"}`},
			{"POST", "/v1/zones/vo.example.org:import?replace=true&", controltest.ZoneFile},
			{"DELETE", "/v1/zones/vo.example.org?force=true&", ""},
		} {
			if resp, text := do(s, c.method, c.path+query, c.body); resp.StatusCode != 400 || !strings.Contains(text, field) {
				t.Errorf("%s %s%s: %s %s", c.method, c.path, query, resp.Status, text)
			}
		}
	}
	for field, pairs := range map[string][]string{
		"request_id": {"request-id", "a", "request-id", "b"}, "wait": {"wait", ""}, "wait_timeout": {"wait-timeout", "1s", "wait-timeout", "1s"},
	} {
		_, err := s.Hosts.CreateHost(s.Admin(pairs...), &pb.CreateHostRequest{Fqdn: "www.vo.example.org"})
		controltest.WantErr(t, err, codes.InvalidArgument, field)
	}
	_, err := s.Hosts.CreateHost(s.Admin("request-id", ""), &pb.CreateHostRequest{Fqdn: "www.vo.example.org"})
	controltest.WantErr(t, err, codes.InvalidArgument, "request_id")
	if out, err := s.Hosts.ListHosts(s.Admin(), &pb.ListHostsRequest{}); err != nil || len(out.Hosts) != 0 {
		t.Error(out, err)
	}
}
