package monitor

import (
	"errors"
	"fmt"
	"net"

	"github.com/spf13/pflag"

	"signpost/internal/model"
	"signpost/internal/monitor"
	"signpost/internal/proc/settings"
)

// Config is how the monitor of a site is to run. The names in the configuration file and
// of the flags are the koanf tags; an environment variable is the name in capitals with
// underscores, after SIGNPOST_.
type Config struct {
	EtcdEndpoints    []string `koanf:"etcd-endpoints"`
	EtcdPrefix       string   `koanf:"etcd-prefix"`
	EtcdCert         string   `koanf:"etcd-cert"`
	EtcdKey          string   `koanf:"etcd-key"`
	EtcdCA           string   `koanf:"etcd-ca"`
	EtcdUser         string   `koanf:"etcd-user"`
	EtcdPasswordFile string   `koanf:"etcd-password-file"`
	Site             string   `koanf:"site"`
	AdminListen      string   `koanf:"admin-listen"`
	LogLevel         string   `koanf:"log-level"`

	// What follows is in the file only, so that nothing but this machine's operator opens
	// a network to checks.
	Allow []string `koanf:"allow"`         // ZONE=PREFIX
	Own   []string `koanf:"own-addresses"` // prefixes of the operator's
}

// FileOnly is the settings that are in the file only.
var FileOnly = []string{"allow", "own-addresses"}

// Flags declares a flag for every setting but those of the file, with its default.
func Flags(f *pflag.FlagSet) {
	settings.EtcdFlags(f)
	f.String("site", "", "the site whose checker this is: 1 to 63 lower-case letters, digits and hyphens")
	f.String("admin-listen", "127.0.0.1:8082", "address for metrics, pprof and readiness")
	f.String("log-level", "info", "debug, info, warn or error")
}

// LoadConfig reads settings: the flags' defaults, then the file (YAML; "" for none), the
// environment, and the flags that were given. It says everything that is wrong at once.
// Errors are of kind Invalid.
func LoadConfig(path string, flags *pflag.FlagSet) (Config, error) {
	var c Config
	problems, err := settings.Load(&c, path, settings.Known{Flags: flags, Not: []string{"config", "help"}, FileOnly: FileOnly})
	if err != nil {
		return Config{}, err
	}
	problems = append(problems, c.etcd().Check()...)
	if err := model.CheckSite("site", c.Site); err != nil {
		problems = append(problems, err)
	}
	if _, _, err := net.SplitHostPort(c.AdminListen); err != nil {
		problems = append(problems, settings.Bad("admin-listen", fmt.Sprintf("%q is not HOST:PORT", c.AdminListen)))
	}
	if _, err := settings.Level("log-level", c.LogLevel); err != nil {
		problems = append(problems, err)
	}
	if _, err := monitor.ParseRules(c.Allow, c.Own); err != nil {
		problems = append(problems, err)
	}
	return c, errors.Join(problems...)
}

func (c Config) etcd() settings.Etcd {
	return settings.Etcd{
		Endpoints: c.EtcdEndpoints, Prefix: c.EtcdPrefix, Cert: c.EtcdCert, Key: c.EtcdKey, CA: c.EtcdCA,
		User: c.EtcdUser, PasswordFile: c.EtcdPasswordFile,
	}
}
