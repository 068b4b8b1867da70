package controlapi_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"signpost/controlapi/controltest"
)

// What REST is sent and would not act on is refused, and nothing changes.
func TestRESTRefusesWhatItWouldPassOver(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Host("www.vo.example.org", "192.0.2.1")
	token := "Bearer " + s.Token
	for _, c := range []struct{ method, path, body, want string }{
		{"POST", "/v1/hosts", `{"fqdn":"a.vo.example.org"} trailing`, "body"},
		{"POST", "/v1/hosts", `{"fqdn":"a.vo.example.org"}{"fqdn":"b.vo.example.org"}`, "body"},
		{"PATCH", "/v1/hosts/www.vo.example.org", `{"fqdn":"other.vo.example.org","comment":"x"}`, "fqdn"},
		{"PUT", "/v1/hosts/www.vo.example.org/records/TXT", `{"type":"A","rdata":["x"]}`, "type"},
		{"PATCH", "/v1/zones/vo.example.org", `{"name":"other.example.org","ttl":99}`, "name"},
		{"DELETE", "/v1/zones/vo.example.org?force=true", `{"force":false}`, "body"},
		{"GET", "/v1/zones?page_token=" + base64.RawURLEncoding.EncodeToString([]byte("abc")), "", "page_token"},
		{"GET", "/v1/zones?page_token=" + base64.RawURLEncoding.EncodeToString([]byte("a b\"(")), "", "page_token"},
	} {
		if code, body := s.Call(c.method, c.path, token, c.body); code != 400 || !strings.Contains(body, c.want) {
			t.Errorf("%s %s %s: %d %s; want 400 naming %s", c.method, c.path, c.body, code, body, c.want)
		}
	}
	if code, body := s.Call("GET", "/v1/hosts", token, ""); code != 200 || strings.Contains(body, "a.vo.example.org") {
		t.Errorf("%d %s: a refused call made a host", code, body)
	}
	// The same name in another form is no contradiction.
	if code, body := s.Call("PATCH", "/v1/hosts/www.vo.example.org", token, `{"fqdn":"WWW.vo.example.org.","comment":"x"}`); code != 200 {
		t.Errorf("%d %s", code, body)
	}
}
