package egi

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// mostRequest is how many octets the body of a request for a certificate may have: a
// signing request, and what JSON and multipart put around it.
const mostRequest = 256 << 10

// apiCertificate gives the host's certificate, or orders one.
func (c *call) apiCertificate(fqdn string) answer {
	if !isHostName(strings.TrimSuffix(fqdn, ".")) {
		return detail(http.StatusNotFound, noHost)
	}
	if _, err := c.host(fqdn); err != nil {
		return translateAPI(err, noHost)
	}
	if c.request.Method != http.MethodPost {
		cert, err := c.service.GetCertificate(c.ctx, &pb.GetCertificateRequest{Fqdn: fqdn})
		if err != nil {
			return noCertificate(err)
		}
		return chain(cert)
	}
	csr, wrong := c.csr()
	if wrong != nil {
		return *wrong
	}
	out, err := c.service.IssueCertificate(c.ctx, &pb.IssueCertificateRequest{Fqdn: fqdn, Csr: csr})
	if err != nil {
		return noCertificate(err)
	}
	return chain(out.GetCertificate())
}

func chain(cert *pb.Certificate) answer {
	return answer{status: http.StatusOK, text: cert.GetChain(), file: cert.GetFqdn() + ".pem"}
}

// noCertificate is why there is none. Lost: whether it is the host, the authority or this
// service that is not able.
func noCertificate(err error) answer {
	kind := model.KindOf(err)
	switch {
	case errors.Is(err, model.ErrNoCertificate):
		return detail(http.StatusNotFound, "Certificate not available")
	case errors.Is(err, model.ErrNoAuthority):
		return detail(http.StatusServiceUnavailable, "Certificates are not available.")
	case kind == model.Invalid, kind == model.Precondition:
		return detail(http.StatusBadRequest, reason(err))
	}
	return translateAPI(err, noHost)
}

// csr is the signing request in the body: csr in JSON, file or csr in a form, or all of it,
// as curl -d @FILE sends it. Bodies of other kinds are refused.
func (c *call) csr() (string, *answer) {
	is := func(a answer) (string, *answer) { return "", &a }
	required := answer{status: http.StatusBadRequest, body: struct {
		CSR []string `json:"csr"`
	}{[]string{"This field is required."}}}
	kind, params, err := mime.ParseMediaType(c.request.Header.Get("Content-Type"))
	if err != nil && c.request.Header.Get("Content-Type") != "" {
		return is(detail(http.StatusUnsupportedMediaType, "Unsupported media type in request."))
	}
	body, err := io.ReadAll(io.LimitReader(c.request.Body, mostRequest+1))
	switch {
	case err != nil:
		return is(detail(http.StatusBadRequest, "The body cannot be read."))
	case len(body) > mostRequest:
		return is(detail(http.StatusRequestEntityTooLarge, "The body is too large."))
	}
	// What is to come takes as long as the authority takes, and no longer belongs to the
	// time in which the body must come.
	_ = http.NewResponseController(c.answers).SetReadDeadline(time.Time{})
	var csr string
	switch kind {
	case "application/json":
		var in struct {
			CSR *string `json:"csr"`
		}
		if err := json.Unmarshal(body, &in); err != nil {
			return is(detail(http.StatusBadRequest, "JSON parse error"))
		}
		if in.CSR != nil {
			csr = *in.CSR
		}
	case "multipart/form-data":
		if params["boundary"] == "" {
			return is(detail(http.StatusBadRequest, "Multipart form parse error - there is no boundary"))
		}
		csr = fileIn(body, params["boundary"])
	case "application/x-www-form-urlencoded", "":
		csr = formIn(string(body))
	default:
		return is(detail(http.StatusUnsupportedMediaType, `Unsupported media type "`+kind+`" in request. Send JSON with "csr", or a form with "file" or "csr".`))
	}
	if strings.TrimSpace(csr) == "" {
		return is(required)
	}
	if !strings.Contains(csr, "-----BEGIN ") { // the API takes text
		csr = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: []byte(csr)}))
	}
	return strings.ToValidUTF8(csr, "\uFFFD"), nil
}

// fileIn is what the part "file" of a form has in it, or the part "csr"; "": nothing.
func fileIn(body []byte, boundary string) string {
	found := ""
	for r := multipart.NewReader(bytes.NewReader(body), boundary); ; {
		part, err := r.NextPart()
		if err != nil {
			return found
		}
		if name := part.FormName(); name != "file" && (name != "csr" || found != "") {
			continue
		}
		text, err := io.ReadAll(part)
		if err != nil {
			return found
		}
		found = string(text)
	}
}

// formIn is what the fields "file" or "csr" of an URL-encoded form have in it, or the form
// itself, where it is the request and no form; "": nothing.
func formIn(body string) string {
	if strings.HasPrefix(strings.TrimSpace(body), "-----BEGIN ") {
		return unfolded(body)
	}
	fields, _ := url.ParseQuery(body) // what cannot be read is not there
	for _, name := range []string{"file", "csr"} {
		if csr := fields.Get(name); csr != "" {
			return unfolded(csr)
		}
	}
	return ""
}

var armor = regexp.MustCompile(`^\s*(-----BEGIN [A-Z ]+-----)([A-Za-z0-9+/=\s]*)(-----END [A-Z ]+-----)\s*$`)

// unfolded gives PEM back the ends of its lines, which curl -d leaves out, and the "+" that
// forms read as a space where nobody has encoded it.
func unfolded(text string) string {
	m := armor.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	data := strings.NewReplacer("\r", "", "\n", "", "\t", "", " ", "+").Replace(strings.Trim(m[2], " \t\r\n"))
	lines := []string{m[1]}
	for line := range slices.Chunk([]byte(data), 64) {
		lines = append(lines, string(line))
	}
	return strings.Join(append(lines, m[3]), "\n") + "\n"
}
