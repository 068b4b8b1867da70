// Package oidcprovider asks: can people log in at an OpenID provider that is not ours?
package oidcprovider

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"signpost/internal/access/oidc"
	"signpost/internal/login"
	"signpost/internal/proc/control"
	"signpost/internal/store/localetcd"
	pb "signpost/proto/signpost/v1"
)

var interop = flag.Bool("interop", false, "install the provider and log in there")

const npmPackage = "oidc-provider@9.13.3"

// TestPeopleLogInAtARealProvider: both flows and a refresh against npm's oidc-provider,
// whose access tokens are those of RFC 9068, with an audience.
func TestPeopleLogInAtARealProvider(t *testing.T) {
	if !*interop {
		t.Skip("it needs node and the network: make interop")
	}
	issuer := startProvider(t)
	service := startService(t, issuer)
	all, err := service.ListIssuers(t.Context(), &pb.ListIssuersRequest{})
	if err != nil || len(all.GetIssuers()) != 1 {
		t.Fatal(all, err)
	}
	i := all.GetIssuers()[0]
	at := login.Issuer{Name: i.GetName(), URL: i.GetUrl(), ClientID: i.GetClientId(), Scopes: i.GetScopes()}
	client := oidc.Client(nil)
	for name, flow := range map[string]func() (*oauth2.Token, error){
		"browser": func() (*oauth2.Token, error) {
			var opened sync.WaitGroup
			defer opened.Wait()
			return login.Browser(t.Context(), client, at, func(page string) { opened.Go(func() { newBrowser(t).open(page) }) })
		},
		"device": func() (*oauth2.Token, error) {
			return login.Device(t.Context(), client, at, func(_, _, complete string, _ time.Time) { newBrowser(t).enter(complete) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := flow()
			if err != nil {
				t.Fatal(err)
			}
			whoIs(t, service, token.AccessToken)
			l := &login.Login{Server: "http://127.0.0.1:1", Issuer: at}
			l.Take(token)
			l.Expiry = time.Now()
			keep := login.Keep{Dir: t.TempDir()}
			if err := keep.Put(l); err != nil {
				t.Fatal(err)
			}
			fresh, err := keep.Fresh(t.Context(), l, func() (*http.Client, error) { return client, nil })
			if err != nil || fresh == token.AccessToken {
				t.Fatalf("the token is not renewed: %v", err)
			}
			whoIs(t, service, fresh)
			if err := l.Revoke(t.Context(), client); err != nil {
				t.Error(err)
			}
			l.Expiry = time.Now()
			if err := keep.Put(l); err != nil {
				t.Fatal(err)
			}
			if _, err := keep.Fresh(t.Context(), l, func() (*http.Client, error) { return client, nil }); !errors.Is(err, login.ErrEnded) {
				t.Errorf("after it was revoked: %v", err)
			}
			id, _ := token.Extra("id_token").(string)
			if _, err := service.WhoAmI(bearer(t, id), &pb.WhoAmIRequest{}); id == "" || err == nil || !strings.Contains(err.Error(), "not right") {
				t.Errorf("the ID token: %v", err)
			}
		})
	}
}

func bearer(t *testing.T, token string) context.Context {
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
}

func whoIs(t *testing.T, service pb.ServerServiceClient, token string) {
	t.Helper()
	who, err := service.WhoAmI(bearer(t, token), &pb.WhoAmIRequest{})
	if err != nil || who.GetPrincipal() != "npm/alice" || strings.Join(who.GetGroups(), " ") != "group:npm/vo:role=member" {
		t.Errorf("%v %v", who, err)
	}
}

func startService(t *testing.T, issuer string) pb.ServerServiceClient {
	t.Helper()
	dir := t.TempDir()
	s, err := control.Start(t.Context(), control.Config{
		EtcdEndpoints: []string{localetcd.New(t).Endpoint()}, EtcdPrefix: "/signpost", HTTPListen: "127.0.0.1:0", AdminListen: "127.0.0.1:0",
		MasterKeyFile: filepath.Join(dir, "master.key"), AdminTokenFile: filepath.Join(dir, "admin.token"),
		Issuers: []oidc.Issuer{{
			Name: "npm", URL: issuer, Audiences: []string{"signpost-api"}, Scopes: []string{"dns"},
			Namespace: "urn:mace:example.org", Authorities: []string{"aai.example.org"},
			LoginClientID: "signpost", LoginScopes: []string{"openid", "offline_access", "dns"},
		}},
	}, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(strings.TrimPrefix(s.URL(), "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return pb.NewServerServiceClient(conn)
}

// startProvider installs the provider into a temporary place and runs it.
func startProvider(t *testing.T) (issuer string) {
	t.Helper()
	if why := needNode(); why != "" {
		t.Skip(why)
	}
	dir := t.TempDir()
	text, err := os.ReadFile("provider.mjs")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "provider.mjs"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	install := exec.CommandContext(t.Context(), "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", npmPackage)
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("npm install %s: %v\n%s", npmPackage, err, out)
	}
	ctx, cancel := context.WithCancel(context.Background())
	node := exec.CommandContext(ctx, "node", "provider.mjs")
	node.Dir, node.Stderr = dir, t.Output()
	out, err := node.StdoutPipe()
	if err == nil {
		err = node.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = node.Wait() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if issuer, ok := strings.CutPrefix(lines.Text(), "issuer "); ok {
			go io.Copy(io.Discard, out)
			return issuer
		}
	}
	t.Fatal("the provider ended")
	return ""
}

// needNode says why there is no node and npm; root installs them.
func needNode() string {
	missing := func() bool {
		_, err1 := exec.LookPath("node")
		_, err2 := exec.LookPath("npm")
		return err1 != nil || err2 != nil
	}
	if !missing() {
		return ""
	}
	if os.Geteuid() != 0 {
		return "there is no node or npm, and only root can install them: apt-get install nodejs npm"
	}
	cmd := exec.Command("apt-get", "install", "-y", "--no-install-recommends", "nodejs", "npm")
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil || missing() {
		return fmt.Sprintf("apt-get install nodejs npm: %v\n%s", err, out[max(0, len(out)-500):])
	}
	return ""
}

// browser is a person's: it keeps cookies, and sends the forms that pages consist of.
type browser struct {
	*http.Client
	t *testing.T
}

func newBrowser(t *testing.T) browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err)
	}
	return browser{&http.Client{Jar: jar, Timeout: 10 * time.Second}, t}
}

func (b browser) open(page string) {
	resp, err := b.Get(page)
	if err != nil || resp.StatusCode != http.StatusOK {
		b.t.Errorf("%s: %v %v", page, resp, err)
		return
	}
	resp.Body.Close()
}

var (
	action = regexp.MustCompile(`action="([^"]*)"`)
	field  = regexp.MustCompile(`name="(\w+)" value="([^"]*)"`)
)

// enter goes to where the code of a device is confirmed, and confirms it.
func (b browser) enter(page string) {
	resp, err := b.Get(page)
	for range 3 {
		if err != nil {
			b.t.Error(err)
			return
		}
		body, errRead := io.ReadAll(resp.Body)
		resp.Body.Close()
		to := action.FindStringSubmatch(string(body))
		if errRead != nil || to == nil {
			break
		}
		form := url.Values{}
		for _, f := range field.FindAllStringSubmatch(string(body), -1) {
			form.Set(f[1], f[2])
		}
		if !form.Has("abort") && strings.Contains(string(body), `name="abort"`) {
			form.Set("confirm", "yes")
		}
		form.Del("abort")
		resp, err = b.PostForm(to[1], form)
	}
}
