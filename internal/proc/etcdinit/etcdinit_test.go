package etcdinit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/store/localetcd"
	"signpost/internal/store/rights"
)

func parse(t *testing.T, args ...string) (Options, error) {
	t.Helper()
	f := pflag.NewFlagSet("etcd-init", pflag.ContinueOnError)
	Flags(f)
	if err := f.Parse(args); err != nil {
		t.Fatal(err)
	}
	return Parse(f)
}

func TestFlags(t *testing.T) {
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	plain := Options{
		Etcd:  store.Config{Endpoints: []string{"http://127.0.0.1:2379"}, Prefix: "/signpost"},
		Users: rights.Options{Prefix: "/signpost", DNS: []string{"signpost-dns"}, Control: []string{"signpost-control"}, Monitors: map[string]string{}},
	}
	all := Options{
		Etcd: store.Config{Endpoints: []string{"http://a:1", "http://b:1"}, Prefix: "/p", User: "root", Password: "secret"},
		Users: rights.Options{
			Prefix: "/p", DNS: []string{"d1", "d2"}, Control: []string{"c"}, Monitors: map[string]string{"north": "signpost-monitor-north", "south": "m"},
		},
		PasswordDir: "dir", EnableAuth: true, DryRun: true,
	}
	for _, c := range []struct {
		args []string
		want Options
	}{
		{nil, plain},
		{[]string{"--etcd-endpoints=http://a:1,http://b:1", "--etcd-prefix=/p", "--etcd-user=root", "--etcd-password-file", password,
			"--dns-user=d1,d2", "--control-user=c", "--site=north", "--site=south=m", "--password-dir=dir", "--enable-auth", "--dry-run"}, all},
	} {
		got, err := parse(t, c.args...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(store.Config{}, "TLS", "Log", "PasswordNow")); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.args, diff)
		}
	}
	for why, args := range map[string][]string{
		"given twice":   {"--site=a,a=b"},
		"etcd-password": {"--etcd-user=root"},
		"etcd-key":      {"--etcd-cert=x"},
		"no such file":  {"--etcd-cert=/none", "--etcd-key=/none"},
	} {
		if _, err := parse(t, args...); model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// Without certificates users have passwords, which are made and kept.
func TestPasswordsAreMadeAndUsed(t *testing.T) {
	etcd, dir := localetcd.New(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "signpost-control.password"), []byte("mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		o, err := parse(t, append([]string{"--etcd-endpoints", etcd.Endpoint(), "--password-dir", dir}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := Run(t.Context(), o, &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	run("--dry-run")
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("a dry run made files: %v, %v", files, err)
	}
	run("--enable-auth")
	info, err := os.Stat(filepath.Join(dir, "root.password"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if out := run("--site=north", "--etcd-user=root", "--etcd-password-file", filepath.Join(dir, "root.password")); !strings.Contains(out, "make user signpost-monitor-north, with a password") {
		t.Errorf("once more: %s", out)
	}
	for user, text := range map[string]string{"signpost-control": "mine", "signpost-dns": read(t, dir, "signpost-dns"), "signpost-monitor-north": read(t, dir, "signpost-monitor-north")} {
		client, err := store.Dial(store.Config{Endpoints: []string{etcd.Endpoint()}, User: user, Password: text})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Get(t.Context(), "/signpost/v1/dns/rev/all"); err != nil {
			t.Errorf("%s: %v", user, err)
		}
		client.Close()
	}
}

func read(t *testing.T, dir, user string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, user+".password"))
	if err != nil || len(strings.TrimSpace(string(raw))) < 26 {
		t.Errorf("the password of %s: %q, %v", user, raw, err)
	}
	return strings.TrimSpace(string(raw))
}
