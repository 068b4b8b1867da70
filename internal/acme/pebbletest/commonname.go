package pebbletest

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/letsencrypt/pebble/v2/acme"
)

// finalizeCommonName does for a request with a name in its common name only what
// Pebble leaves out and Let's Encrypt does: take that for a name (RFC 8555 section 7.4). It
// reports whether it has answered. The client's signature and nonce are not looked at.
func (s *Server) finalizeCommonName(w http.ResponseWriter, path string, body []byte) bool {
	csr := requestIn(body)
	order := s.store.GetOrderByID(strings.TrimPrefix(path, Finalize))
	if csr == nil || order == nil || csr.CheckSignature() != nil {
		return false
	}
	name := strings.ToLower(csr.Subject.CommonName)
	if name == "" || slices.Contains(csr.DNSNames, name) {
		return false
	}
	csr.DNSNames = append(csr.DNSNames, name)
	order.Lock()
	var ordered []string
	for _, id := range order.Identifiers {
		ordered = append(ordered, id.Value)
	}
	if order.Status != acme.StatusReady || !slices.Equal(slices.Sorted(slices.Values(ordered)), slices.Sorted(slices.Values(csr.DNSNames))) {
		order.Unlock()
		return false
	}
	order.ParsedCSR, order.BeganProcessing = csr, true
	shown := order.Order
	order.Unlock()
	s.ca.CompleteOrder(order)
	if err := s.store.AddOrderByIssuedSerial(order); err != nil {
		Refuse(w, http.StatusInternalServerError, "serverInternal", err.Error())
		return true
	}
	shown.Status = acme.StatusProcessing
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(shown)
	return true
}

// requestIn is the certificate request in a JWS to finalize with; nil: there is none.
func requestIn(jws []byte) *x509.CertificateRequest {
	var outer struct{ Payload string }
	var inner struct{ CSR string }
	if json.Unmarshal(jws, &outer) != nil {
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(outer.Payload)
	if err != nil || json.Unmarshal(payload, &inner) != nil {
		return nil
	}
	der, err := base64.RawURLEncoding.DecodeString(inner.CSR)
	if err != nil {
		return nil
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil
	}
	return csr
}
