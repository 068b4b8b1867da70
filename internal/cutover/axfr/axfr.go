// Package axfr answers one question: what does a name server hold of a zone? It asks for it
// by a zone transfer (RFC 5936), signed with a key (RFC 8945) if there is one.
package axfr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/miekg/dns"

	"signpost/internal/model"
)

// Key is a TSIG key.
type Key struct {
	Name, Algorithm string // domain names, with the final dot
	Secret          string // base64
}

// The bounds of a transfer.
const (
	dialWithin = 5 * time.Second
	readWithin = 30 * time.Second // between two messages
)

var clause = regexp.MustCompile(`(?s)key\s+"?([^\s"{]+)"?\s*\{\s*(.*?)\}`)
var statement = regexp.MustCompile(`(algorithm|secret)\s+"?([^";\s]+)"?\s*;`)

// ReadKey reads a key as BIND's tsig-keygen writes it: key "NAME" { algorithm A; secret "S"; };
// Errors are of kind Invalid and do not show the secret.
func ReadKey(r io.Reader) (*Key, error) {
	text, err := io.ReadAll(io.LimitReader(r, 64<<10))
	if err != nil {
		return nil, model.E(model.Invalid, "read TSIG key", "").From(err).Because(err.Error())
	}
	bad := func(why string) (*Key, error) {
		return nil, model.E(model.Invalid, "read TSIG key", "").Because(why).Hint(`write it as tsig-keygen does: key "NAME" { algorithm hmac-sha256; secret "BASE64"; };`)
	}
	found := clause.FindAllStringSubmatch(string(text), 2)
	if len(found) != 1 {
		return bad("there is not one key in it")
	}
	k := &Key{Name: dns.CanonicalName(found[0][1])}
	for _, s := range statement.FindAllStringSubmatch(found[0][2], -1) {
		if s[1] == "algorithm" {
			k.Algorithm = dns.CanonicalName(s[2])
		} else {
			k.Secret = s[2]
		}
	}
	switch {
	case k.Secret == "":
		return bad("it has no secret")
	case k.Algorithm == "":
		return bad("it has no algorithm")
	case dns.HmacSHA1 != k.Algorithm && dns.HmacSHA224 != k.Algorithm && dns.HmacSHA256 != k.Algorithm && dns.HmacSHA384 != k.Algorithm && dns.HmacSHA512 != k.Algorithm:
		return bad("its algorithm is not one of hmac-sha1, hmac-sha224, hmac-sha256, hmac-sha384, hmac-sha512")
	}
	return k, nil
}

// Address is a server with port 53 if it has none.
func Address(server string) (string, error) {
	if host, port, err := net.SplitHostPort(server); err == nil {
		if host == "" || port == "" {
			return "", model.E(model.Invalid, "read server", server).Because("it is not SERVER or SERVER:PORT")
		}
		return server, nil
	}
	host := strings.Trim(server, "[]")
	if host == "" || strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return "", model.E(model.Invalid, "read server", server).Because("it is not SERVER or SERVER:PORT")
	}
	return net.JoinHostPort(host, "53"), nil
}

// Transfer writes a zone as its server transfers it, as a zone file. key may be nil. Errors:
// Unavailable when the server cannot be reached or ends before the zone does, Denied when
// it refuses.
func Transfer(ctx context.Context, zone model.Name, server string, key *Key, to io.Writer) error {
	address, err := Address(server)
	if err != nil {
		return err
	}
	fail := func(err error) error {
		kind, hint := model.Unavailable, "see whether the server answers TCP, and allows this machine to transfer the zone"
		for _, refused := range []error{dns.ErrNoSig, dns.ErrSig, dns.ErrAuth, dns.ErrTime, dns.ErrKeyAlg} {
			if errors.Is(err, refused) {
				kind, hint = model.Denied, "see whether the key and the clock are those that the server expects"
			}
		}
		if strings.Contains(err.Error(), "rcode") {
			kind = model.Denied
		}
		return model.E(kind, "transfer zone "+zone.Text()+" from", address).Because(err.Error()).Hint(hint).From(err)
	}
	d := net.Dialer{Timeout: dialWithin}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = conn.Close() }() // it was only read
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	t := &dns.Transfer{Conn: &dns.Conn{Conn: conn}, ReadTimeout: readWithin, WriteTimeout: dialWithin}
	q := new(dns.Msg)
	q.SetAxfr(zone.String())
	if key != nil {
		t.TsigSecret = map[string]string{key.Name: key.Secret}
		q.SetTsig(key.Name, key.Algorithm, 300, time.Now().Unix())
	}
	envelopes, err := t.In(q, address)
	if err != nil {
		return fail(err)
	}
	var failed error
	soas := 0
	for e := range envelopes { // to its end, or its goroutine stays
		if e.Error != nil || failed != nil {
			failed = errors.Join(failed, e.Error)
			continue
		}
		for _, rr := range e.RR {
			if rr.Header().Rrtype == dns.TypeSOA {
				if soas++; soas > 1 { // which ends the zone
					continue
				}
			}
			if _, err := fmt.Fprintln(to, rr.String()); err != nil {
				failed = err
				break
			}
		}
	}
	if failed == nil && soas < 2 {
		failed = errors.New("it ended before the zone did")
	}
	if failed != nil {
		return fail(failed)
	}
	return nil
}
