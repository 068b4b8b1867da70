package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"signpost/internal/access/oidc"
	"signpost/internal/access/oidc/oidctest"
	"signpost/internal/proc/control"
	"signpost/test/proctest"
)

// TestCutoverScripts runs testdata/cutover/*.txtar as TestScripts does its own, against
// another control service on the same etcd, which takes the tokens of a provider ($ISSUER).
// The words beside those of TestScripts are
//
//	get WHO PATH REGEXP   the service answers this to WHO: FQDN:SECRET, or the provider's
//	                      word for somebody; the answer is "STATUS BODY"
func TestCutoverScripts(t *testing.T) {
	bin := filepath.Dir(proctest.Bin(t, "signpost"))
	provider := oidctest.New(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/cutover",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			if err := start(env, nil); err != nil {
				return err
			}
			return withIssuer(env, provider)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"answers": answers, "keep": keep, "get": func(ts *testscript.TestScript, neg bool, args []string) { get(ts, provider, neg, args) },
		},
	})
}

// withIssuer starts the other control service.
func withIssuer(env *testscript.Env, provider *oidctest.Provider) error {
	d := env.Values[devKey{}].(*running)
	dir := filepath.Dir(d.Addresses.AdminTokenFile)
	s, err := control.Start(context.Background(), control.Config{
		EtcdEndpoints: []string{d.Addresses.Etcd}, EtcdPrefix: "/signpost", HTTPListen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", LogLevel: "error",
		MasterKeyFile: filepath.Join(dir, "master.key"), AdminTokenFile: filepath.Join(dir, "admin.token"), NameServers: d.Addresses.DNS,
		Issuers: []oidc.Issuer{{
			Name: "egi", URL: provider.URL, AuthorizedParties: []string{oidctest.PublicClient}, LoginClientID: oidctest.PublicClient,
			Namespace: "urn:mace:egi.eu", Authorities: []string{"aai.egi.eu"},
		}},
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	env.Defer(func() {
		if err := s.Close(); err != nil {
			env.T().Log(err)
		}
	})
	env.Setenv("SIGNPOST_SERVER", s.URL())
	env.Setenv("ISSUER", provider.URL)
	return nil
}

func get(ts *testscript.TestScript, provider *oidctest.Provider, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: get WHO PATH REGEXP")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ts.Getenv("SIGNPOST_SERVER")+args[1], nil)
	ts.Check(err)
	if host, secret, ok := strings.Cut(args[0], ":"); ok {
		req.SetBasicAuth(host, secret)
	} else {
		req.Header.Set("Authorization", "Bearer "+provider.Token(map[string]any{
			"sub": args[0], "entitlements": []string{"urn:mace:egi.eu:group:vo.example.org:role=member#aai.egi.eu"},
		}))
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close() // it was only read
	ts.Check(err)
	answer := fmt.Sprintf("%d %s", resp.StatusCode, body)
	re, err := regexp.Compile(args[2])
	ts.Check(err)
	if re.MatchString(answer) == neg {
		ts.Fatalf("%s is answered %s", args[1], answer)
	}
}
