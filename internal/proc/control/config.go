package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"signpost/controlapi/clientaddr"
	"signpost/internal/model"
)

// Config is how one control service is to run. The names in the configuration
// file and of the flags are the koanf tags; an environment variable is the name in
// capitals with underscores, after SIGNPOST_.
type Config struct {
	EtcdEndpoints    []string `koanf:"etcd-endpoints"`
	EtcdPrefix       string   `koanf:"etcd-prefix"`
	EtcdCert         string   `koanf:"etcd-cert"`
	EtcdKey          string   `koanf:"etcd-key"`
	EtcdCA           string   `koanf:"etcd-ca"`
	EtcdUser         string   `koanf:"etcd-user"`
	EtcdPasswordFile string   `koanf:"etcd-password-file"`
	HTTPListen       string   `koanf:"http-listen"`
	TLSCert          string   `koanf:"tls-cert"`
	TLSKey           string   `koanf:"tls-key"`
	TrustedProxies   []string `koanf:"trusted-proxies"`
	AdminListen      string   `koanf:"admin-listen"`
	NameServers      []string `koanf:"name-servers"`
	MasterKeyFile    string   `koanf:"master-key-file"`
	AdminTokenFile   string   `koanf:"admin-token-file"`
	LogLevel         string   `koanf:"log-level"`
}

// Flags declares a flag for every setting, with its default.
func Flags(f *pflag.FlagSet) {
	f.StringSlice("etcd-endpoints", []string{"http://127.0.0.1:2379"}, "etcd client URLs")
	f.String("etcd-prefix", "/signpost", "prefix of all keys")
	f.String("etcd-cert", "", "client certificate for etcd (PEM)")
	f.String("etcd-key", "", "key of the client certificate (PEM)")
	f.String("etcd-ca", "", "certificate authorities that etcd's certificate must come from (PEM)")
	f.String("etcd-user", "", "etcd user")
	f.String("etcd-password-file", "", "file with the etcd user's password")
	f.String("http-listen", "127.0.0.1:8080", "address for gRPC, REST and /nic/*")
	f.String("tls-cert", "", "certificate chain for http-listen (PEM); without it plain HTTP")
	f.String("tls-key", "", "key of the certificate (PEM)")
	f.StringSlice("trusted-proxies", nil, "prefixes of proxies whose X-Forwarded-For and Forwarded are believed")
	f.String("admin-listen", "127.0.0.1:8081", "address for metrics, pprof and readiness")
	f.StringSlice("name-servers", nil, "HOST:PORT of the name servers that wait=visible asks; default: those of the zone that have addresses in it")
	f.String("master-key-file", "master.key", "the master key; made at the very first start")
	f.String("admin-token-file", "admin.token", "where the very first start writes the admin token")
	f.String("log-level", "info", "debug, info, warn or error")
}

// notOurs are environment variables that look like settings and belong to other
// programs.
var notOurs = []string{"SIGNPOST_SERVER", "SIGNPOST_TOKEN", "SIGNPOST_TOKEN_FILE", "SIGNPOST_CA_FILE", "SIGNPOST_CASES"}

// LoadConfig reads settings: the flags' defaults, then the file (YAML; "" for
// none), the environment, and the flags that were given. It says everything that is
// wrong at once. Errors are of kind Invalid.
func LoadConfig(path string, flags *pflag.FlagSet) (Config, error) {
	k := koanf.New("\x00") // no setting has parts
	known := func(key string) bool { return flags.Lookup(key) != nil && key != "config" && key != "help" }
	var problems []error
	bad := func(what, why string) {
		problems = append(problems, model.E(model.Invalid, "read setting", what).Because(why))
	}

	if path != "" {
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			return Config{}, model.E(model.Invalid, "read configuration", path).From(err)
		}
		for _, key := range k.Keys() {
			if !known(key) {
				bad(key, "there is no such setting; it is in "+path)
			}
		}
	}
	err := k.Load(env.Provider("\x00", env.Opt{Prefix: "SIGNPOST_", TransformFunc: func(name, v string) (string, any) {
		key := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, "SIGNPOST_")), "_", "-")
		switch f := flags.Lookup(key); {
		case slices.Contains(notOurs, name):
			return "", nil
		case !known(key):
			bad(name, "there is no such setting; it is in the environment")
			return "", nil
		case f.Value.Type() == "stringSlice":
			return key, strings.Split(v, ",")
		}
		return key, v
	}}), nil)
	if err != nil {
		return Config{}, model.E(model.Invalid, "read environment", "").From(err)
	}
	if err := k.Load(posflag.Provider(flags, "\x00", k), nil); err != nil {
		return Config{}, model.E(model.Invalid, "read flags", "").From(err)
	}
	var c Config
	if err := k.Unmarshal("", &c); err != nil {
		return Config{}, model.E(model.Invalid, "read configuration", path).From(err)
	}
	return c, errors.Join(append(problems, c.check()...)...)
}

func (c Config) check() []error {
	var problems []error
	bad := func(what, why string) {
		problems = append(problems, model.E(model.Invalid, "read setting", what).Because(why))
	}
	pair := func(a, b string, va, vb string) {
		if (va == "") != (vb == "") {
			bad(a, "it goes together with "+b)
		}
	}
	pair("tls-cert", "tls-key", c.TLSCert, c.TLSKey)
	pair("etcd-cert", "etcd-key", c.EtcdCert, c.EtcdKey)
	pair("etcd-user", "etcd-password-file", c.EtcdUser, c.EtcdPasswordFile)
	if len(c.EtcdEndpoints) == 0 {
		bad("etcd-endpoints", "there is none")
	}
	if !strings.HasPrefix(c.EtcdPrefix, "/") || strings.Trim(c.EtcdPrefix, "/") == "" {
		bad("etcd-prefix", fmt.Sprintf("%q is no path such as /signpost", c.EtcdPrefix))
	}
	for name, v := range map[string][]string{"http-listen": {c.HTTPListen}, "admin-listen": {c.AdminListen}, "name-servers": c.NameServers} {
		for _, a := range v {
			_, port, err := net.SplitHostPort(a)
			n, errPort := strconv.ParseUint(port, 10, 16)
			if err != nil || errPort != nil || name == "name-servers" && n == 0 {
				bad(name, fmt.Sprintf("%q is not HOST:PORT", a))
			}
		}
	}
	if _, err := clientaddr.ParseProxies(c.TrustedProxies); err != nil {
		problems = append(problems, err)
	}
	if _, err := c.level(); err != nil {
		problems = append(problems, err)
	}
	for name, v := range map[string]string{"master-key-file": c.MasterKeyFile, "admin-token-file": c.AdminTokenFile} {
		if v == "" {
			bad(name, "it is empty")
		}
	}
	return problems
}

func (c Config) password() (string, error) {
	if c.EtcdPasswordFile == "" {
		return "", nil
	}
	raw, err := os.ReadFile(c.EtcdPasswordFile)
	if err != nil {
		return "", model.E(model.Invalid, "read setting", "etcd-password-file").From(err)
	}
	return strings.TrimSpace(string(raw)), nil
}
