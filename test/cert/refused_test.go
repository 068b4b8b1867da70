package cert

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"signpost/controlapi"
	pb "signpost/proto/signpost/v1"
)

// form is a signing request as the file of a form.
func form(t *testing.T, field string, content []byte) (kind, body string) {
	t.Helper()
	var b bytes.Buffer
	f := multipart.NewWriter(&b)
	part, err := f.CreateFormFile(field, "host.csr")
	if err == nil {
		_, err = part.Write(content)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return f.FormDataContentType(), b.String()
}

func asJSON(t *testing.T, csr string) string {
	t.Helper()
	raw, err := json.Marshal(map[string]string{"csr": csr})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// The contract's lines about certificates, in its words, and what is refused over REST.
func TestTheContractsWords(t *testing.T) {
	w := newWorld(t, 1)
	s := w.control()
	s.zone("vo.example.org")
	s.host("web.vo.example.org", false)
	s.host("any.vo.example.org", true)
	const web, any, mime = "/api/hosts/web.vo.example.org/certificate", "/api/hosts/any.vo.example.org/certificate", "application/json"
	key := newKey(t)
	csr := func(cn string, names ...string) string { return asJSON(t, request(t, key, cn, names...)) }
	const required = `{"csr":["This field is required."]}`
	weak := asJSON(t, request(t, rsaKey(t, 1024), "web.vo.example.org"))
	noFileKind, noFile := form(t, "other", []byte("x"))
	for _, r := range []struct {
		says, method, path, who, kind, body string
		status                              int
		want                                string
	}{
		{"no certificate yet", "GET", web, "egi/alice", "", "", 404, `{"detail":"Certificate not available"}`},
		{"of another's host", "GET", web, "egi/bob", "", "", 404, `{"detail":"No Host matches the given query."}`},
		{"of no host", "GET", "/api/hosts/none.vo.example.org/certificate", "egi/alice", "", "", 404, `{"detail":"No Host matches the given query."}`},
		{"of a name that cannot be", "GET", "/api/hosts/a_b/certificate", "egi/alice", "", "", 404, `{"detail":"No Host matches the given query."}`},
		{"for another's host", "POST", web, "egi/bob", mime, csr("web.vo.example.org"), 404, `{"detail":"No Host matches the given query."}`},
		{"for no host", "POST", "/api/hosts/none.vo.example.org/certificate", "egi/alice", mime, csr("none.vo.example.org"), 404, `{"detail":"No Host matches the given query."}`},
		{"another method", "PUT", web, "egi/alice", mime, csr("web.vo.example.org"), 405, `{"detail":"Method \"PUT\" not allowed."}`},
		{"no csr", "POST", web, "egi/alice", mime, `{}`, 400, required},
		{"an empty csr", "POST", web, "egi/alice", mime, `{"csr":" "}`, 400, required},
		{"no body", "POST", web, "egi/alice", "", "", 400, required},
		{"a form without file", "POST", web, "egi/alice", noFileKind, noFile, 400, required},
		{"no JSON", "POST", web, "egi/alice", mime, `{`, 400, `{"detail":"JSON parse error"}`},
		{"another kind of body", "POST", web, "egi/alice", "text/plain", "x", 415, `{"detail":"Unsupported media type \"text/plain\" in request. Send JSON with \"csr\", or a form with \"file\" or \"csr\"."}`},
		{"a kind that cannot be read", "POST", web, "egi/alice", "a/b/c", "x", 415, `{"detail":"Unsupported media type in request."}`},
		{"a form without a boundary", "POST", web, "egi/alice", "multipart/form-data", noFile, 400, `{"detail":"Multipart form parse error - there is no boundary"}`},
		{"an encoded form without csr", "POST", web, "egi/alice", "application/x-www-form-urlencoded", "a=b", 400, required},
		{"an encoded form that is none", "POST", web, "egi/alice", "application/x-www-form-urlencoded", "%zz", 400, required},
		{"garbage in an encoded form", "POST", web, "egi/alice", "application/x-www-form-urlencoded", "csr=garbage", 400, `{"detail":"The certificate request cannot be read."}`},
		{"garbage as the body", "POST", web, "egi/alice", "application/x-www-form-urlencoded", "-----BEGIN CERTIFICATE REQUEST-----%-----END", 400, `{"detail":"The PEM block cannot be read."}`},
		{"garbage", "POST", web, "egi/alice", mime, `{"csr":"garbage"}`, 400, `{"detail":"The certificate request cannot be read."}`},
		{"a weak key", "POST", web, "egi/alice", mime, weak, 400, `{"detail":"The RSA key has fewer than 2048 bits."}`},
		{"no common name", "POST", web, "egi/alice", mime, csr("", "web.vo.example.org"), 400, `{"detail":"CSR is missing a Common Name (CN)."}`},
		{"another common name", "POST", web, "egi/alice", mime, csr("any.vo.example.org"), 400, `{"detail":"Common Name (CN) in CSR does not match FQDN of the host."}`},
		{"a foreign name", "POST", web, "egi/alice", mime, csr("web.vo.example.org", "bank.example.com"), 400, `{"detail":"CRS includes unallowed SAN."}`},
		{"an unwanted wildcard", "POST", web, "egi/alice", mime, csr("web.vo.example.org", "*.web.vo.example.org"), 400, `{"detail":"CSR contains wildcard, but the host does not allow it."}`},
		{"a missing wildcard", "POST", any, "egi/alice", mime, csr("any.vo.example.org"), 400, `{"detail":"CSR is missing wildcard."}`},
		{"over REST: garbage", "POST", "/v1/hosts/web.vo.example.org/certificate", "egi/alice", mime, `{"csr":"garbage"}`, 400, `csr: The certificate request cannot be read.`},
		{"over REST: a foreign name", "POST", "/v1/hosts/web.vo.example.org/certificate", "egi/alice", mime, csr("web.vo.example.org", "bank.example.com"), 400, `csr: CRS includes unallowed SAN.`},
		{"over REST: no certificate yet", "GET", "/v1/hosts/web.vo.example.org/certificate", "egi/alice", "", "", 404, `the host has none`},
		{"over REST: of another's host", "GET", "/v1/hosts/web.vo.example.org/certificate", "egi/bob", "", "", 404, `there is no such name, or it is not yours`},
	} {
		resp, body := s.ask(r.method, r.path, r.who, r.kind, r.body)
		same := body == r.want
		if strings.HasPrefix(r.path, "/v1/") {
			same = strings.Contains(body, r.want)
		}
		if resp.StatusCode != r.status || !same {
			t.Errorf("%s: %d %q, want %d %q", r.says, resp.StatusCode, body, r.status, r.want)
		}
	}
	if n := w.ca.Count("/"); n != 0 {
		t.Errorf("the authority was asked %d times for what was refused", n)
	}

	// What is right gets the full chain, as JSON and as a form, in DER, too.
	good := func(says string, resp *http.Response, body, host string) {
		t.Helper()
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/x-pem-file" || resp.Header.Get("Content-Disposition") != `attachment; filename="`+host+`.pem"` {
			t.Fatalf("%s: %s %v %s", says, resp.Status, resp.Header, body)
		}
		w.verify(body, host)
	}
	resp, first := s.ask("POST", web, "egi/alice", mime, csr("web.vo.example.org"))
	good("JSON", resp, first, "web.vo.example.org")
	resp, again := s.ask("GET", web+"/", "egi/alice", "", "")
	if good("GET", resp, again, "web.vo.example.org"); again != first {
		t.Error("GET gives another chain")
	}
	wild := request(t, rsaKey(t, 2048), "any.vo.example.org", "*.any.vo.example.org")
	block, _ := pem.Decode([]byte(wild))
	for says, content := range map[string][]byte{"a form": []byte(wild), "a form in DER": block.Bytes} {
		kind, body := form(t, "file", content)
		resp, chain := s.ask("POST", any, "egi/alice", kind, body)
		good(says, resp, chain, "any.vo.example.org")
		w.verify(chain, "x.any.vo.example.org")
	}
}

// Without an authority it is said which setting is missing; a certificate that is there is
// given still.
func TestWithoutAnAuthority(t *testing.T) {
	w := newWorld(t, 1)
	s := w.control()
	s.zone("vo.example.org")
	s.host("web.vo.example.org", false)
	key := newKey(t)
	in := &pb.IssueCertificateRequest{Fqdn: "web.vo.example.org", Csr: request(t, key, "web.vo.example.org")}
	out, err := s.certs.IssueCertificate(s.ctx, in)
	w.check(err)
	none := w.control(func(c *controlapi.Config) { c.Authority = nil })
	again, err := none.certs.IssueCertificate(none.ctx, in)
	if err != nil || again.Certificate.Chain != out.Certificate.Chain {
		t.Error(again, err)
	}
	in.Csr = request(t, newKey(t), "web.vo.example.org")
	_, err = none.certs.IssueCertificate(none.ctx, in)
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "no certificate authority is configured; those who run this service give the setting acme-directory") {
		t.Error(err)
	}
	resp, body := none.ask("POST", "/api/hosts/web.vo.example.org/certificate", "egi/alice", "application/json", asJSON(t, in.Csr))
	if resp.StatusCode != 503 || body != `{"detail":"Certificates are not available."}` {
		t.Error(resp.Status, body)
	}
}

// What keeps a challenge from being answered is said before the authority is asked.
func TestAHostThatCannotShowAChallenge(t *testing.T) {
	w := newWorld(t, 1)
	s := w.control()
	s.zone("vo.example.org")
	key := newKey(t)
	refused := func(fqdn, why string) {
		t.Helper()
		_, err := s.certs.IssueCertificate(s.ctx, &pb.IssueCertificateRequest{Fqdn: fqdn, Csr: request(t, key, fqdn)})
		if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", fqdn, err)
		}
	}
	s.host("off.vo.example.org", false)
	_, err := s.hosts.DisableHost(s.ctx, &pb.DisableHostRequest{Fqdn: "off.vo.example.org", Reason: "holidays"})
	w.check(err)
	refused("off.vo.example.org", "the host is disabled: holidays")
	s.host("alias.vo.example.org", false)
	_, err = s.recs.SetRecordSet(s.ctx, &pb.SetRecordSetRequest{Fqdn: "_acme-challenge.alias.vo.example.org", Type: "CNAME", Rdata: []string{"x.example.net."}})
	w.check(err)
	refused("alias.vo.example.org", "there is a CNAME at _acme-challenge.alias.vo.example.org")
	s.host("cut.vo.example.org", false)
	_, err = s.recs.SetRecordSet(s.ctx, &pb.SetRecordSetRequest{Fqdn: "cut.vo.example.org", Type: "NS", Rdata: []string{"ns.example.net."}})
	w.check(err)
	refused("cut.vo.example.org", "at or below a delegation")
	s.host("own.vo.example.org", false)
	_, err = s.zones.CreateZone(s.ctx, &pb.CreateZoneRequest{Name: "_acme-challenge.own.vo.example.org", NameServers: []*pb.NameServer{{Name: "ns.example.net"}}})
	w.check(err)
	refused("own.vo.example.org", "_acme-challenge.own.vo.example.org is a zone of its own")
	if n := w.ca.Count("/"); n != 0 {
		t.Errorf("the authority was asked %d times", n)
	}
	unasked := w.control(func(c *controlapi.Config) { c.NameServers = nil })
	s.host("web.vo.example.org", false)
	_, err = unasked.certs.IssueCertificate(unasked.ctx, &pb.IssueCertificateRequest{Fqdn: "web.vo.example.org", Csr: request(t, key, "web.vo.example.org")})
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "give the setting name-servers") {
		t.Error(err)
	}
}

// What the Infrastructure Manager sends for a machine that is yet to be made: a name, its
// certificate, and the address when there is one.
func TestTheInfrastructureManagersCertificate(t *testing.T) {
	w := newWorld(t, 1)
	s := w.control()
	s.zone("vo.example.org")
	ok := func(path, want string) {
		t.Helper()
		if resp, body := s.ask("GET", path, "egi/alice", "", ""); resp.StatusCode != 200 || !strings.Contains(body, want) {
			t.Fatal(path, resp.Status, body)
		}
	}
	ok("/nic/domains", `"name":"vo.example.org","public":true,"available":true`)
	ok("/nic/register?fqdn=front.vo.example.org&comment=IM%20created%20DNS%20entry&wildcard=true", `"status":"ok"`)
	csr := request(t, rsaKey(t, 2048), "front.vo.example.org", "front.vo.example.org", "*.front.vo.example.org")
	resp, chain := s.ask("POST", "/api/hosts/front.vo.example.org/certificate", "egi/alice", "application/json", asJSON(t, csr))
	if resp.StatusCode != 200 {
		t.Fatal(resp.Status, chain)
	}
	w.verify(chain, "app.front.vo.example.org")
	ok("/nic/update?hostname=front.vo.example.org&myip=192.0.2.7", "good 192.0.2.7")
	ok("/nic/unregister?fqdn=front.vo.example.org", `"status":"ok"`)
	if resp, body := s.ask("GET", "/api/hosts/front.vo.example.org/certificate", "egi/alice", "", ""); resp.StatusCode != 404 {
		t.Error(resp.Status, body)
	}
	w.nothingLeft()
}
