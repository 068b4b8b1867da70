package control

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

func load(t *testing.T, file string, env map[string]string, args ...string) (Config, error) {
	t.Helper()
	for k, v := range env {
		t.Setenv(k, v)
	}
	f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	Flags(f)
	if err := f.Parse(args); err != nil {
		t.Fatal(err)
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

func defaults() Config {
	return Config{
		EtcdEndpoints: []string{"http://127.0.0.1:2379"}, EtcdPrefix: "/signpost", HTTPListen: "127.0.0.1:8080",
		TrustedProxies: []string{}, AdminListen: "127.0.0.1:8081", NameServers: []string{},
		MasterKeyFile: "master.key", AdminTokenFile: "admin.token", LogLevel: "info",
	}
}

func TestSettings(t *testing.T) {
	tests := []struct {
		name string
		file string
		env  map[string]string
		args []string
		want func(*Config)
	}{
		{"defaults", "", nil, nil, func(*Config) {}},
		{"file", "http-listen: 127.0.0.1:1\nname-servers: [a:53, b:53]\n", nil, nil,
			func(c *Config) { c.HTTPListen, c.NameServers = "127.0.0.1:1", []string{"a:53", "b:53"} }},
		{"environment over file", "http-listen: 127.0.0.1:1\n", map[string]string{"SIGNPOST_HTTP_LISTEN": "127.0.0.1:2", "SIGNPOST_ETCD_ENDPOINTS": "http://a:1,http://b:1"}, nil,
			func(c *Config) { c.HTTPListen, c.EtcdEndpoints = "127.0.0.1:2", []string{"http://a:1", "http://b:1"} }},
		{"flag over environment", "", map[string]string{"SIGNPOST_HTTP_LISTEN": "127.0.0.1:2"}, []string{"--http-listen", "127.0.0.1:3"},
			func(c *Config) { c.HTTPListen = "127.0.0.1:3" }},
		{"all flags", "", nil, []string{
			"--etcd-endpoints=https://a:1", "--etcd-prefix=/p", "--etcd-cert=c", "--etcd-key=k", "--etcd-ca=ca", "--etcd-user=u", "--etcd-password-file=pw",
			"--http-listen=127.0.0.1:1", "--tls-cert=tc", "--tls-key=tk", "--trusted-proxies=192.0.2.0/24,2001:db8::1", "--admin-listen=127.0.0.1:2",
			"--name-servers=127.0.0.1:53", "--master-key-file=m", "--admin-token-file=a", "--log-level=debug",
		}, func(c *Config) {
			*c = Config{
				EtcdEndpoints: []string{"https://a:1"}, EtcdPrefix: "/p", EtcdCert: "c", EtcdKey: "k", EtcdCA: "ca", EtcdUser: "u", EtcdPasswordFile: "pw",
				HTTPListen: "127.0.0.1:1", TLSCert: "tc", TLSKey: "tk", TrustedProxies: []string{"192.0.2.0/24", "2001:db8::1"}, AdminListen: "127.0.0.1:2",
				NameServers: []string{"127.0.0.1:53"}, MasterKeyFile: "m", AdminTokenFile: "a", LogLevel: "debug",
			}
		}},
		{"variables of the command line are not ours", "", map[string]string{"SIGNPOST_TOKEN": "x", "SIGNPOST_SERVER": "y"}, nil, func(*Config) {}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := load(t, tt.file, tt.env, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			want := defaults()
			tt.want(&want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBadSettingsAreNamed(t *testing.T) {
	tests := []struct {
		name string
		file string
		env  map[string]string
		args []string
		want []string
	}{
		{"unknown in the file", "http-lisen: x\n", nil, nil, []string{"http-lisen", "no such setting"}},
		{"unknown in the environment", "", map[string]string{"SIGNPOST_HTTP_LISEN": "x"}, nil, []string{"SIGNPOST_HTTP_LISEN"}},
		{"all at once", "", nil, []string{"--http-listen=8080", "--tls-cert=x", "--log-level=loud", "--trusted-proxies=proxy", "--etcd-prefix=p"},
			[]string{"http-listen", "tls-cert", "log-level", "proxy", "etcd-prefix"}},
		{"ports that are none", "", nil, []string{"--name-servers=127.0.0.1:99999,127.0.0.1:0"}, []string{"127.0.0.1:99999", "127.0.0.1:0"}},
		{"user without password", "", nil, []string{"--etcd-user=u"}, []string{"etcd-user", "etcd-password-file"}},
		{"no YAML", "- a\n", nil, nil, []string{"config.yaml"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, tt.file, tt.env, tt.args...)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not name %q", err, w)
				}
			}
		})
	}
}
