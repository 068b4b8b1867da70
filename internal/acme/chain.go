package acme

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"time"

	acmez "github.com/mholt/acmez/v3/acme"

	"signpost/internal/model"
)

const (
	mostChain = 64 << 10 // octets of a chain in PEM
	mostLinks = 10       // certificates of a chain
)

// readChain reads what the authority issued, and sees that it is what was asked for: the
// request's key, and every name of it. Other names are the authority's business.
func readChain(text []byte, req *x509.CertificateRequest, names []string) (Issued, error) {
	leaf, chain, err := parseChain(text)
	if err != nil {
		return Issued{}, err
	}
	if key, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !key.Equal(req.PublicKey) {
		return Issued{}, errors.New("the certificate is for another key")
	}
	for _, n := range names {
		if leaf.VerifyHostname(n) != nil {
			return Issued{}, errors.New("the certificate is not for " + n)
		}
	}
	return Issued{Chain: chain, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, CertID: certID(leaf)}, nil
}

// parseChain reads a chain in PEM, and writes it anew without anything else that was there.
func parseChain(text []byte) (leaf *x509.Certificate, chain []byte, err error) {
	if len(text) > mostChain {
		return nil, nil, errors.New("the chain is longer than 64 KiB")
	}
	var out bytes.Buffer
	links := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != "CERTIFICATE" {
			return nil, nil, errors.New("the chain has something in it that is no certificate")
		}
		if links++; links > mostLinks {
			return nil, nil, errors.New("the chain has more than 10 certificates")
		}
		if leaf == nil {
			leaf = cert
		}
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}); err != nil {
			return nil, nil, err
		}
	}
	if leaf == nil {
		return nil, nil, errors.New("the chain has no certificate")
	}
	return leaf, out.Bytes(), nil
}

func certID(leaf *x509.Certificate) string {
	if len(leaf.AuthorityKeyId) == 0 {
		return ""
	}
	id, err := acmez.ARIUniqueIdentifier(leaf)
	if err != nil {
		return ""
	}
	return id
}

// Window is when an authority would have a certificate renewed (RFC 9773).
type Window struct {
	From, To time.Time     // zero: it does not say
	Again    time.Duration // after which it wants to be asked again; 0: it does not say
}

// Renewal asks when the authority would have a certificate renewed, known by its chain in
// PEM. It takes at most 10 s. Errors are of kind Invalid for a chain that cannot be read,
// the context's, or a *Failure.
func (a *Authority) Renewal(ctx context.Context, chain []byte) (Window, error) {
	const op = "ask when to renew"
	leaf, _, err := parseChain(chain)
	if err != nil {
		return Window{}, model.E(model.Invalid, op, "").Because(err.Error())
	}
	s := a.session()
	said, err := s.renewal(ctx, certID(leaf))
	if err != nil {
		return Window{}, s.failed(ctx, op, err)
	}
	return said, nil
}

// chain fetches a chain in PEM, the one that the authority gives first.
func (s *session) chain(ctx context.Context, account acmez.Account, url string) ([]byte, error) {
	dir, err := s.client.GetDirectory(ctx)
	if err != nil {
		return nil, err
	}
	mute := dir.RenewalInfo
	if mute == "" {
		mute = "nothing is asked"
	}
	s.wire.mute(mute)
	defer s.wire.mute("")
	chains, err := s.client.GetCertificateChain(ctx, account, url)
	if err != nil {
		return nil, err
	}
	return chains[0].ChainPEM, nil
}

// renewal asks once when a certificate is to be renewed. No window and no error: nothing
// is said of it.
func (s *session) renewal(ctx context.Context, certID string) (Window, error) {
	ctx, cancel := context.WithTimeout(ctx, renewalTime)
	defer cancel()
	dir, err := s.client.GetDirectory(ctx)
	if err != nil || dir.RenewalInfo == "" || certID == "" {
		return Window{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, dir.RenewalInfo+"/"+certID, nil)
	if err != nil {
		return Window{}, err
	}
	req.Header.Set("User-Agent", s.client.UserAgent)
	resp, err := s.client.HTTPClient.Do(req)
	if err != nil {
		return Window{}, err
	}
	defer resp.Body.Close()
	var info acmez.RenewalInfo
	if resp.StatusCode != http.StatusOK {
		problem := acmez.Problem{Status: resp.StatusCode}
		if err := json.NewDecoder(resp.Body).Decode(&problem); err != nil {
			return Window{}, fmt.Errorf("HTTP %d", resp.StatusCode)
		}
		return Window{}, problem
	}
	if err := json.NewDecoder(resp.Body).Decode(&info); err != nil {
		return Window{}, err
	}
	if !info.HasWindow() || !info.SuggestedWindow.Start.Before(info.SuggestedWindow.End) {
		return Window{}, errors.New("it names no window of time")
	}
	said := Window{From: info.SuggestedWindow.Start, To: info.SuggestedWindow.End}
	if at := s.wire.comeBack(); !at.IsZero() {
		said.Again = max(at.Sub(s.now()), 0)
	}
	return said, nil
}
