// Package agent answers one question: how does the agent of a machine start and stop?
package agent

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"signpost/internal/model"
)

// Config is what an agent is to do. The names in the configuration file and of the flags
// are the koanf tags.
type Config struct {
	Servers        []string      `koanf:"server"`
	CA             string        `koanf:"ca"`
	Host           string        `koanf:"host"`
	Endpoint       string        `koanf:"endpoint"`
	SecretFile     string        `koanf:"secret-file"`
	Addresses      string        `koanf:"addresses"`
	Interface      string        `koanf:"interface"`
	Private        bool          `koanf:"private"`
	AddressCommand string        `koanf:"address-command"`
	Poll           time.Duration `koanf:"poll"`
	Reassert       time.Duration `koanf:"reassert"`
	Heartbeat      string        `koanf:"heartbeat"`
	Drain          bool          `koanf:"drain"`
	DrainTime      time.Duration `koanf:"drain-time"`
	RemoveOnExit   bool          `koanf:"remove-on-exit"`
	HealthCommand  string        `koanf:"health-command"`
	HealthInterval time.Duration `koanf:"health-interval"`
	HealthCount    int           `koanf:"health-count"`
	DrainUnwell    bool          `koanf:"drain-unwell"`
	CommandTimeout time.Duration `koanf:"command-timeout"`

	// Once is a flag only: it tells once, for cron.
	Once bool `koanf:"-"`

	beat time.Duration // of Heartbeat, if it is one
}

// The flags that are no settings of the file.
const (
	ConfigFlag = "config"
	OnceFlag   = "once"
)

// Flags declares a flag for every setting, with its default.
func Flags(f *pflag.FlagSet) {
	f.String(ConfigFlag, "", "YAML file of settings; their names are those of the flags")
	f.Bool(OnceFlag, false, "tell once and exit, 0 if all was told: for cron")
	f.StringSlice("server", nil, "URL of a control service; several, with commas or given again: the next is asked when one does not answer (default $SIGNPOST_SERVER)")
	f.String("ca", "", "PEM file of certificates to trust beside those of the system (default $SIGNPOST_CA_FILE)")
	f.String("host", "", "the host's name")
	f.String("endpoint", "", "the endpoint that this machine is, with an endpoint's secret; without it the machine has the host's secret and sets the host's plain addresses")
	f.String("secret-file", "", "file of the secret (default $SIGNPOST_SECRET, else $CREDENTIALS_DIRECTORY/"+credential+")")
	f.String("addresses", "", "where the addresses come from: interface, server (what the control service sees), command, or none: they are not told (default interface, or command with --address-command)")
	f.String("interface", "", "the interface whose addresses are told (default: for each family that of the default route)")
	f.Bool("private", false, "tell private addresses, too")
	f.String("address-command", "", "a line for /bin/sh that prints the machine's addresses, one a line")
	f.Duration("poll", 30*time.Second, "between two looks at the addresses; interfaces are also watched")
	f.Duration("reassert", time.Hour, "after how long addresses that have not changed are told again")
	f.String("heartbeat", "auto", "how often a sign of life is given: auto (as the host's check wants it, if it is a heartbeat check), off, or a span of time")
	f.Bool("drain", false, "drain the endpoint on SIGTERM, then wait, then exit")
	f.Duration("drain-time", 10*time.Second, "how long to wait after the drain")
	f.Bool("remove-on-exit", false, "withdraw the addresses on exit")
	f.String("health-command", "", "a line for /bin/sh that succeeds when the machine is well; while it is not, no heartbeats are sent")
	f.Duration("health-interval", 10*time.Second, "between two runs of the health command")
	f.Int("health-count", 3, "so many failures, or successes, in a row make the machine unwell, or well again")
	f.Bool("drain-unwell", false, "drain the endpoint while the machine is unwell")
	f.Duration("command-timeout", 10*time.Second, "how long a command may take")
}

// notSettings are flags that stand for themselves, ours and those of every command.
var notSettings = []string{ConfigFlag, OnceFlag, "help", "output", "quiet"}

const noParts = "\x00" // a separator that no setting has

// Load reads settings: the flags' defaults, then the file that --config names, the
// environment, and the flags that were given. It says everything that is wrong at once.
// Errors are of kind Invalid.
func Load(flags *pflag.FlagSet, getenv func(string) string) (Config, error) {
	k := koanf.New(noParts)
	var problems []error
	path, err := flags.GetString(ConfigFlag)
	if err != nil {
		return Config{}, err
	}
	if path != "" {
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			return Config{}, model.E(model.Invalid, "read configuration", path).From(err)
		}
		for _, key := range k.Keys() {
			if flags.Lookup(key) == nil || slices.Contains(notSettings, key) {
				problems = append(problems, model.E(model.Invalid, "read setting", key).Because("there is no such setting; it is in "+path))
			}
		}
	}
	for key, name := range map[string]string{"server": "SIGNPOST_SERVER", "ca": "SIGNPOST_CA_FILE"} {
		if v := getenv(name); v != "" {
			err = errors.Join(err, k.Set(key, v))
		}
	}
	err = errors.Join(err, k.Load(posflag.Provider(flags, noParts, k), nil))
	var c Config
	if err == nil {
		err = k.UnmarshalWithConf("", &c, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
			DecodeHook: mapstructure.ComposeDecodeHookFunc(mapstructure.StringToTimeDurationHookFunc(), mapstructure.StringToSliceHookFunc(",")),
		}})
	}
	if err != nil {
		return Config{}, model.E(model.Invalid, "read configuration", path).From(errors.Join(append(problems, err)...))
	}
	c.Once, err = flags.GetBool(OnceFlag)
	problems = append(problems, err)
	return c, errors.Join(append(problems, c.check()...)...)
}

// Where addresses come from.
const (
	fromInterface = "interface"
	fromServer    = "server"
	fromCommand   = "command"
	fromNowhere   = "none"
)

// mostServers is how many of them a call may try within a minute.
const mostServers = 8

// check completes the settings and says what is wrong with them.
func (c *Config) check() (problems []error) {
	bad := func(what, why string) {
		problems = append(problems, model.E(model.Invalid, "read setting", what).Because(why))
	}
	if c.Addresses == "" {
		c.Addresses = fromInterface
		if c.AddressCommand != "" {
			c.Addresses = fromCommand
		}
	}
	switch {
	case !slices.Contains([]string{fromInterface, fromServer, fromCommand, fromNowhere}, c.Addresses):
		bad("addresses", fmt.Sprintf("%q is neither interface nor server, command or none", c.Addresses))
	case c.Addresses == fromCommand != (c.AddressCommand != ""):
		bad("addresses", "command and address-command go together")
	case c.Interface != "" && c.Addresses != fromInterface:
		bad("interface", "the addresses come from somewhere else")
	case c.Private && c.Addresses != fromInterface && c.Addresses != fromServer:
		bad("private", "it is about addresses of interfaces, and those that the control service sees")
	}
	if _, err := model.ParseHostName("host", c.Host); err != nil {
		problems = append(problems, err)
	}
	if strings.Trim(c.Endpoint, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || len(c.Endpoint) > 63 {
		bad("endpoint", "an id is 1 to 63 lower-case letters, digits and hyphens")
	}
	if c.Endpoint == model.MainEndpoint {
		bad("endpoint", "main is the host's plain addresses: leave endpoint out, and give the host's secret")
	}
	if len(c.Servers) == 0 || len(c.Servers) > mostServers {
		bad("server", fmt.Sprintf("there must be 1 to %d", mostServers))
	}
	problems = append(problems, c.checkTimes()...)
	beats := c.Heartbeat != "off"
	switch {
	case c.Endpoint != "":
		if c.Addresses == fromNowhere && !beats && !c.Drain && !c.DrainUnwell {
			bad("addresses", "there is nothing to tell")
		}
	case c.Heartbeat != "auto" && beats, c.Drain, c.DrainUnwell, c.HealthCommand != "":
		bad("endpoint", "heartbeat, drain, health-command and drain-unwell are about an endpoint")
	case c.Addresses == fromNowhere:
		bad("addresses", "there is nothing to tell")
	}
	if c.DrainUnwell && c.HealthCommand == "" {
		bad("drain-unwell", "it goes with health-command")
	}
	if c.Once && (c.Drain || c.RemoveOnExit || c.DrainUnwell) {
		bad(OnceFlag, "drain, remove-on-exit and drain-unwell are for an agent that stays")
	}
	return problems
}

func (c *Config) checkTimes() (problems []error) {
	bad := func(what, why string) {
		problems = append(problems, model.E(model.Invalid, "read setting", what).Because(why))
	}
	for _, d := range []struct {
		name        string
		is          time.Duration
		least, most time.Duration
	}{
		{"poll", c.Poll, time.Second, time.Hour},
		{"reassert", c.Reassert, time.Minute, 7 * 24 * time.Hour},
		{"drain-time", c.DrainTime, 0, time.Hour},
		{"health-interval", c.HealthInterval, time.Second, time.Hour},
		{"command-timeout", c.CommandTimeout, 100 * time.Millisecond, 30 * time.Second},
	} {
		if d.is < d.least || d.is > d.most {
			bad(d.name, fmt.Sprintf("%s is not from %s to %s", d.is, d.least, d.most))
		}
	}
	if c.HealthCount < 1 || c.HealthCount > 100 {
		bad("health-count", fmt.Sprintf("%d is not from 1 to 100", c.HealthCount))
	}
	if c.Heartbeat != "auto" && c.Heartbeat != "off" {
		var err error
		if c.beat, err = time.ParseDuration(c.Heartbeat); err != nil || c.beat < time.Second || c.beat > 5*time.Minute {
			bad("heartbeat", fmt.Sprintf("%q is neither auto nor off nor a span of time from 1s to 5m", c.Heartbeat))
		}
	}
	return problems
}
