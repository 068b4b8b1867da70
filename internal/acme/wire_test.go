package acme

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	acmez "github.com/mholt/acmez/v3/acme"

	"signpost/internal/acme/pebbletest"
	"signpost/internal/model"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestWhenToComeBack(t *testing.T) {
	now := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		header string
		until  time.Time // zero: it does not say
		poll   string    // what the library is told, which fails when it cannot read it
	}{
		{"", time.Time{}, ""},
		{"0", now, ""},
		{"1", now.Add(time.Second), "1"},
		{"3600", now.Add(time.Hour), "30"},
		{"2147483647", now.Add(mostWait), "30"},
		{"99999999999999999999", time.Time{}, ""},
		{"-5", time.Time{}, ""},
		{"soon", time.Time{}, ""},
		{"Thu, 26 Nov 2026 10:00:05 GMT", now.Add(5 * time.Second), "5"},
		{"Thu, 26 Nov 2026 09:00:00 GMT", now.Add(-time.Hour), ""},
		{"Thu, 26 Nov 9926 10:00:00 GMT", now.Add(mostWait), "30"},
		{"2026-11-26T11:00:00Z", time.Time{}, ""},
	} {
		for _, status := range []int{http.StatusOK, http.StatusTooManyRequests} {
			w := &wire{least: pollTime, now: func() time.Time { return now }, next: roundTrip(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {tt.header}}, Body: io.NopCloser(strings.NewReader(""))}, nil
			})}
			req := must(http.NewRequest(http.MethodGet, "https://ca.example.org", nil))
			resp, err := w.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := resp.Header.Get("Retry-After"); got != tt.poll {
				t.Errorf("%q: the library is told %q, not %q", tt.header, got, tt.poll)
			}
			if back := w.comeBack(); !back.Equal(tt.until) {
				t.Errorf("%q with %d: to come back at %v, not %v", tt.header, status, back, tt.until)
			}
			wantStatus, want := 0, time.Time{}
			if status >= 400 {
				wantStatus, want = status, tt.until
			}
			if s, until := w.last(); s != wantStatus || !until.Equal(want) {
				t.Errorf("%q with %d: %d %v, not %v", tt.header, status, s, until, want)
			}
		}
	}
}

func TestWhyAProblemIs(t *testing.T) {
	for _, tt := range []struct {
		typ                   string
		status                int
		otherwise, validating Why
	}{
		{"rateLimited", 429, Limited, Limited},
		{"rateLimited", 503, Limited, Limited},
		{"", 429, Limited, Limited},
		{"serverInternal", 500, Unreachable, Unreachable},
		{"badNonce", 400, Unreachable, Unreachable},
		{"malformed", 502, Unreachable, Unreachable},
		{"dns", 400, Refused, NotSeen},
		{"unauthorized", 403, Refused, NotSeen},
		{"connection", 400, Refused, NotSeen},
		{"incorrectResponse", 403, Refused, NotSeen},
		{"", 0, Refused, NotSeen},
		{"caa", 403, Refused, Refused},
		{"rejectedIdentifier", 400, Refused, Refused},
		{"badCSR", 400, Refused, Refused},
		{"userActionRequired", 403, Refused, Refused},
		{"somethingNew", 400, Refused, Refused},
	} {
		p := acmez.Problem{Type: tt.typ, Status: tt.status}
		if tt.typ != "" {
			p.Type = acmez.ProblemTypeNamespace + tt.typ
		}
		if got := whyOf(p, false); got != tt.otherwise {
			t.Errorf("%s %d: %v, not %v", tt.typ, tt.status, got, tt.otherwise)
		}
		if got := whyOf(p, true); got != tt.validating {
			t.Errorf("%s %d while validating: %v, not %v", tt.typ, tt.status, got, tt.validating)
		}
	}
}

func TestWordsOfOthersArePrintable(t *testing.T) {
	if got := printable("a\nb\x1b[31m\tc\u202e\x00\xff"); got != "a b [31m c  �" {
		t.Errorf("%q", got)
	}
	for _, long := range []string{strings.Repeat("x", 10_000), strings.Repeat("ü", 10_000), strings.Repeat("語", 10_000)} {
		if got := printable(long); len(got) > mostDetail || len(got) < mostDetail-6 || !strings.HasSuffix(got, "…") {
			t.Errorf("%d octets of %.4s", len(got), got)
		}
	}
	p := acmez.Problem{Detail: "Error finalizing", Subproblems: []acmez.Subproblem{{Problem: acmez.Problem{Detail: "no"}, Identifier: acmez.Identifier{Value: "a.example.org"}}}}
	if got := detailOf(p); got != "Error finalizing; a.example.org: no" {
		t.Errorf("%q", got)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, nil))
	account := Account{Key: newKey(), URL: "https://ca.example.org/acct/1"}
	eab := EAB{KeyID: "kid", HMAC: "c2VjcmV0"}
	log.Info("x", "account", account, "eab", eab, "eab", &eab)
	if got := out.String() + fmt.Sprintf("%v %+v %v %+v", account, account, eab, &eab); strings.Contains(got, "c2VjcmV0") || strings.Contains(got, "0x") || strings.Contains(got, "ecdsa") {
		t.Error(got)
	}
}

func TestConfigurations(t *testing.T) {
	const dir = "https://ca.example.org/dir"
	for _, tt := range []struct {
		cfg  Config
		want string // within the error; "": it is fine
	}{
		{Config{Directory: dir}, ""},
		{Config{Directory: "http://127.0.0.1:14000/dir"}, ""},
		{Config{Directory: "http://[::1]:14000/dir"}, ""},
		{Config{Directory: "http://localhost:14000/dir"}, ""},
		{Config{Directory: dir, EAB: &EAB{"kid", "c2VjcmV0"}, Contact: []string{"mailto:a@example.org"}}, ""},
		{Config{Directory: dir, EAB: &EAB{"kid", "c2VjcmV0+/=="}}, ""},
		{Config{}, "no URL"},
		{Config{Directory: "ca.example.org"}, "no URL"},
		{Config{Directory: "ftp://ca.example.org"}, "no URL"},
		{Config{Directory: "http://ca.example.org/dir"}, "not https"},
		{Config{Directory: "http://localhost.example.org/dir"}, "not https"},
		{Config{Directory: dir, EAB: &EAB{"", "c2VjcmV0"}}, "key identifier is empty"},
		{Config{Directory: dir, EAB: &EAB{"kid", ""}}, "not base64url"},
		{Config{Directory: dir, EAB: &EAB{"kid", "!"}}, "not base64url"},
		{Config{Directory: dir, Contact: []string{"a@example.org"}}, "no mailto: URL"},
		{Config{Directory: dir, Contact: []string{"mailto:"}}, "no mailto: URL"},
		{Config{Directory: "x", Contact: []string{"y"}}, "no URL"},
		{Config{Directory: "x", Contact: []string{"y"}}, "no mailto: URL"},
	} {
		err := tt.cfg.Validate()
		switch {
		case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || model.KindOf(err) != model.Invalid):
			t.Errorf("%+v: %v, want %q", tt.cfg, err, tt.want)
		}
	}
}

// That a certificate is there counts for more than what else is said of it.
func TestRenewalThatIsNotSaid(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		why    Why
		want   string
	}{
		"trouble": {func(w http.ResponseWriter, _ *http.Request) {
			pebbletest.Refuse(w, http.StatusInternalServerError, "serverInternal", "oops")
		}, Unreachable, "oops"},
		"refusal": {func(w http.ResponseWriter, _ *http.Request) {
			pebbletest.Refuse(w, http.StatusNotFound, "malformed", "no such certificate")
		}, Refused, "no such certificate"},
		"a page":     {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) }, Unreachable, "HTTP 502"},
		"no window":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }, Unreachable, "no window"},
		"backwards":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, backwards) }, Unreachable, "no window"},
		"no JSON":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }, Unreachable, "invalid character"},
		"no address": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Unreachable, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t).register(t)
			w.Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
				if strings.HasPrefix(r.URL.Path, pebbletest.Renewal) {
					tt.answer(rw, r)
					return true
				}
				return false
			})
			got, err := w.ours.Obtain(within(t), w.account, request(t, keys.p256(), "www.vo.example.org", false), w.dns)
			if err != nil || !got.Renewal.From.IsZero() || !got.Renewal.To.IsZero() || len(got.Chain) == 0 {
				t.Errorf("%v to %v, %v", got.Renewal.From, got.Renewal.To, err)
			}
			if n := w.Count(pebbletest.Renewal); n > 2 { // net/http repeats a GET once when a kept connection ends
				t.Errorf("it was asked %d times, while somebody waits", n)
			}
			_, err = w.ours.Renewal(within(t), got.Chain)
			fails(t, err, tt.why, tt.want)
		})
	}
}

const backwards = `{"suggestedWindow":{"start":"2026-02-01T00:00:00Z","end":"2026-01-01T00:00:00Z"}}`

func TestRenewalOfWhatIsNoChain(t *testing.T) {
	a := New(Config{Directory: "https://ca.example.org/dir"})
	for _, chain := range []string{"", "x", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"} {
		if _, err := a.Renewal(t.Context(), []byte(chain)); model.KindOf(err) != model.Invalid {
			t.Errorf("%q: %v", chain, err)
		}
	}
}

// An authority may name times between looks that are no times, or none to wait.
func TestPollsAtAnyPace(t *testing.T) {
	t.Parallel()
	for _, pace := range []string{"0", "soon", "-1", "Thu, 26 Nov 2020 09:00:00 GMT"} {
		w := newWorld(t).register(t)
		w.ours.pollTime = pollTime
		w.Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
			rw.Header().Set("Retry-After", pace)
			return false
		})
		if err := w.obtain(t, "www.vo.example.org"); err != nil {
			t.Errorf("%q: %v", pace, err)
		}
		if n := w.Count(pebbletest.Authz); n > 4 {
			t.Errorf("%q: %d looks at one authorization", pace, n)
		}
	}
}

func TestAnAuthorityThatHangs(t *testing.T) {
	t.Parallel()
	w := newWorld(t).register(t)
	w.ours.orderTime = time.Second
	w.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, pebbletest.Tell) {
			<-r.Context().Done()
			return true
		}
		return false
	})
	fails(t, w.obtain(t, "www.vo.example.org"), Unreachable, "does not answer in time")
	w.dns.cleaned(t, 1)
}
