package control

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"signpost/internal/access/oidc"
	"signpost/internal/webhook"
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
		TrustedProxies: []string{}, AdminListen: "127.0.0.1:8081", NameServers: []string{}, Operators: []string{},
		BlockedHosts: []string{}, BlockedPrincipals: []string{}, BlockedAgents: []string{}, BlockedAddresses: []string{},
		MasterKeyFile: "master.key", AdminTokenFile: "admin.token", LogLevel: "info", PerAddress: 256,
		AuditKeepDays: 30, AuditKeepMiB: 256,
		FurtherKeyFiles: []string{}, GroupMaxAge: 720 * time.Hour,
		ACMEContact: []string{}, ACMEZoneLimit: 50,
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
			"--audit-file=-", "--audit-keep-days=7", "--audit-keep-mib=64",
			"--blocked-hosts=login-*.example.org", "--blocked-agents=Bad/1", "--blocked-addresses=203.0.113.0/24",
			"--public-url=https://dns.example.org", "--http-redirect-listen=127.0.0.1:3", "--unsafe-plain-http", "--connections-per-address=7",
			"--further-master-key-files=m2,m3", "--group-max-age=48h", "--monitor", "--site=north",
			"--acme-directory=https://ca.example.org/dir", "--acme-ca-file=r", "--acme-contact=mailto:dns@example.org", "--acme-eab-key-id=k1", "--acme-eab-hmac-file=h", "--acme-zone-limit=300",
		}, func(c *Config) {
			*c = Config{
				EtcdEndpoints: []string{"https://a:1"}, EtcdPrefix: "/p", EtcdCert: "c", EtcdKey: "k", EtcdCA: "ca", EtcdUser: "u", EtcdPasswordFile: "pw",
				HTTPListen: "127.0.0.1:1", TLSCert: "tc", TLSKey: "tk", TrustedProxies: []string{"192.0.2.0/24", "2001:db8::1"}, AdminListen: "127.0.0.1:2",
				NameServers: []string{"127.0.0.1:53"}, MasterKeyFile: "m", AdminTokenFile: "a", LogLevel: "debug", Operators: []string{},
				AuditFile: "-", AuditKeepDays: 7, AuditKeepMiB: 64,
				BlockedHosts: []string{"login-*.example.org"}, BlockedPrincipals: []string{}, BlockedAgents: []string{"Bad/1"}, BlockedAddresses: []string{"203.0.113.0/24"},
				PublicURL: "https://dns.example.org", HTTPRedirect: "127.0.0.1:3", UnsafePlainHTTP: true, PerAddress: 7,
				FurtherKeyFiles: []string{"m2", "m3"}, GroupMaxAge: 48 * time.Hour, Monitor: true, Site: "north",
				ACMEDirectory: "https://ca.example.org/dir", ACMECA: "r", ACMEContact: []string{"mailto:dns@example.org"}, ACMEEABKeyID: "k1", ACMEEABFile: "h", ACMEZoneLimit: 300,
			}
		}},
		{"plain HTTP on any address", "", map[string]string{"SIGNPOST_UNSAFE_PLAIN_HTTP": "true"}, []string{"--http-listen=:8080"},
			func(c *Config) { c.HTTPListen, c.UnsafePlainHTTP = ":8080", true }},
		{"plain HTTP on loopback", "", nil, []string{"--http-listen=localhost:8080"}, func(c *Config) { c.HTTPListen = "localhost:8080" }},
		{"plain HTTP on IPv6 loopback", "", nil, []string{"--http-listen=[::1]:8080"}, func(c *Config) { c.HTTPListen = "[::1]:8080" }},
		{"TLS on any address", "", nil, []string{"--http-listen=:8443", "--tls-cert=c", "--tls-key=k"},
			func(c *Config) { c.HTTPListen, c.TLSCert, c.TLSKey = ":8443", "c", "k" }},
		{"issuers", `
issuers:
  - name: egi
    url: https://aai.egi.eu/auth/realms/egi
    ca-file: ca
    audiences: [a]
    authorized-parties: [p, q]
    scopes: [s]
    entitlements-from: introspection
    entitlement-claims: [c]
    namespace: urn:mace:egi.eu
    authorities: [aai.egi.eu]
    introspection-client-id: i
    introspection-secret-file: f
    login-client-id: l
    login-scopes: [openid]
  - {name: two, url: "http://127.0.0.1:1/", scopes: dns}
`, nil, nil, func(c *Config) {
			c.Issuers = []oidc.Issuer{{
				Name: "egi", URL: "https://aai.egi.eu/auth/realms/egi", CAFile: "ca", Audiences: []string{"a"}, AuthorizedParties: []string{"p", "q"}, Scopes: []string{"s"},
				EntitlementsFrom: "introspection", EntitlementClaims: []string{"c"}, Namespace: "urn:mace:egi.eu", Authorities: []string{"aai.egi.eu"},
				IntrospectionClientID: "i", IntrospectionSecretFile: "f", LoginClientID: "l", LoginScopes: []string{"openid"},
			}, {Name: "two", URL: "http://127.0.0.1:1/", Scopes: []string{"dns"}}}
		}},
		{"webhooks", `
webhooks:
  - name: ops
    url: https://alerts.example.org/signpost
    key-file: k
    ca-file: ca
    zones: [vo.example.org, example.net]
    allow: [10.20.0.0/16]
    timeout: 3s
    give-up-after: 2h
  - {name: chat, url: "http://10.0.0.1/", key-file: k, allow: 10.0.0.1/32}
`, nil, nil, func(c *Config) {
			c.Webhooks = []webhook.Config{
				{Name: "ops", URL: "https://alerts.example.org/signpost", KeyFile: "k", CAFile: "ca", Zones: []string{"vo.example.org", "example.net"},
					Allow: []string{"10.20.0.0/16"}, Timeout: 3 * time.Second, GiveUpAfter: 2 * time.Hour},
				{Name: "chat", URL: "http://10.0.0.1/", KeyFile: "k", Allow: []string{"10.0.0.1/32"}},
			}
		}},
		{"people of an issuer", "issuers: [{name: egi, url: 'https://aai.egi.eu', scopes: [x]}]\n", nil,
			[]string{"--operators=egi/olga,group:egi/ops", "--blocked-principals=egi/mallory,group:egi/bad"}, func(c *Config) {
				c.Issuers = []oidc.Issuer{{Name: "egi", URL: "https://aai.egi.eu", Scopes: []string{"x"}}}
				c.Operators = []string{"egi/olga", "group:egi/ops"}
				c.BlockedPrincipals = []string{"egi/mallory", "group:egi/bad"}
			}},
		{"a monitor", "monitor: true\nsite: north\nallow: [example.org=10.0.0.0/8]\nown-addresses: [192.0.2.0/28]\n", nil, nil, func(c *Config) {
			c.Monitor, c.Site, c.Allow, c.Own = true, "north", []string{"example.org=10.0.0.0/8"}, []string{"192.0.2.0/28"}
		}},
		{"a span of time in the file", "group-max-age: 48h\n", nil, nil, func(c *Config) { c.GroupMaxAge = 48 * time.Hour }},
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
		{"operators that are none", "", nil, []string{"--operators=egi/olga,olga@example.org"}, []string{"operators", "olga@example.org"}},
		{"operators of no issuer of ours", "issuers: [{name: egi, url: 'https://aai.egi.eu', scopes: [x]}]\n", nil, []string{"--operators=egi/olga,group:egy/ops"},
			[]string{"operators", "group:egy/ops", "there is no issuer of the name egy"}},
		{"operators without issuers", "", nil, []string{"--operators=egi/olga"}, []string{"there is no issuer of the name egi"}},
		{"an audit of no days", "", nil, []string{"--audit-keep-days=0"}, []string{"audit-keep-days: 0 is not between 1 and 3660"}},
		{"more of an audit than etcd holds", "", nil, []string{"--audit-keep-mib=4097"}, []string{"audit-keep-mib", "between 1 and 4096"}},
		{"hosts that are no patterns", "", nil, []string{"--blocked-hosts=*"}, []string{"blocked-hosts", `"*"`}},
		{"blocked people who are none", "", nil, []string{"--blocked-principals=mallory"}, []string{"blocked-principals", "mallory"}},
		{"blocked people of no issuer of ours", "issuers: [{name: egi, url: 'https://aai.egi.eu', scopes: [x]}, {name: two, url: 'https://two.example', scopes: [x]}]\n", nil,
			[]string{"--blocked-principals=egi/mallory,egy/mallory,group:egx/bad"},
			[]string{"blocked-principals", `"egy/mallory"`, "no issuer of the name egy among issuers (egi, two)", "group:egx/bad", "principal disable"}},
		{"blocked people without issuers", "", nil, []string{"--blocked-principals=egi/mallory"}, []string{"blocked-principals", "among issuers (none)"}},
		{"a part of all user agents", "blocked-agents: [' ']", nil, nil, []string{"blocked-agents"}},
		{"prefixes that are none", "", nil, []string{"--blocked-addresses=203.0.113.0/33"}, []string{"blocked-addresses", "203.0.113.0/33"}},
		{"prefixes that would hold nobody", "", nil, []string{"--blocked-addresses=::ffff:203.0.113.0/120", "--trusted-proxies=::ffff:192.0.2.0/120"},
			[]string{"blocked-addresses", "::ffff:203.0.113.0/120", "trusted-proxies", "::ffff:192.0.2.0/120", "IPv4"}},
		{"user without password", "", nil, []string{"--etcd-user=u"}, []string{"etcd-user", "etcd-password-file"}},
		{"plain HTTP on any address", "", nil, []string{"--http-listen=:8080"}, []string{"http-listen", "loopback", "tls-cert", "unsafe-plain-http"}},
		{"plain HTTP on an address of the network", "", nil, []string{"--http-listen=192.0.2.1:8080"}, []string{"192.0.2.1:8080 is not on loopback"}},
		{"plain HTTP at a name", "", nil, []string{"--http-listen=dns.example.org:8080"}, []string{"is not on loopback"}},
		{"a public URL that is none", "", nil, []string{"--public-url=dns.example.org"}, []string{"public-url"}},
		{"a public URL with a path", "", nil, []string{"--public-url=https://dns.example.org/signpost"}, []string{"public-url"}},
		{"nowhere to send plain HTTP", "", nil, []string{"--http-redirect-listen=127.0.0.1:80"}, []string{"http-redirect-listen", "public-url"}},
		{"plain HTTP sent to plain HTTP", "", nil, []string{"--http-redirect-listen=127.0.0.1:80", "--public-url=http://dns.example.org"}, []string{"https"}},
		{"no port to redirect from", "", nil, []string{"--http-redirect-listen=127.0.0.1", "--public-url=https://dns.example.org"}, []string{"http-redirect-listen", "HOST:PORT"}},
		{"no age of groups", "", nil, []string{"--group-max-age=0s"}, []string{"group-max-age"}},
		{"a flag of rekey", "new-master-key-file: x\n", nil, nil, []string{"new-master-key-file", "no such setting"}},
		{"fewer connections than none", "", nil, []string{"--connections-per-address=-1"}, []string{"connections-per-address"}},
		{"unknown of an issuer, all at once", "log-level: loud\nissuers:\n  - {name: egi, url: 'https://aai.egi.eu', scopes: [x]}\n  - {name: 1x, uri: x, client-secret: y}\n", nil, nil,
			[]string{"issuers[1].uri", "issuers[1].client-secret", "issuers[1].name", "issuers[1].url", "issuers[1].audiences", "log-level"}},
		{"issuers that are no list", "issuers: {name: x}\n", nil, nil, []string{"issuers: it is a list"}},
		{"issuers of the environment", "", map[string]string{"SIGNPOST_ISSUERS": "x"}, nil, []string{"SIGNPOST_ISSUERS"}},
		{"unknown of a webhook, all at once", "webhooks:\n  - {name: Ops, urls: x, url: 'http://example.org/'}\n", nil, nil,
			[]string{"webhooks[0].urls", "webhooks[0].name", "webhooks[0].key-file", "webhooks[0].url"}},
		{"webhooks that are no list", "webhooks: {name: x}\n", nil, nil, []string{"webhooks: it is a list"}},
		{"webhooks of the environment", "", map[string]string{"SIGNPOST_WEBHOOKS": "x"}, nil, []string{"SIGNPOST_WEBHOOKS"}},
		{"a monitor of no site", "", nil, []string{"--monitor"}, []string{"site"}},
		{"a site without a monitor", "", nil, []string{"--site=north"}, []string{"site", "monitor"}},
		{"networks allowed without a monitor", "allow: [example.org=10.0.0.0/8]\n", nil, nil, []string{"allow", "monitor"}},
		{"networks allowed in the environment", "", map[string]string{"SIGNPOST_ALLOW": "example.org=10.0.0.0/8"}, nil, []string{"SIGNPOST_ALLOW"}},
		{"networks that are none", "monitor: true\nsite: north\nallow: [10.0.0.0/8]\n", nil, nil, []string{"allow", "ZONE=PREFIX"}},
		{"an authority that is none", "", nil, []string{"--acme-directory=http://ca.example.org/dir", "--acme-contact=dns@example.org", "--acme-zone-limit=0", "--acme-eab-key-id=k"},
			[]string{"acme-directory: it is not https", "acme-contact", "acme-zone-limit", "acme-eab-hmac-file"}},
		{"a word for no authority", "", nil, []string{"--acme-contact=mailto:dns@example.org", "--acme-ca-file=x"}, []string{"acme-contact", "acme-ca-file", "give acme-directory"}},
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
