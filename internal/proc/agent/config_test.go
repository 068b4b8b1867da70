package agent

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// load reads flags, a file ("" for none) and an environment.
func load(t *testing.T, file string, env map[string]string, args ...string) (Config, error) {
	t.Helper()
	f := pflag.NewFlagSet("agent", pflag.ContinueOnError)
	Flags(f)
	f.String("output", "text", "of every command")
	if file != "" {
		path := filepath.Join(t.TempDir(), "agent.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	if err := f.Parse(args); err != nil {
		return Config{}, err
	}
	return Load(f, func(name string) string { return env[name] })
}

// plain is the settings of an agent of which the least is said.
func plain() Config {
	return Config{
		Servers: []string{"https://dns.example.org"}, Host: "app.example.org", Addresses: "interface", Poll: 30 * time.Second, Reassert: time.Hour,
		Heartbeat: "auto", DrainTime: 10 * time.Second, HealthInterval: 10 * time.Second, HealthCount: 3, CommandTimeout: 10 * time.Second,
	}
}

var least = []string{"--host=app.example.org", "--server=https://dns.example.org"}

// Each setting has the same effect in the file and as a flag.
func TestSettings(t *testing.T) {
	rows := map[string]struct {
		value string
		with  []string
		want  func(*Config)
	}{
		"server":          {"https://a.example.org,https://b.example.org", nil, func(c *Config) { c.Servers = []string{"https://a.example.org", "https://b.example.org"} }},
		"ca":              {"ca.pem", nil, func(c *Config) { c.CA = "ca.pem" }},
		"host":            {"b.example.org", nil, func(c *Config) { c.Host = "b.example.org" }},
		"endpoint":        {"a", nil, func(c *Config) { c.Endpoint = "a" }},
		"secret-file":     {"secret", nil, func(c *Config) { c.SecretFile = "secret" }},
		"addresses":       {"server", nil, func(c *Config) { c.Addresses = "server" }},
		"interface":       {"eth1", nil, func(c *Config) { c.Interface = "eth1" }},
		"private":         {"true", nil, func(c *Config) { c.Private = true }},
		"address-command": {"echo 192.0.2.1", nil, func(c *Config) { c.AddressCommand, c.Addresses = "echo 192.0.2.1", "command" }},
		"poll":            {"5s", nil, func(c *Config) { c.Poll = 5 * time.Second }},
		"reassert":        {"2h", nil, func(c *Config) { c.Reassert = 2 * time.Hour }},
		"heartbeat":       {"7s", []string{"--endpoint=a"}, func(c *Config) { c.Endpoint, c.Heartbeat, c.beat = "a", "7s", 7*time.Second }},
		"drain":           {"true", []string{"--endpoint=a"}, func(c *Config) { c.Endpoint, c.Drain = "a", true }},
		"drain-time":      {"1m", nil, func(c *Config) { c.DrainTime = time.Minute }},
		"remove-on-exit":  {"true", nil, func(c *Config) { c.RemoveOnExit = true }},
		"health-command":  {"exit 0", []string{"--endpoint=a"}, func(c *Config) { c.Endpoint, c.HealthCommand = "a", "exit 0" }},
		"health-interval": {"1s", nil, func(c *Config) { c.HealthInterval = time.Second }},
		"health-count":    {"1", nil, func(c *Config) { c.HealthCount = 1 }},
		"drain-unwell":    {"true", []string{"--endpoint=a", "--health-command=true"}, func(c *Config) { c.Endpoint, c.HealthCommand, c.DrainUnwell = "a", "true", true }},
		"command-timeout": {"1s", nil, func(c *Config) { c.CommandTimeout = time.Second }},
	}
	for name, row := range rows {
		want := plain()
		row.want(&want)
		args := append(slices.DeleteFunc(slices.Clone(least), func(a string) bool { return strings.HasPrefix(a, "--"+name+"=") }), row.with...)
		for how, read := range map[string]func() (Config, error){
			"flag": func() (Config, error) {
				return load(t, "", nil, append(slices.Clone(args), "--"+name+"="+row.value)...)
			},
			"file": func() (Config, error) { return load(t, name+": "+row.value+"\n", nil, args...) },
		} {
			if got, err := read(); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s in the %s: %+v, %v", name, how, got, err)
			}
		}
	}
	f := pflag.NewFlagSet("agent", pflag.ContinueOnError)
	Flags(f)
	f.VisitAll(func(flag *pflag.Flag) {
		if _, ok := rows[flag.Name]; !ok && flag.Name != ConfigFlag && flag.Name != OnceFlag {
			t.Errorf("--%s has no row here", flag.Name)
		}
	})
	if c, err := load(t, "", nil, append(least, "--once")...); err != nil || !c.Once {
		t.Errorf("--once: %v, %v", c, err)
	}
	if c, err := load(t, "server: [https://a.example.org, https://b.example.org]\nhost: app.example.org", nil); err != nil || len(c.Servers) != 2 {
		t.Errorf("a list of servers: %v, %v", c, err)
	}
}

func TestAFlagGoesBeforeTheEnvironmentAndThatBeforeTheFile(t *testing.T) {
	file, env := "host: app.example.org\nserver: https://file.example.org\nca: file.pem\n", map[string]string{"SIGNPOST_SERVER": "https://env.example.org,https://env2.example.org", "SIGNPOST_CA_FILE": "env.pem"}
	if c, err := load(t, file, nil); err != nil || c.Servers[0] != "https://file.example.org" || c.CA != "file.pem" {
		t.Errorf("file: %v, %v", c, err)
	}
	if c, err := load(t, file, env); err != nil || len(c.Servers) != 2 || c.Servers[0] != "https://env.example.org" || c.CA != "env.pem" {
		t.Errorf("environment: %v, %v", c, err)
	}
	if c, err := load(t, file, env, "--server=https://flag.example.org", "--ca=flag.pem"); err != nil || len(c.Servers) != 1 || c.Servers[0] != "https://flag.example.org" || c.CA != "flag.pem" {
		t.Errorf("flag: %v, %v", c, err)
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	for _, tt := range []struct {
		file string
		args []string
		want string
	}{
		{"sever: x\n", nil, "sever: there is no such setting"},
		{"secret: sph_x\n", nil, "secret: there is no such setting"},
		{"output: json\n", nil, "output: there is no such setting"},
		{"once: true\n", nil, "once: there is no such setting"},
		{"poll: soon\n", nil, "poll"},
		{"private: maybe\n", nil, "private"},
		{"- x\n", nil, "read configuration"},
		{"", []string{"--host=_.example.org"}, "host"},
		{"", []string{"--host="}, "host"},
		{"health-command: true\nendpoint: a\n", nil, "health-command"}, // a command, not a switch
		{"", []string{"--server=a,b,c,d,e,f,g,h,i"}, "server: there must be 1 to 8"},
		{"", []string{"--endpoint=A/B"}, "endpoint"},
		{"", []string{"--endpoint=main"}, "leave endpoint out"},
		{"", []string{"--addresses=here"}, "addresses"},
		{"", []string{"--addresses=command"}, "address-command"},
		{"", []string{"--addresses=server", "--address-command=x"}, "address-command"},
		{"", []string{"--addresses=server", "--interface=eth0"}, "interface"},
		{"", []string{"--address-command=x", "--private"}, "private"},
		{"", []string{"--addresses=none"}, "nothing to tell"},
		{"", []string{"--addresses=none", "--endpoint=a", "--heartbeat=off"}, "nothing to tell"},
		{"", []string{"--poll=100ms"}, "poll: 100ms is not from 1s to 1h"},
		{"poll: 30\n", nil, "poll: 30ns is not from 1s"},
		{"", []string{"--reassert=1s"}, "reassert"},
		{"", []string{"--drain-time=2h"}, "drain-time"},
		{"", []string{"--health-interval=0"}, "health-interval"},
		{"", []string{"--health-count=0"}, "health-count"},
		{"", []string{"--command-timeout=1m"}, "command-timeout"},
		{"", []string{"--endpoint=a", "--heartbeat=often"}, "heartbeat"},
		{"", []string{"--endpoint=a", "--heartbeat=10ms"}, "heartbeat"},
		{"", []string{"--heartbeat=5s"}, "about an endpoint"},
		{"", []string{"--drain"}, "about an endpoint"},
		{"", []string{"--health-command=x"}, "about an endpoint"},
		{"", []string{"--endpoint=a", "--drain-unwell"}, "health-command"},
		{"", []string{"--once", "--remove-on-exit"}, "agent that stays"},
		{"", []string{"--once", "--endpoint=a", "--drain"}, "agent that stays"},
	} {
		_, err := load(t, tt.file, nil, append(slices.Clone(least), tt.args...)...)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q %q: %v, want %s", tt.file, tt.args, err, tt.want)
		}
	}
	if _, err := load(t, "", nil, "--host=app.example.org"); err == nil || !strings.Contains(err.Error(), "server: there must be 1 to 8") {
		t.Errorf("no server: %v", err)
	}
	if c, err := load(t, "heartbeat: off\nendpoint: a\n", nil, least...); err != nil || c.Heartbeat != "off" {
		t.Errorf("heartbeat: off in the file: %v, %v", c, err)
	}
	_, err := load(t, "a: 1\nb: 2\n", nil, append(slices.Clone(least), "--poll=1ms")...)
	if err == nil || !strings.Contains(err.Error(), "a: there") || !strings.Contains(err.Error(), "b: there") || !strings.Contains(err.Error(), "poll") {
		t.Errorf("not everything is said at once: %v", err)
	}
}
