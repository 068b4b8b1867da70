package monitor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"signpost/internal/model"
)

func load(t *testing.T, file string, env map[string]string, args ...string) (Config, error) {
	t.Helper()
	for k, v := range env {
		t.Setenv(k, v)
	}
	f := pflag.NewFlagSet("monitor", pflag.ContinueOnError)
	Flags(f)
	if err := f.Parse(args); err != nil {
		return Config{}, err
	}
	path := ""
	if file != "" {
		path = filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return LoadConfig(path, f)
}

func TestSettings(t *testing.T) {
	for _, tt := range []struct {
		name string
		file string
		env  map[string]string
		args []string
		want func(*Config)
	}{
		{"the site alone", "", nil, []string{"--site=north"}, func(*Config) {}},
		{"file", "site: north\nallow: [example.org=10.0.0.0/8, '*=127.0.0.0/8']\nown-addresses: [192.0.2.0/28]\n", nil, nil, func(c *Config) {
			c.Allow, c.Own = []string{"example.org=10.0.0.0/8", "*=127.0.0.0/8"}, []string{"192.0.2.0/28"}
		}},
		{"environment over file", "site: south\nlog-level: warn\n", map[string]string{"SIGNPOST_SITE": "north", "SIGNPOST_TOKEN": "x"}, nil, func(c *Config) { c.LogLevel = "warn" }},
		{"all flags", "site: south\n", nil, []string{
			"--site=north", "--admin-listen=127.0.0.1:1", "--log-level=debug", "--etcd-endpoints=https://a:1", "--etcd-prefix=/p", "--etcd-cert=c",
			"--etcd-key=k", "--etcd-ca=ca", "--etcd-user=u", "--etcd-password-file=pw",
		}, func(c *Config) {
			*c = Config{Site: "north", AdminListen: "127.0.0.1:1", LogLevel: "debug", EtcdEndpoints: []string{"https://a:1"}, EtcdPrefix: "/p",
				EtcdCert: "c", EtcdKey: "k", EtcdCA: "ca", EtcdUser: "u", EtcdPasswordFile: "pw"}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := Config{Site: "north", AdminListen: "127.0.0.1:8082", LogLevel: "info", EtcdEndpoints: []string{"http://127.0.0.1:2379"}, EtcdPrefix: "/signpost"}
			tt.want(&want)
			got, err := load(t, tt.file, tt.env, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBadSettingsAreNamed(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		env        map[string]string
		args       []string
		want       string
	}{
		{"no site", "", nil, nil, "site"},
		{"no name of a site", "", nil, []string{"--site=North"}, "site"},
		{"unknown in the file", "site: north\nalow: []\n", nil, nil, "alow"},
		{"unknown in the environment", "", map[string]string{"SIGNPOST_MASTER_KEY_FILE": "x"}, []string{"--site=north"}, "SIGNPOST_MASTER_KEY_FILE"},
		{"allowed in the environment", "", map[string]string{"SIGNPOST_ALLOW": "example.org=10.0.0.0/8"}, []string{"--site=north"}, "SIGNPOST_ALLOW"},
		{"allowed as a map", "site: north\nallow: {example.org: 10.0.0.0/8}\n", nil, nil, "allow"},
		{"allowed without a zone", "site: north\nallow: [10.0.0.0/8]\n", nil, nil, "allow"},
		{"no prefix", "site: north\nown-addresses: [ten]\n", nil, nil, "own-addresses"},
		{"no address to listen on", "", nil, []string{"--site=north", "--admin-listen=8082"}, "admin-listen"},
		{"no level", "", nil, []string{"--site=north", "--log-level=loud"}, "log-level"},
		{"half a pair", "", nil, []string{"--site=north", "--etcd-cert=c"}, "etcd-cert"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, tt.file, tt.env, tt.args...)
			if model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, wanted Invalid with %s", err, tt.want)
			}
		})
	}
	if _, err := load(t, "", nil, "--site=north", "--allow=example.org=10.0.0.0/8"); err == nil {
		t.Error("a flag opens a network to checks")
	}
}
