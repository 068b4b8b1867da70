package axfr_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"signpost/internal/cutover/axfr"
	"signpost/internal/model"
)

const keyName, keySecret = "cutover.", "c2VjcmV0IG9mIHRoZSB0ZXN0cyBvZiB0aGUgY3V0b3Zlcg=="

// server transfers a zone of n names in several messages, to who has the key if there is
// one. Half of it is a server that ends in the middle.
func server(t *testing.T, n int, key string, half bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rr := func(text string) dns.RR {
		r, err := dns.NewRR(text)
		if err != nil {
			t.Error(err)
		}
		return r
	}
	soa := rr("dyn.example.org. 60 IN SOA ns.example.net. root.example.net. 7 1 2 3 4")
	s := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		if q.Question[0].Name != "dyn.example.org." || key != "" && (q.IsTsig() == nil || w.TsigStatus() != nil) {
			m := new(dns.Msg)
			m.SetRcode(q, dns.RcodeRefused)
			_ = w.WriteMsg(m)
			return
		}
		out := make(chan *dns.Envelope, n/50+3)
		out <- &dns.Envelope{RR: []dns.RR{soa, rr("dyn.example.org. 60 IN NS ns.example.net.")}}
		for i := 0; i < n; i += 50 {
			e := &dns.Envelope{}
			for j := i; j < min(n, i+50); j++ {
				e.RR = append(e.RR, rr(fmt.Sprintf(`h%d.dyn.example.org. 60 IN A 192.0.2.1`, j)), rr(fmt.Sprintf(`h%d.dyn.example.org. 60 IN TXT "a \"b\" \\ \200"`, j)))
			}
			out <- e
		}
		if !half {
			out <- &dns.Envelope{RR: []dns.RR{soa}}
		}
		close(out)
		if err := new(dns.Transfer).Out(w, q, out); err != nil && !half {
			t.Error(err)
		}
		_ = w.Close()
	})}
	if key != "" {
		s.TsigSecret = map[string]string{keyName: key}
	}
	go func() { _ = s.ActivateAndServe() }()
	t.Cleanup(func() { _ = s.Shutdown() })
	return l.Addr().String()
}

func key(t *testing.T, secret string) *axfr.Key {
	t.Helper()
	k, err := axfr.ReadKey(strings.NewReader(`key "cutover" { algorithm hmac-sha256; secret "` + secret + `"; };`))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestAZoneIsTransferred(t *testing.T) {
	for name, k := range map[string]*axfr.Key{"plainly": nil, "signed": key(t, keySecret)} {
		t.Run(name, func(t *testing.T) {
			secret := ""
			if k != nil {
				secret = keySecret
			}
			var b strings.Builder
			if err := axfr.Transfer(t.Context(), "dyn.example.org.", server(t, 1000, secret, false), k, &b); err != nil {
				t.Fatal(err)
			}
			z, err := model.ReadZoneFile(strings.NewReader(b.String()), "dyn.example.org.", model.ReadOptions{})
			if err != nil || z.Serial != 7 || z.Records != 2002 {
				t.Errorf("%v, %v", z, err)
			}
			if sets := z.At("h7.dyn.example.org."); len(sets) != 2 || sets[1].Text()[0] != `"a \"b\" \\ \200"` {
				t.Errorf("%v", sets)
			}
		})
	}
}

// A transfer that fails says why, and never passes for a whole zone.
func TestTransfersThatFail(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	closed.Close()
	other := base64.StdEncoding.EncodeToString([]byte("another secret"))
	for name, c := range map[string]struct {
		zone   model.Name
		server string
		key    *axfr.Key
		kind   model.Kind
	}{
		"nobody there": {"dyn.example.org.", nobody, nil, model.Unavailable},
		"another zone": {"other.example.org.", server(t, 1, "", false), nil, model.Denied},
		"no key":       {"dyn.example.org.", server(t, 1, keySecret, false), nil, model.Denied},
		"wrong key":    {"dyn.example.org.", server(t, 1, keySecret, false), key(t, other), model.Denied},
		"cut off":      {"dyn.example.org.", server(t, 100, "", true), nil, model.Unavailable},
		"bad address":  {"dyn.example.org.", "a:b:c", nil, model.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			err := axfr.Transfer(t.Context(), c.zone, c.server, c.key, &b)
			if err == nil || model.KindOf(err) != c.kind || strings.Contains(err.Error(), other) {
				t.Errorf("%v, want %v", err, c.kind)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := axfr.Transfer(ctx, "dyn.example.org.", nobody, nil, &strings.Builder{}); err == nil {
		t.Error("it goes on when nobody waits")
	}
}

func TestKeys(t *testing.T) {
	for text, ok := range map[string]bool{
		"key cutover { algorithm \"hmac-sha512\"; secret eA==; };":                                  true,
		"// made by tsig-keygen\nkey \"a.b\" {\n\talgorithm hmac-sha256;\n\tsecret \"eA==\";\n};\n": true,
		"key a { secret \"eA==\"; };":                         false,
		"key a { algorithm hmac-sha256; };":                   false,
		"key a { algorithm hmac-md5; secret \"c2VjcmV0\"; };": false,
		"key a { algorithm hmac-sha256; secret \"eA==\"; }; key b { algorithm hmac-sha256; secret \"eA==\"; };": false,
		"": false,
	} {
		k, err := axfr.ReadKey(strings.NewReader(text))
		if (err == nil) != ok || ok && (k.Name == "" || k.Secret != "eA==") || err != nil && strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: %+v, %v", text, k, err)
		}
	}
	for in, want := range map[string]string{"a.example": "a.example:53", "a.example:5300": "a.example:5300", "192.0.2.1": "192.0.2.1:53", "2001:db8::1": "[2001:db8::1]:53", "[2001:db8::1]": "[2001:db8::1]:53", "[2001:db8::1]:1": "[2001:db8::1]:1", "": "", ":53": "", "a:b:c": ""} {
		if got, err := axfr.Address(in); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
}
