package acme

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"signpost/internal/model"
)

const host = model.Name("www.vo.example.org.")

var keys = struct {
	rsa1024, rsa2048, p224, p256, p384, p521, ed func() crypto.Signer
}{
	rsa1024: rsaKey(1024), rsa2048: rsaKey(2048),
	p224: curveKey(elliptic.P224()), p256: curveKey(elliptic.P256()), p384: curveKey(elliptic.P384()), p521: curveKey(elliptic.P521()),
	ed: sync.OnceValue(func() crypto.Signer { _, k, err := ed25519.GenerateKey(rand.Reader); return must(k, err) }),
}

func rsaKey(bits int) func() crypto.Signer {
	return sync.OnceValue(func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, bits)) })
}

func curveKey(c elliptic.Curve) func() crypto.Signer {
	return sync.OnceValue(func() crypto.Signer { return must(ecdsa.GenerateKey(c, rand.Reader)) })
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// asks makes a request for names in DER.
func asks(key crypto.Signer, cn string, names ...string) []byte {
	return made(key, x509.CertificateRequest{Subject: pkix.Name{CommonName: cn}, DNSNames: names})
}

func made(key crypto.Signer, of x509.CertificateRequest) []byte {
	return must(x509.CreateCertificateRequest(rand.Reader, &of, key))
}

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

// generalNames is a subjectAltName extension of names as they are.
func generalNames(names ...asn1.RawValue) pkix.Extension {
	return pkix.Extension{Id: oidSAN, Value: must(asn1.Marshal(names))}
}

func dnsName(n string) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: dnsNameTag, Bytes: []byte(n)}
}

func TestNamesOfARequest(t *testing.T) {
	const h = "www.vo.example.org"
	key := keys.p256()
	type request = x509.CertificateRequest
	cn := pkix.Name{CommonName: h}
	tests := []struct {
		name     string
		csr      []byte
		wildcard bool
		want     string // "": it is fine
	}{
		{"the host in the common name only, as the Infrastructure Manager sends it", made(key, request{Subject: pkix.Name{Country: []string{"ES"}, Locality: []string{"Valencia"}, Organization: []string{"UPV"}, CommonName: h}}), false, ""},
		{"the host in both places", asks(key, h, h), false, ""},
		{"the host twice", asks(key, h, h, h), false, ""},
		{"in upper case", asks(key, "WWW.vo.Example.ORG", "www.VO.example.org"), false, ""},
		{"the host and its wildcard", asks(key, h, h, "*."+h), true, ""},
		{"the wildcard alone beside the common name", asks(key, h, "*."+h), true, ""},

		{"no common name", asks(key, "", h), false, noCommonName},
		{"no subject, no names", asks(key, ""), false, noCommonName},
		{"no common name, foreign names", asks(key, "", "evil.example.com"), false, noCommonName},
		{"a foreign common name", asks(key, "evil.example.com", h), false, otherCommonName},
		{"a common name above", asks(key, "vo.example.org", h), false, otherCommonName},
		{"a common name below", asks(key, "a."+h, h), false, otherCommonName},
		{"a common name with a final dot", asks(key, h+".", h), false, otherCommonName},
		{"a common name with a space behind", asks(key, h+" ", h), false, otherCommonName},
		{"a common name with a NUL", asks(key, h+"\x00.example.com", h), false, otherCommonName},
		{"the wildcard as common name", asks(key, "*."+h, h, "*."+h), true, otherCommonName},
		{"two common names, the foreign one first", made(key, request{RawSubject: twoNames("evil.example.com", h)}), false, otherCommonName},
		{"two common names, the foreign one last", made(key, request{RawSubject: twoNames(h, "evil.example.com")}), false, otherCommonName},

		{"a foreign name", asks(key, h, h, "evil.example.com"), false, unallowedName},
		{"a name below", asks(key, h, h, "a."+h), false, unallowedName},
		{"a name below, for a wildcard host", asks(key, h, h, "*."+h, "a."+h), true, unallowedName},
		{"a foreign wildcard", asks(key, h, h, "*.vo.example.org"), false, unallowedName},
		{"a wildcard that ends alike", asks(key, h, h, "*.x"+h), true, unallowedName},
		{"a wildcard of wildcards", asks(key, h, "*."+h, "*.*."+h), true, unallowedName},
		{"a name with a final dot", asks(key, h, h+"."), false, unallowedName},
		{"an empty name", made(key, request{Subject: cn, ExtraExtensions: []pkix.Extension{generalNames(dnsName(h), dnsName(""))}}), false, unallowedName},
		{"an address", made(key, request{Subject: cn, DNSNames: []string{h}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}}), false, unallowedName},
		{"an e-mail address", made(key, request{Subject: cn, DNSNames: []string{h}, EmailAddresses: []string{"root@" + h}}), false, unallowedName},
		{"a URI", made(key, request{Subject: cn, DNSNames: []string{h}, URIs: []*url.URL{{Scheme: "https", Host: h}}}), false, unallowedName},
		{"another name, which crypto/x509 leaves out", made(key, request{Subject: cn, ExtraExtensions: []pkix.Extension{generalNames(dnsName(h), otherName())}}), false, unallowedName},
		{"a URI that reads like the host", made(key, request{Subject: cn, ExtraExtensions: []pkix.Extension{generalNames(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(h)})}}), false, unallowedName},
		{"a foreign name and an unwanted wildcard", asks(key, h, "*."+h, "evil.example.com"), false, unallowedName},

		{"an unwanted wildcard", asks(key, h, h, "*."+h), false, noWildcardHere},
		{"only an unwanted wildcard", asks(key, h, "*."+h), false, noWildcardHere},
		{"a missing wildcard", asks(key, h, h), true, missingWildcard},
		{"a missing wildcard, no alternative names", asks(key, h), true, missingWildcard},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for form, csr := range map[string][]byte{"DER": tt.csr, "PEM": pemOf(tt.csr)} {
				if got := reasonOf(t, csr, tt.wildcard); got != tt.want {
					t.Errorf("%s: %q, want %q", form, got, tt.want)
				}
			}
		})
	}
}

func twoNames(a, b string) []byte {
	return must(asn1.Marshal(pkix.RDNSequence{
		{{Type: oidCommonName, Value: a}}, {{Type: oidCommonName, Value: b}},
	}))
}

func otherName() asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true,
		Bytes: append(must(asn1.Marshal(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3})), 0xa0, 3, 0x0c, 1, 'x')}
}

// reasonOf is what CheckRequest says against a request; "": nothing.
func reasonOf(t *testing.T, csr []byte, wildcard bool) string {
	t.Helper()
	req, err := CheckRequest(csr, host, wildcard)
	if err == nil {
		if req == nil {
			t.Error("neither a request nor an error")
		}
		return ""
	}
	var e *model.Error
	if !errors.As(err, &e) || e.Kind != model.Invalid || e.Field != "csr" || req != nil {
		t.Fatalf("%v (%v): not Invalid in the field csr alone", err, req)
	}
	return e.Reason
}

func TestKeysOfARequest(t *testing.T) {
	const h = "www.vo.example.org"
	for _, tt := range []struct {
		name string
		csr  []byte
		want string // within the reason; "": it is fine
	}{
		{"RSA 2048", asks(keys.rsa2048(), h), ""},
		{"P-256", asks(keys.p256(), h), ""},
		{"P-384", asks(keys.p384(), h), ""},
		{"RSA 1024", asks(keys.rsa1024(), h), "fewer than 2048 bits"},
		{"RSA of 16384 bits, which costs us more than the sender", forged(asks(keys.rsa2048(), h), hugeKey()), "more than 8192 bits"},
		{"P-224", asks(keys.p224(), h), "on a curve that is not taken"},
		{"P-521", asks(keys.p521(), h), "on a curve that is not taken"},
		{"Ed25519", asks(keys.ed(), h), "of a kind that is not taken"},
		{"another's key", forged(asks(keys.p256(), h), must(x509.MarshalPKIXPublicKey(curveKey(elliptic.P256())().Public()))), "not by its key"},
		{"SHA-1", made(keys.rsa2048(), x509.CertificateRequest{Subject: pkix.Name{CommonName: h}, SignatureAlgorithm: x509.SHA1WithRSA}), "signed in a way"},
		{"PSS", made(keys.rsa2048(), x509.CertificateRequest{Subject: pkix.Name{CommonName: h}, SignatureAlgorithm: x509.SHA256WithRSAPSS}), "signed in a way"},
		{"SHA-512", made(keys.p384(), x509.CertificateRequest{Subject: pkix.Name{CommonName: h}, SignatureAlgorithm: x509.ECDSAWithSHA512}), ""},
		{"a changed signature", flipped(asks(keys.p256(), h)), "not by its key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := reasonOf(t, tt.csr, false)
			if tt.want == "" && got != "" || tt.want != "" && !strings.Contains(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func flipped(der []byte) []byte {
	der[len(der)-1] ^= 1
	return der
}

// forged is a request with another key and its former signature.
func forged(der, spki []byte) []byte {
	var req struct {
		Info struct {
			Version    int
			Subject    asn1.RawValue
			Key        asn1.RawValue
			Attributes asn1.RawValue
		}
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	must(asn1.Unmarshal(der, &req))
	req.Info.Key = asn1.RawValue{FullBytes: spki}
	return must(asn1.Marshal(req))
}

func hugeKey() []byte {
	n := new(big.Int).Lsh(big.NewInt(1), 16383)
	return must(x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537}))
}

func TestFormsOfARequest(t *testing.T) {
	good := asks(keys.p256(), "www.vo.example.org")
	text := string(pemOf(good))
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(keys.p256()))}))
	for _, tt := range []struct {
		name, csr string
		want      string // within the reason; "": it is fine
	}{
		{"DER", string(good), ""},
		{"PEM", text, ""},
		{"PEM with other line ends", strings.ReplaceAll(text, "\n", "\r\n"), ""},
		{"PEM of the older kind", strings.ReplaceAll(text, " CERTIFICATE REQUEST", " NEW CERTIFICATE REQUEST"), ""},
		{"PEM with the text of openssl req -text before it", "Certificate Request:\n    Data:\n        Version: 1 (0x0)\n" + text, ""},
		{"PEM with empty lines around it", "\n\n" + text + " \r\n\n", ""},
		{"nothing", "", "is empty"},
		{"white space", " \r\n\t", "is empty"},
		{"garbage", "garbage", "cannot be read"},
		{"a request cut short", string(good[:len(good)-3]), "cannot be read"},
		{"DER and more", string(good) + "x", "cannot be read"},
		{"DER twice", string(good) + string(good), "cannot be read"},
		{"PEM of garbage", string(pemOf([]byte("garbage"))), "cannot be read"},
		{"PEM of DER and more", string(pemOf(append(good[:len(good):len(good)], 0))), "cannot be read"},
		{"PEM cut short", text[:len(text)-40], "PEM block cannot be read"},
		{"PEM with a broken line", strings.Replace(text, "\n", "\n!!!!\n", 1), "PEM block cannot be read"},
		{"PEM twice", text + text, "more than one PEM block"},
		{"PEM with something behind it", text + "x", "something behind"},
		{"PEM of a certificate", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: good})), "no certificate request"},
		{"a private key", private, "private key"},
		{"a request with its private key", private + text, "private key"},
		{"too long", text + strings.Repeat("\n", mostRequest), "longer than 64 KiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := reasonOf(t, []byte(tt.csr), false)
			if tt.want == "" && got != "" || tt.want != "" && !strings.Contains(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestOneKeyHasOneID(t *testing.T) {
	id := func(csr []byte) [32]byte {
		t.Helper()
		return KeyID(must(CheckRequest(csr, host, false)))
	}
	one := id(asks(keys.p256(), "www.vo.example.org"))
	if again := id(asks(keys.p256(), "www.vo.example.org", "www.vo.example.org")); again != one {
		t.Error("two requests with one key have two IDs")
	}
	if other := id(asks(keys.p384(), "www.vo.example.org")); other == one {
		t.Error("two keys have one ID")
	}
}

// FuzzCheckRequest: whatever is sent, there is a request that asks for the host alone, or an
// error that says why not.
func FuzzCheckRequest(f *testing.F) {
	const h = "www.vo.example.org"
	f.Add(asks(keys.p256(), h, h), false)
	f.Add(asks(keys.p256(), h, h, "*."+h), true)
	f.Add(pemOf(asks(keys.rsa2048(), h)), false)
	f.Add(made(keys.p256(), x509.CertificateRequest{Subject: pkix.Name{CommonName: h}, ExtraExtensions: []pkix.Extension{generalNames(dnsName(h), otherName())}}), false)
	f.Fuzz(func(t *testing.T, csr []byte, wildcard bool) {
		req, err := CheckRequest(csr, host, wildcard)
		if err != nil {
			if model.KindOf(err) != model.Invalid || req != nil || strings.ContainsAny(err.Error(), "\n\x00") {
				t.Fatalf("%v, %q", req, err)
			}
			return
		}
		name, names, err := namesOf(req)
		if err != nil || name != host || len(names) > 2 || (len(names) == 2) != wildcard {
			t.Fatalf("%s %q: %v", name, names, err)
		}
	})
}
