package main

import (
	"context"
	"crypto/sha1"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var cutoverHosts = flag.Int("cutover-hosts", 1500, "hosts in the large dump that is imported")

// aDump writes a dump and its zone, of n hosts of a hundred people; the secret of host hI is
// secretI.
func aDump(t *testing.T, n int) (dump, zone string) {
	t.Helper()
	type object map[string]any
	objects := []object{{"model": "main.domain", "pk": 1, "fields": object{"name": "dyn.example.org", "public": true, "created_by": 1}}}
	for u := 1; u <= 100; u++ {
		objects = append(objects, object{"model": "social_django.usersocialauth", "pk": u, "fields": object{"user": u, "provider": "egi", "uid": fmt.Sprintf("u%d@egi.eu", u)}})
	}
	var b strings.Builder
	b.WriteString("$ORIGIN dyn.example.org.\n$TTL 60\n@ SOA ns.example.net. root.example.net. 1 7200 900 1209600 30\n@ NS ns.example.net.\n")
	for i := range n {
		salt := fmt.Sprintf("salt%018d", i)
		objects = append(objects, object{"model": "main.host", "pk": i + 1, "fields": object{
			"name": fmt.Sprintf("h%d", i), "domain": 1, "wildcard": i%10 == 0, "comment": "host", "created_by": i%100 + 1,
			"update_secret": fmt.Sprintf("sha1$%s$%x", salt, sha1.Sum(fmt.Appendf(nil, "%ssecret%d", salt, i))),
		}})
		fmt.Fprintf(&b, "h%d A 10.%d.%d.%d\n", i, i>>16, i>>8&255, i&255)
		if i%10 == 0 {
			fmt.Fprintf(&b, "*.h%d A 10.%d.%d.%d\n", i, i>>16, i>>8&255, i&255)
		}
	}
	raw, err := json.Marshal(objects)
	check(t, err)
	dir := t.TempDir()
	dump, zone = filepath.Join(dir, "dump.json"), filepath.Join(dir, "zone")
	check(t, os.WriteFile(dump, raw, 0o600))
	check(t, os.WriteFile(zone, []byte(b.String()), 0o600))
	return dump, zone
}

// A large dump is imported in small transactions while clients go on; interrupted, it goes
// on where it was; and no update of a client is lost to it, however often it is repeated.
func TestALargeDumpIsInterruptedAndGoesOn(t *testing.T) {
	p := newPerson(t)
	p.env["SIGNPOST_SERVER"], p.env["SIGNPOST_TOKEN_FILE"] = p.server, p.admin
	n := *cutoverHosts
	dump, zone := aDump(t, n)
	run := func(ctx context.Context) (int, string) {
		var out, errOut strings.Builder
		code := run(ctx, &cli{in: strings.NewReader(""), out: &out, errOut: &errOut, getenv: func(k string) string { return p.env[k] },
			configDir: func() (string, error) { return p.dir, nil }}, []string{"import", "nsupdate", dump, "--zone-file", "dyn.example.org=" + zone, "--issuer", "egi=" + p.provider.URL, "--apply"})
		return code, out.String() + errOut.String()
	}
	update := func(i int, addr string) (string, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.server+"/nic/update?myip="+addr, nil)
		if err != nil {
			return "", err
		}
		req.SetBasicAuth(fmt.Sprintf("h%d.dyn.example.org", i), fmt.Sprintf("secret%d", i))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		var word, what string
		_, _ = fmt.Fscan(resp.Body, &word, &what)
		return word, nil
	}
	token, err := os.ReadFile(p.admin)
	check(t, err)
	there := func(fqdn string) bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.server+"/v1/hosts/"+fqdn, nil)
		if err != nil {
			return false
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	// It is interrupted when the host in the middle is there.
	ctx, interrupt := context.WithCancel(t.Context())
	var stopped atomic.Bool
	var watching sync.WaitGroup
	watching.Go(func() {
		for !stopped.Load() {
			if there(fmt.Sprintf("h%d.dyn.example.org", n/2)) {
				interrupt()
				return
			}
		}
	})
	code, text := run(ctx)
	stopped.Store(true)
	watching.Wait()
	if code == 0 || !strings.Contains(text, "give the same command again") {
		t.Fatalf("it was not interrupted: %d\n%.2000s", code, text)
	}
	// While it goes on clients do, too.
	stopped.Store(false)
	updated := map[int]string{}
	watching.Go(func() {
		for k := 0; !stopped.Load(); k++ {
			i, addr := k*37%n, fmt.Sprintf("192.0.2.%d", k%200+1)
			if word, err := update(i, addr); err == nil && (word == "good" || word == "nochg") {
				updated[i] = addr
			}
		}
	})
	began := time.Now()
	code, text = run(t.Context())
	took := time.Since(began)
	stopped.Store(true)
	watching.Wait()
	if code != 0 || !strings.Contains(text, "hosts in the dump: "+fmt.Sprint(n)) {
		t.Fatalf("%d\n%.2000s", code, text)
	}
	began = time.Now()
	code, again := run(t.Context())
	t.Logf("%d hosts: the second part took %s, again with nothing to do %s; %d updates meanwhile\n%s", n, took, time.Since(began), len(updated), again)
	if code != 0 || !strings.Contains(again, "0 created, 0 changed, ") {
		t.Fatalf("%d\n%.2000s", code, again)
	}
	for i, addr := range updated {
		if word, err := update(i, addr); err != nil || word != "nochg" {
			t.Errorf("h%d: %s lost its address %s (%v)", i, word, addr, err)
		}
	}
	for i := range n {
		if updated[i] != "" {
			continue
		}
		if word, err := update(i, fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)); err != nil || word != "nochg" {
			t.Fatalf("h%d: %s, %v", i, word, err)
		}
	}
}
