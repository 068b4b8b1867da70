package main

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestTTLs(t *testing.T) {
	for text, want := range map[string]uint32{
		"0": 0, "60": 60, "60s": 60, "5m": 300, "1h30m": 5400, "1d": 86400, "2147483647": 2147483647,
	} {
		if got, err := parseSpan(text); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "-1s", "1.5s", "500ms", "x", "2147483648", "24856d", "4294967296", "d", "1 d"} {
		if got, err := parseSpan(text); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
	for want, seconds := range map[string]uint32{"0s": 0, "5s": 5, "90s": 90, "1m": 60, "5m": 300, "90m": 5400, "1h": 3600, "1d": 86400} {
		if got := span(seconds); got != want {
			t.Errorf("%d: %s, want %s", seconds, got, want)
		} else if back, err := parseSpan(got); err != nil || back != seconds {
			t.Errorf("%s is read back as %d, %v", got, back, err)
		}
	}
}

func TestNoTokenGoesInTheClearExceptToLoopback(t *testing.T) {
	for server, ok := range map[string]bool{
		"http://127.0.0.1:1": true, "http://[::1]:1": true, "http://localhost:1": true, "https://192.0.2.1": true,
		"http://192.0.2.1": false, "http://dns.example.org": false, "http://localhost.example.org": false, "http://127.0.0.1.example.org": false,
	} {
		c := &cli{server: server, getenv: func(name string) string {
			if name == "SIGNPOST_TOKEN" {
				return "secret"
			}
			return ""
		}}
		s, err := c.dial()
		if (err == nil) != ok {
			t.Errorf("%s: %v", server, err)
		}
		if err == nil {
			s.close()
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the token is shown: %v", err)
		}
	}
}

func TestPlainTextBecomesTXTData(t *testing.T) {
	long := strings.Repeat("a", 300)
	for text, want := range map[string]string{
		"":                 `""`,
		"v=spf1 -all":      `"v=spf1 -all"`,
		"a;b":              `"a;b"`,
		`a\b`:              `"a\\b"`,
		`"a" "b"`:          `"a" "b"`,
		`"already quoted"`: `"already quoted"`,
		long:               `"` + long[:255] + `" "` + long[255:] + `"`,
	} {
		if got := quoteTXT(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestNameServersOfANewZone(t *testing.T) {
	got, err := nameServers([]string{"ns1.x.test=192.0.2.1,2001:db8::1", "ns.example.org"})
	if err != nil || len(got) != 2 || got[0].GetName() != "ns1.x.test" || len(got[0].GetAddresses()) != 2 || len(got[1].GetAddresses()) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range [][]string{nil, {""}, {"=192.0.2.1"}, {"ns1.x.test="}} {
		if got, err := nameServers(bad); err == nil {
			t.Errorf("%q are taken for %v", bad, got)
		}
	}
}

func TestErrorsAreOneLineWithAdvice(t *testing.T) {
	mute, spoke := &service{url: "http://x"}, &service{url: "http://x", answered: true}
	for _, tt := range []struct {
		s    *service
		code codes.Code
		text string
		want string
	}{
		{mute, codes.Unavailable, `connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused"`,
			"host show h: cannot reach http://x: dial tcp 127.0.0.1:1: connect: connection refused; is it running? say where it is with --server or SIGNPOST_SERVER"},
		{mute, codes.Unavailable, `connection error: desc = "transport: authentication handshake failed: tls: failed to verify certificate: x509: certificate signed by unknown authority"`,
			"host show h: cannot reach http://x: tls: failed to verify certificate: x509: certificate signed by unknown authority; give its authority's certificate with --ca or SIGNPOST_CA_FILE"},
		{mute, codes.DeadlineExceeded, "context deadline exceeded",
			"host show h: no answer from http://x in time; it may be done all the same, look before you try again"},
		{spoke, codes.NotFound, "find host h: there is no such host", "find host h: there is no such host"},
		{spoke, codes.Unavailable, "change: etcd did not answer in time; try again", "change: etcd did not answer in time; try again"},
		{spoke, codes.Unimplemented, "unknown service", "host show h: http://x does not know this call; is it an older Signpost, or something else?"},
		{spoke, codes.Unauthenticated, "authenticate: no", "authenticate: no; run signpost login, or set SIGNPOST_TOKEN or SIGNPOST_TOKEN_FILE"},
	} {
		if got := tt.s.inWords("host show h", status.Error(tt.code, tt.text)).Error(); got != tt.want {
			t.Errorf("%s %s:\n got %s\nwant %s", tt.code, tt.text, got, tt.want)
		}
	}
}

func TestTextOfOthersCannotMoveTheCursor(t *testing.T) {
	var b strings.Builder
	if err := table(&b, [][]string{{"A", "B"}, {"x\x1b[2J\ty", "z\nw"}, {"é", "\u202egpj.exe"}}); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), "A        B\nx?[2J?y  z?w\né        ?gpj.exe\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
