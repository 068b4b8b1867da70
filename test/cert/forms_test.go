package cert

import (
	"net/url"
	"strings"
	"testing"
)

// A signing request comes through whichever way curl sends it: encoded or not, with the
// ends of its lines or without them.
func TestFormsOfARequest(t *testing.T) {
	w := newWorld(t, 1)
	s := w.control()
	s.zone("vo.example.org")
	s.host("web.vo.example.org", false)
	csr := ""
	for !strings.Contains(csr, "+") { // which forms read as a space
		csr = request(t, newKey(t), "web.vo.example.org")
	}
	const encoded = "application/x-www-form-urlencoded"
	partKind, part := form(t, "csr", []byte(csr))
	chain := ""
	for _, r := range []struct{ says, kind, body string }{
		{"--data-urlencode csr@FILE", encoded, "csr=" + url.QueryEscape(csr)},
		{"--data-urlencode file@FILE", encoded + "; charset=utf-8", "other=1&file=" + url.QueryEscape(csr)},
		{`-d "csr=$(cat FILE)"`, encoded, "csr=" + csr},
		{`-d "csr=$(cat FILE)" with the ends of lines of Windows`, encoded, "csr=" + strings.ReplaceAll(csr, "\n", "\r\n")},
		{"-d @FILE", encoded, strings.ReplaceAll(csr, "\n", "")},
		{"--data-binary @FILE", encoded, csr},
		{"--data-binary @FILE -H Content-Type:", "", csr},
		{"-F csr=@FILE", partKind, part},
		{"JSON", "application/json; charset=utf-8", asJSON(t, csr)},
	} {
		resp, body := s.ask("POST", "/api/hosts/web.vo.example.org/certificate", "egi/alice", r.kind, r.body)
		if chain == "" {
			chain = body
			w.verify(chain, "web.vo.example.org")
		}
		if resp.StatusCode != 200 || body != chain {
			t.Errorf("%s: %s %s", r.says, resp.Status, body)
		}
	}
}
