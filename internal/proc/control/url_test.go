package control

import (
	"bytes"
	"log/slog"
	"testing"
)

func TestAMissingPublicURLIsToldWhereItIsNeeded(t *testing.T) {
	for _, tt := range []struct {
		says string
		c    Config
		want bool
	}{
		{"on loopback alone", Config{}, false},
		{"behind a proxy", Config{TrustedProxies: []string{"127.0.0.1/32"}}, true},
		{"behind a proxy on another machine", Config{UnsafePlainHTTP: true}, true},
		{"with a certificate", Config{TLSCert: "cert"}, true},
		{"behind a proxy, and it is given", Config{TrustedProxies: []string{"127.0.0.1/32"}, PublicURL: "https://dns.example.org"}, false},
	} {
		var log bytes.Buffer
		tt.c.tellNoURL(slog.New(slog.NewTextHandler(&log, nil)))
		if got := bytes.Contains(log.Bytes(), []byte("public-url is not set")); got != tt.want {
			t.Errorf("%s: %q", tt.says, &log)
		}
	}
}
