package control

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"signpost/controlapi"
	"signpost/controlapi/clientaddr"
	"signpost/controlapi/door"
	"signpost/internal/access/oidc"
	"signpost/internal/model"
	procmonitor "signpost/internal/proc/monitor"
	"signpost/internal/proc/settings"
	"signpost/internal/webhook"
)

// Config is how one control service is to run. The names in the configuration
// file and of the flags are the koanf tags; an environment variable is the name in
// capitals with underscores, after SIGNPOST_. What is no single word has no flag.
type Config struct {
	EtcdEndpoints     []string      `koanf:"etcd-endpoints"`
	EtcdPrefix        string        `koanf:"etcd-prefix"`
	EtcdCert          string        `koanf:"etcd-cert"`
	EtcdKey           string        `koanf:"etcd-key"`
	EtcdCA            string        `koanf:"etcd-ca"`
	EtcdUser          string        `koanf:"etcd-user"`
	EtcdPasswordFile  string        `koanf:"etcd-password-file"`
	HTTPListen        string        `koanf:"http-listen"`
	TLSCert           string        `koanf:"tls-cert"`
	TLSKey            string        `koanf:"tls-key"`
	TrustedProxies    []string      `koanf:"trusted-proxies"`
	AdminListen       string        `koanf:"admin-listen"`
	PublicURL         string        `koanf:"public-url"`
	HTTPRedirect      string        `koanf:"http-redirect-listen"`
	UnsafePlainHTTP   bool          `koanf:"unsafe-plain-http"`
	PerAddress        int           `koanf:"connections-per-address"`
	NameServers       []string      `koanf:"name-servers"`
	MasterKeyFile     string        `koanf:"master-key-file"`
	AdminTokenFile    string        `koanf:"admin-token-file"`
	FurtherKeyFiles   []string      `koanf:"further-master-key-files"`
	Operators         []string      `koanf:"operators"`
	GroupMaxAge       time.Duration `koanf:"group-max-age"`
	BlockedHosts      []string      `koanf:"blocked-hosts"`
	BlockedPrincipals []string      `koanf:"blocked-principals"`
	BlockedAgents     []string      `koanf:"blocked-agents"`
	BlockedAddresses  []string      `koanf:"blocked-addresses"`
	LogLevel          string        `koanf:"log-level"`
	AuditFile         string        `koanf:"audit-file"`
	AuditKeepDays     int           `koanf:"audit-keep-days"`
	AuditKeepMiB      int           `koanf:"audit-keep-mib"`

	ACMEDirectory string   `koanf:"acme-directory"`
	ACMECA        string   `koanf:"acme-ca-file"`
	ACMEContact   []string `koanf:"acme-contact"`
	ACMEEABKeyID  string   `koanf:"acme-eab-key-id"`
	ACMEEABFile   string   `koanf:"acme-eab-hmac-file"`
	ACMEZoneLimit int      `koanf:"acme-zone-limit"`

	Monitor bool   `koanf:"monitor"`
	Site    string `koanf:"site"`

	// What follows is in the file only.
	Issuers []oidc.Issuer `koanf:"issuers"`
	Allow   []string      `koanf:"allow"`         // where checks may go: ZONE=PREFIX
	Own     []string      `koanf:"own-addresses"` // prefixes of the operator's, where they may not

	Webhooks []webhook.Config `koanf:"webhooks"` // who is told what becomes of endpoints

	ChecksHere bool `koanf:"-"` // checks may go to this machine: for signpost-dev
}

// Flags declares a flag for every setting, with its default.
func Flags(f *pflag.FlagSet) {
	settings.EtcdFlags(f)
	f.String("http-listen", "127.0.0.1:8080", "address for gRPC, REST and /nic/*")
	f.String("tls-cert", "", "certificate chain for http-listen (PEM); without it plain HTTP, on loopback only")
	f.String("tls-key", "", "key of the certificate (PEM)")
	f.Bool("unsafe-plain-http", false, "allow plain HTTP on addresses other than loopback: for a private network to a proxy that ends TLS")
	f.String("public-url", "", "where clients find us, such as https://dns.example.org: what answers say, whatever Host a request has")
	f.String("http-redirect-listen", "", "address for plain HTTP beside TLS: /myip, and for all else the way to public-url")
	f.Int("connections-per-address", door.Default().PerAddress, "open connections of one IPv4 address or IPv6 /64; 0: any number; listed proxies have no limit")
	f.StringSlice("trusted-proxies", nil, "prefixes of proxies whose X-Forwarded-For and Forwarded are believed")
	f.String("admin-listen", "127.0.0.1:8081", "address for metrics, pprof and readiness")
	f.StringSlice("name-servers", nil, "HOST:PORT of the name servers that wait=visible asks; default: those of the zone that have addresses in it")
	f.String("master-key-file", "master.key", "the master key; made at the very first start")
	f.StringSlice("further-master-key-files", nil, "files of other master keys to hold while signpostd rekey changes from one to another")
	f.String("admin-token-file", "admin.token", "where the very first start writes the admin token")
	f.StringSlice("operators", nil, "people (ISSUER/SUBJECT) and groups (group:ISSUER/GROUP) who may do everything")
	f.StringSlice("blocked-hosts", nil, "patterns of names whose hosts nobody but operators may use")
	f.StringSlice("blocked-principals", nil, "people (ISSUER/SUBJECT) and groups (group:ISSUER/GROUP) from whom no calls are taken")
	f.StringSlice("blocked-agents", nil, "parts of user agents, without case, from which no calls are taken")
	f.StringSlice("blocked-addresses", nil, "prefixes from which no calls are taken")
	f.Duration("group-max-age", 30*24*time.Hour, "how long API tokens have the groups that their owner was in at the last login")
	f.String("log-level", "info", "debug, info, warn or error")
	f.String("audit-file", "", "file for a JSON line for each change and each refusal, opened anew on SIGHUP; - is standard output")
	f.Int("audit-keep-days", 30, "days of the audit that etcd keeps")
	f.Int("audit-keep-mib", 256, "MiB of the audit that etcd keeps, if that is less")
	f.String("acme-directory", "", "URL of the directory of a certificate authority (ACME) that issues certificates for hosts")
	f.String("acme-ca-file", "", "certificates (PEM) of who vouches for acme-directory; default: those of the system")
	f.StringSlice("acme-contact", nil, "mailto: URLs that the certificate authority is given")
	f.String("acme-eab-key-id", "", "external account binding: the key's identifier, for authorities that want one")
	f.String("acme-eab-hmac-file", "", "external account binding: file with the HMAC key, in base64url")
	f.Int("acme-zone-limit", 50, "certificates that the authority issues for one zone in a week; 80 % of them are ordered")
	f.Bool("monitor", false, "check the endpoints of hosts, too, for --site")
	f.String("site", "", "the site whose checker --monitor is: 1 to 63 lower-case letters, digits and hyphens")
}

// notSettings are flags that stand for themselves.
var notSettings = []string{"config", "help", NewKeyFlag, MakeKeyFlag}

// LoadConfig reads settings: the flags' defaults, then the file (YAML; "" for
// none), the environment, and the flags that were given. It says everything that is
// wrong at once. Errors are of kind Invalid.
func LoadConfig(path string, flags *pflag.FlagSet) (Config, error) {
	var c Config
	problems, err := settings.Load(&c, path, settings.Known{Flags: flags, Not: notSettings, FileOnly: append([]string{"issuers", "webhooks"}, procmonitor.FileOnly...)})
	if err != nil {
		return Config{}, err
	}
	return c, errors.Join(append(problems, c.check()...)...)
}

func (c Config) check() []error {
	var problems []error
	bad := func(what, why string) {
		problems = append(problems, model.E(model.Invalid, "read setting", what).Because(why))
	}
	problems = append(problems, c.etcd().Check()...)
	problems = append(problems, c.checkFront()...)
	problems = append(problems, c.checkMonitor()...)
	problems = append(problems, c.checkACME()...)
	addresses := map[string][]string{"http-listen": {c.HTTPListen}, "admin-listen": {c.AdminListen}, "name-servers": c.NameServers}
	if c.HTTPRedirect != "" {
		addresses["http-redirect-listen"] = []string{c.HTTPRedirect}
	}
	for name, v := range addresses {
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
	problems = append(problems, c.checkAudit()...)
	problems = append(problems, c.checkPeople()...)
	if err := oidc.Check(c.Issuers); err != nil {
		problems = append(problems, err)
	}
	if err := webhook.Check(c.Webhooks); err != nil {
		problems = append(problems, err)
	}
	if _, err := c.level(); err != nil {
		problems = append(problems, err)
	}
	if c.GroupMaxAge <= 0 {
		bad("group-max-age", "it is not more than 0")
	}
	for name, v := range map[string]string{"master-key-file": c.MasterKeyFile, "admin-token-file": c.AdminTokenFile} {
		if v == "" {
			bad(name, "it is empty")
		}
	}
	return problems
}

// checkPeople refuses people and groups of issuers that there are not: whoever wrote them
// meant others.
func (c Config) checkPeople() []error {
	var problems []error
	var known []string
	for _, i := range c.Issuers {
		known = append(known, i.Name)
	}
	check := func(setting string, all []model.PrincipalName, hint string) {
		for _, n := range all {
			if slices.Contains(known, n.Issuer()) {
				continue
			}
			why := fmt.Sprintf("%q is nobody: there is no issuer of the name %s among issuers (%s)", n, n.Issuer(), cmp.Or(strings.Join(known, ", "), "none"))
			problems = append(problems, model.E(model.Invalid, "read setting", setting).Because(why).Hint(hint))
		}
	}
	operators, err := c.operators()
	if err != nil {
		problems = append(problems, err)
	}
	check("operators", operators, "")
	barred, err := c.barred()
	if err != nil {
		problems = append(problems, err)
	}
	check("blocked-principals", barred.Principals, "API tokens of people of an issuer that is no more are refused after signpost principal disable")
	return problems
}

func (c Config) barred() (controlapi.Barred, error) {
	return controlapi.ParseBarred(c.BlockedHosts, c.BlockedPrincipals, c.BlockedAgents, c.BlockedAddresses)
}

func (c Config) operators() ([]model.PrincipalName, error) {
	var out []model.PrincipalName
	for _, text := range c.Operators {
		n, err := model.ParsePrincipalName("operators", text)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// tellOpenFiles warns of files with secrets that anybody on this machine can read or write.
// It is no error: some machines have no other users, and some ways to mount files no modes.
func (c Config) tellOpenFiles(log *slog.Logger) {
	secret := append([]string{c.MasterKeyFile, c.AdminTokenFile, c.TLSKey, c.EtcdKey, c.EtcdPasswordFile, c.ACMEEABFile}, c.FurtherKeyFiles...)
	for _, i := range c.Issuers {
		secret = append(secret, i.IntrospectionSecretFile)
	}
	for _, w := range c.Webhooks {
		secret = append(secret, w.KeyFile)
	}
	for _, file := range secret {
		if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o007 != 0 {
			log.Warn("anybody on this machine can read a file with a secret in it; chmod o-rwx it", "file", file, "mode", info.Mode().Perm().String())
		}
	}
}
