package acme

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"signpost/internal/model"
)

// The words of the former service's contract, by which its clients know what is wrong. The
// third is misspelt there too.
const (
	noCommonName    = "CSR is missing a Common Name (CN)."
	otherCommonName = "Common Name (CN) in CSR does not match FQDN of the host."
	unallowedName   = "CRS includes unallowed SAN."
	noWildcardHere  = "CSR contains wildcard, but the host does not allow it."
	missingWildcard = "CSR is missing wildcard."
)

const (
	mostRequest = 64 << 10 // octets of a request
	leastRSA    = 2048     // bits
	mostRSA     = 8192     // bits; verifying more is work for us alone
	dnsNameTag  = 2        // of a GeneralName (RFC 5280 section 4.2.1.6)
)

var (
	oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidSAN        = asn1.ObjectIdentifier{2, 5, 29, 17}
)

// CheckRequest reads a certificate signing request (RFC 2986), PEM or DER, of at most 64
// KiB, for the host fqdn: its common name is the host, its names are the host and, if and
// only if wildcard, *.host as well; its key is RSA of 2048 to 8192 bits or ECDSA on P-256
// or P-384, and has signed it with SHA-256, SHA-384 or SHA-512, for RSA by PKCS #1 v1.5.
// Names are compared as DNS does, without case. Errors are of kind Invalid in the field
// csr, with a Reason in the words of the former service where it had any; none quotes the
// request. Names are looked at first:
//
//	common name         alternative names           wildcard  what is said
//	none                any                         any       noCommonName
//	not all the host    any                         any       otherCommonName
//	the host            one that is no DNS name     any       unallowedName
//	the host            one of another host         any       unallowedName
//	the host            with *.host                 no        noWildcardHere
//	the host            without *.host              yes       missingWildcard
//	the host            none, or host               no        fine
//	the host            *.host, with or without host yes      fine
func CheckRequest(csr []byte, fqdn model.Name, wildcard bool) (*x509.CertificateRequest, error) {
	bad := func(why, hint string) (*x509.CertificateRequest, error) {
		return nil, model.E(model.Invalid, "check certificate request for", fqdn.Text()).In("csr").Because(why).Hint(hint)
	}
	der, why, hint := derOf(csr)
	if why != "" {
		return bad(why, hint)
	}
	req, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return bad("The certificate request cannot be read.", "make it with openssl req -new")
	}
	if why := checkNames(req, fqdn, wildcard); why != "" {
		return bad(why, "")
	}
	if why, hint := checkKey(req); why != "" {
		return bad(why, hint)
	}
	return req, nil
}

// KeyID is the SHA-256 of the request's SubjectPublicKeyInfo: two requests with one key
// have one.
func KeyID(req *x509.CertificateRequest) [sha256.Size]byte {
	return sha256.Sum256(req.RawSubjectPublicKeyInfo)
}

// derOf finds the one request in what was sent. Text before a PEM block is what openssl
// writes with -text.
func derOf(csr []byte) (der []byte, why, hint string) {
	const begin = "-----BEGIN "
	switch n := bytes.Count(csr, []byte(begin)); {
	case len(csr) > mostRequest:
		return nil, "The certificate request is longer than 64 KiB.", ""
	case len(bytes.TrimSpace(csr)) == 0:
		return nil, "The certificate request is empty.", ""
	case bytes.Contains(csr, []byte("PRIVATE KEY-----")):
		return nil, "There is a private key with the certificate request.", "keep the key, replace it if others may have seen it, and send the request alone"
	case n == 0:
		return csr, "", ""
	case n > 1:
		return nil, "There is more than one PEM block.", "send the certificate request alone"
	}
	block, rest := pem.Decode(csr)
	switch {
	case block == nil:
		return nil, "The PEM block cannot be read.", "send it from its BEGIN to its END line, unchanged"
	case block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST":
		return nil, "The PEM block is no certificate request.", "its first line is -----BEGIN CERTIFICATE REQUEST-----"
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, "There is something behind the certificate request.", "send the certificate request alone"
	}
	return block.Bytes, "", ""
}

func checkKey(req *x509.CertificateRequest) (why, hint string) {
	const keys = "use RSA of 2048 bits or more, or ECDSA on P-256 or P-384"
	switch key := req.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < leastRSA {
			return "The RSA key has fewer than 2048 bits.", keys
		} else if bits > mostRSA {
			return "The RSA key has more than 8192 bits.", keys
		}
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
			return "The ECDSA key is on a curve that is not taken.", keys
		}
	default:
		return "The key is of a kind that is not taken.", keys
	}
	switch req.SignatureAlgorithm { // those that authorities take
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA, x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
	default:
		return "The certificate request is signed in a way that is not taken.", "sign it with SHA-256, and for RSA with PKCS #1 v1.5"
	}
	if req.CheckSignature() != nil {
		return "The signature of the certificate request is not by its key.", "make the request anew"
	}
	return "", ""
}

func checkNames(req *x509.CertificateRequest, fqdn model.Name, wildcard bool) (why string) {
	host := strings.ToLower(fqdn.Text())
	named := false
	for _, at := range req.Subject.Names {
		if !at.Type.Equal(oidCommonName) {
			continue
		}
		named = true
		if cn, ok := at.Value.(string); !ok || strings.ToLower(cn) != host {
			if cn == "" && ok {
				return noCommonName
			}
			return otherCommonName
		}
	}
	if !named {
		return noCommonName
	}
	names, ok := alternatives(req)
	if !ok {
		return unallowedName
	}
	for _, n := range names {
		if n != host && n != "*."+host {
			return unallowedName
		}
	}
	switch has := slices.Contains(names, "*."+host); {
	case has && !wildcard:
		return noWildcardHere
	case !has && wildcard:
		return missingWildcard
	}
	return ""
}

// alternatives is every name in the request's subject alternative names, in lower case. It
// reads them itself, because crypto/x509 leaves out the kinds that it does not know. ok is
// false when one is no DNS name.
func alternatives(req *x509.CertificateRequest) (names []string, ok bool) {
	for _, ext := range req.Extensions {
		if !ext.Id.Equal(oidSAN) {
			continue
		}
		var list cryptobyte.String
		in := cryptobyte.String(ext.Value)
		if !in.ReadASN1(&list, cbasn1.SEQUENCE) || !in.Empty() {
			return nil, false
		}
		for !list.Empty() {
			var value cryptobyte.String
			var tag cbasn1.Tag
			if !list.ReadAnyASN1(&value, &tag) || tag != cbasn1.Tag(dnsNameTag).ContextSpecific() {
				return nil, false
			}
			names = append(names, strings.ToLower(string(value)))
		}
	}
	return names, true
}
