package main

import (
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"signpost/internal/access/oidc"
	"signpost/internal/access/oidc/oidctest"
	"signpost/internal/proc/control"
	"signpost/internal/store/localetcd"
)

// person is somebody at a terminal, with a configuration directory and a browser, and a
// service that takes the tokens of a provider.
type person struct {
	t        *testing.T
	provider *oidctest.Provider
	server   string
	admin    string // the file of the admin token
	dir      string
	env      map[string]string
	browse   func(page string) error
	onError  func(text string) // is told what is printed for the person to act on
}

func newPerson(t *testing.T) *person {
	t.Helper()
	p := &person{t: t, provider: oidctest.New(t), dir: filepath.Join(t.TempDir(), "config"), env: map[string]string{}}
	issuer := oidc.Issuer{
		Name: "egi", URL: p.provider.URL, AuthorizedParties: []string{oidctest.PublicClient}, LoginClientID: oidctest.PublicClient,
		LoginScopes: []string{"openid", "profile"}, EntitlementsFrom: "userinfo", Namespace: "urn:mace:egi.eu",
	}
	p.provider.Entitle("urn:mace:egi.eu:group:vo.example.org:role=member")
	p.server, p.admin = p.serve(issuer)
	return p
}

func (p *person) serve(issuers ...oidc.Issuer) (url, adminToken string) {
	p.t.Helper()
	dir := p.t.TempDir()
	adminToken = filepath.Join(dir, "admin.token")
	s, err := control.Start(p.t.Context(), control.Config{
		EtcdEndpoints: []string{localetcd.New(p.t).Endpoint()}, EtcdPrefix: "/signpost",
		HTTPListen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", LogLevel: "error", Issuers: issuers,
		MasterKeyFile: filepath.Join(dir, "master.key"), AdminTokenFile: adminToken,
	}, slog.New(slog.DiscardHandler))
	check(p.t, err)
	p.t.Cleanup(func() { check(p.t, s.Close()) })
	return s.URL(), adminToken
}

// lookedAt is standard error that somebody looks at while it is written.
type lookedAt struct {
	mu   sync.Mutex
	text strings.Builder
	at   func(text string)
}

func (l *lookedAt) Write(b []byte) (int, error) {
	l.mu.Lock()
	l.text.Write(b)
	l.mu.Unlock()
	if l.at != nil {
		l.at(string(b))
	}
	return len(b), nil
}

func (p *person) says(args ...string) (code int, out, errOut string) {
	p.t.Helper()
	var o strings.Builder
	e := &lookedAt{at: p.onError}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	code = run(ctx, &cli{
		in: strings.NewReader(""), out: &o, errOut: e, getenv: func(k string) string { return p.env[k] },
		configDir: func() (string, error) { return p.dir, nil }, browse: p.browse,
	}, args)
	return code, o.String(), e.text.String()
}

func (p *person) wants(code int, text string, args ...string) {
	p.t.Helper()
	got, out, errOut := p.says(args...)
	if got != code || !strings.Contains(out+errOut, text) {
		p.t.Errorf("signpost %s: %d, want %d and %q:\n%s%s", strings.Join(args, " "), got, code, text, out, errOut)
	}
}

var userCode = regexp.MustCompile(`with the code\n  (\S+)\n`)

// enters answers the code that is shown.
func (p *person) enters(yes bool) {
	p.onError = func(text string) {
		if m := userCode.FindStringSubmatch(text); m != nil && !p.provider.Decide(m[1], yes) {
			p.t.Errorf("there is no code %s", m[1])
		}
	}
}

// clicks is a browser whose person is logged in already.
func (p *person) clicks(page string) error {
	resp, err := http.Get(page)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != 200 || !strings.Contains(string(body), "You may close this page")) {
		p.t.Errorf("the browser shows %s %s", resp.Status, body)
	}
	return err
}

const principal = "egi/" + oidctest.Subject

func TestLoginWithACodeOnAnotherDevice(t *testing.T) {
	p := newPerson(t)
	p.enters(true)
	p.wants(done, "Logged in to "+p.server+" as "+principal, "login", "--server", p.server)
	// Nothing need be exported, and the service of the login is the default.
	p.wants(done, principal+" (user)\n  in     group:egi/vo.example.org:role=member\n  until  20", "whoami")
	code, out, _ := p.says("whoami", "-o", "json")
	var who struct {
		Principal, ExpireTime string
		Groups                []string
	}
	if err := json.Unmarshal([]byte(out), &who); err != nil || code != done || who.Principal != principal || who.ExpireTime == "" ||
		len(who.Groups) != 1 || who.Groups[0] != "group:egi/vo.example.org:role=member" {
		t.Errorf("%d %s", code, out)
	}
	p.private()
	// A token of the environment goes before it, and then to its own service.
	p.env["SIGNPOST_TOKEN_FILE"] = p.admin
	p.wants(done, "(admin)", "whoami", "--server", p.server)
	p.wants(failed, "cannot reach http://127.0.0.1:", "whoami", "--server", "http://127.0.0.1:1")
	delete(p.env, "SIGNPOST_TOKEN_FILE")
	p.wants(done, "Logged out of "+p.server, "logout")
	p.wants(failed, "you are not logged in", "logout")
	p.wants(done, "nobody", "whoami", "--server", p.server)
	if raw, err := os.ReadFile(filepath.Join(p.dir, "signpost", "login.json")); err != nil || strings.Contains(string(raw), "token") {
		t.Errorf("after logout there is still %s", raw)
	}
}

// private checks that nobody else can read what is kept.
func (p *person) private() {
	p.t.Helper()
	check(p.t, filepath.WalkDir(filepath.Join(p.dir, "signpost"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		i, err := d.Info()
		if want := map[bool]fs.FileMode{true: 0o700, false: 0o600}[d.IsDir()]; err == nil && i.Mode().Perm() != want && d.Name() != "login.lock" {
			p.t.Errorf("%s has mode %s", path, i.Mode())
		}
		return err
	}))
}

func TestLoginWithABrowser(t *testing.T) {
	p := newPerson(t)
	p.env["DISPLAY"] = ":0"
	p.browse = p.clicks
	p.wants(done, "Logged in to "+p.server+" as "+principal, "login", "--server", p.server, "--issuer", "egi")
	p.wants(done, principal, "whoami")
	p.private()

	// Whoever else comes to the port has not our state, and changes nothing.
	p.browse = func(page string) error {
		back := regexp.MustCompile(`redirect_uri=([^&]+)`).FindStringSubmatch(page)[1]
		back = strings.NewReplacer("%3A", ":", "%2F", "/").Replace(back)
		for _, q := range []string{"?code=x&state=y", "?code=x", "?error=access_denied&state=", "/more"} {
			resp, err := http.Get(back + q)
			check(t, err)
			resp.Body.Close()
			if resp.StatusCode < 400 {
				t.Errorf("%s: %s", q, resp.Status)
			}
		}
		return p.clicks(page)
	}
	p.wants(done, principal, "login", "--browser")
	// A provider that refuses, one that is another, and one that does not say who it is.
	own := "&iss=" + p.provider.URL
	for answer, want := range map[string]string{
		"error=access_denied" + own: "the login was refused there", "iss=https://evil.example&code=x": "it was https://evil.example that answered",
		"code=wrong" + own: "invalid_grant", own: "no code", "code=x": "does not say whose it is", "error=access_denied": "does not say whose it is",
	} {
		p.browse = func(page string) error {
			back := regexp.MustCompile(`redirect_uri=([^&]+)`).FindStringSubmatch(page)[1]
			back = strings.NewReplacer("%3A", ":", "%2F", "/").Replace(back)
			resp, err := http.Get(back + "?state=" + regexp.MustCompile(`state=([^&]+)`).FindStringSubmatch(page)[1] + "&" + answer)
			if err == nil {
				resp.Body.Close()
			}
			return err
		}
		p.wants(failed, want, "login", "--browser")
	}
	p.wants(done, principal, "whoami") // what was kept is kept
}

func TestLoginsThatDoNotWork(t *testing.T) {
	p := newPerson(t)
	p.wants(misuse, "in the clear", "login", "--server", "http://dns.example.org")
	p.wants(misuse, "give one with --issuer: egi", "login", "--server", p.server, "--issuer", "google")
	p.wants(misuse, "device browser", "login", "--server", p.server, "--device", "--browser")
	p.enters(false)
	p.wants(failed, "the login was refused there", "login", "--server", p.server)
	p.provider.WithoutDevices()
	p.wants(failed, "try --browser", "login", "--server", p.server)
	none, _ := p.serve()
	p.wants(failed, "people cannot log in to this service", "login", "--server", none)
	p.provider.Down(true)
	p.wants(failed, "ask the issuer "+p.provider.URL, "login", "--server", p.server)
	// A provider that the service does not trust in this form.
	other := oidctest.New(t)
	strict, _ := p.serve(oidc.Issuer{Name: "x", URL: other.URL, Audiences: []string{"api"}, LoginClientID: oidctest.PublicClient})
	p.provider = other
	p.enters(true)
	p.wants(failed, "the credential is not right", "login", "--server", strict)
	p.wants(failed, "you are not logged in", "logout")
}

func TestALoginIsRenewedByOneCommandAtATime(t *testing.T) {
	p := newPerson(t)
	p.provider.Lifetime = 30 * time.Second // always about to end
	p.enters(true)
	p.wants(done, principal, "login", "--server", p.server)
	p.provider.Lifetime = time.Hour
	const tokens = "/protocol/openid-connect/token"
	before := p.provider.Calls(tokens)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() { p.wants(done, principal, "whoami") })
	}
	all.Wait()
	if n := p.provider.Calls(tokens) - before; n != 1 {
		t.Errorf("it was renewed %d times", n)
	}
	p.private()
}

func TestALoginEndsWhenTheProviderSaysSo(t *testing.T) {
	p := newPerson(t)
	p.provider.Lifetime = 30 * time.Second
	p.enters(true)
	p.wants(done, principal, "login", "--server", p.server)
	p.provider.Down(true)
	p.wants(done, principal, "whoami") // the token is good for a moment, and the service knows it
	p.provider.Down(false)
	p.provider.Forget()
	p.wants(failed, "log in again with signpost login", "whoami")
}

// A stream that ends with its token goes on with the next one, if there will be one and
// the last one was taken.
func TestOnlyTheTokenOfALoginIsWorthAnotherStream(t *testing.T) {
	ended := status.Error(codes.Unauthenticated, "authenticate: the token has expired; log in again")
	for name, c := range map[string]struct {
		f    follower
		err  error
		want bool
	}{
		"login":           {follower{service: &service{renews: true}}, ended, true},
		"other token":     {follower{service: &service{}}, ended, false},
		"refused at once": {follower{service: &service{renews: true}, pause: resumePause}, ended, false},
		"another reason":  {follower{service: &service{renews: true}}, status.Error(codes.PermissionDenied, ""), false},
	} {
		if got := c.f.tokenEnded(c.err); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
