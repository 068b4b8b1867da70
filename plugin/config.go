package signpost

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/fall"

	"signpost/internal/certs"
	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/plugin/batch"
	"signpost/plugin/limit"
)

// probeEvery is how often a replica asks etcd whether it still knows the newest
// state.
const probeEvery = 2 * time.Second

// options is what one directive says.
type options struct {
	zones    []model.Name
	cluster  string        // the etcd's name in metrics and in the log; "": it has none
	maxStale time.Duration // 0: no limit
	fall     fall.F
	rate     int // of answers a second to one network; 0: no limit
	sockets  int // for batches, on each address; 0: CoreDNS's own is all there is
	settings settings
}

var clusterName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)

// settings is what makes a replica: directives that agree on all of it share one.
type settings struct {
	endpoints    []string
	prefix       string
	tls          *store.TLS
	files        []string // that tls is from
	user         string
	password     *certs.Word // nil: there is no user
	passwordFile string
	snapshot     string
	probe        time.Duration
}

// key is equal for settings that make the same replica. What files hold is no part of it:
// they are read again when they change.
func (s settings) key() string {
	return fmt.Sprintf("%q %q %q %q %q %q %s", s.endpoints, s.prefix, s.files, s.user, s.passwordFile, s.snapshot, s.probe)
}

// parse reads the directives of a server block. It reports all that is wrong at once.
func parse(c *caddy.Controller) ([]options, error) {
	var all []options
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, c.Errf(format, args...)) }
	for c.Next() {
		all = append(all, directive(c, bad))
	}
	apart(all, bad)
	return all, errors.Join(problems...)
}

// directive reads one directive.
func directive(c *caddy.Controller, bad func(string, ...any)) options {
	o := options{settings: settings{endpoints: []string{store.DefaultEndpoint}, prefix: store.DefaultPrefix, probe: probeEvery}}
	args := c.RemainingArgs()
	if len(args) == 0 {
		args = c.ServerBlockKeys
	}
	for _, z := range zones(args, bad) {
		n, err := model.ParseName(z)
		if err != nil {
			bad("%v", err)
			continue
		}
		o.zones = append(o.zones, n)
	}
	seen := map[string]bool{}
	for c.NextBlock() {
		word := c.Val()
		if seen[word] {
			bad("%s is given twice; give it once", word)
		}
		seen[word] = true
		o.option(word, c.RemainingArgs(), bad)
	}
	return o
}

func (o *options) option(word string, args []string, bad func(string, ...any)) {
	want := func(usage string, n int) bool {
		if len(args) != n {
			bad("%s has %d arguments; write: %s", word, len(args), usage)
		}
		return len(args) == n
	}
	s := &o.settings
	switch word {
	case "endpoint":
		if len(args) == 0 {
			bad("endpoint has no arguments; write: endpoint URL..., such as endpoint %s", store.DefaultEndpoint)
		}
		s.endpoints = args // store.Open says what is wrong with one
	case "prefix":
		if want("prefix PATH", 1) {
			s.prefix = strings.TrimRight(args[0], "/")
			if !strings.HasPrefix(s.prefix, "/") {
				bad("prefix %q is no path; start it with / and a word, as in %s", args[0], store.DefaultPrefix)
			}
		}
	case "tls":
		if want("tls CERT KEY CA", 3) {
			s.readTLS(args[0], args[1], args[2], bad)
		}
	case "credentials":
		if want("credentials USER FILE", 2) {
			s.readPassword(args[0], args[1], bad)
		}
	case "snapshot":
		if want("snapshot PATH", 1) {
			s.checkSnapshot(args[0], bad)
		}
	case "cluster":
		if want("cluster NAME", 1) {
			o.cluster = args[0]
			if !clusterName.MatchString(o.cluster) {
				bad("cluster %q: write a name of at most 63 letters, digits, - and _", o.cluster)
			}
		}
	case "max_stale":
		if want("max_stale DURATION", 1) {
			o.stale(args[0], bad)
		}
	case "limit":
		if want("limit RATE", 1) {
			o.rate = number("limit", args[0], "answers a second", limit.MaxRate, bad)
		}
	case "listen":
		o.listen(args, bad)
	case "fallthrough":
		o.fall.SetZonesFromArgs(zones(args, bad))
	default:
		bad("there is no option %q; there are endpoint, prefix, tls, credentials, snapshot, cluster, max_stale, limit, listen and fallthrough", word)
	}
}

func (o *options) listen(args []string, bad func(string, ...any)) {
	o.sockets = runtime.GOMAXPROCS(0)
	if len(args) == 0 || len(args) > 2 || args[0] != "batch" {
		bad("listen has the arguments %q; write: listen batch [SOCKETS]", args)
		return
	}
	if len(args) == 1 {
		return
	}
	o.sockets = number("listen batch", args[1], "sockets", batch.MaxSockets, bad)
}

func number(word, text, of string, most int, bad func(string, ...any)) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		bad("%s %q: write a number of %s from 1 to %d", word, text, of, most)
	}
	return n
}

func (s *settings) checkSnapshot(path string, bad func(string, ...any)) {
	s.snapshot = filepath.Clean(path)
	dir := filepath.Dir(s.snapshot)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		bad("snapshot %q: there is no directory %s; make it, writable for this process", path, dir)
	} else if info, err := os.Stat(s.snapshot); err == nil && info.IsDir() {
		bad("snapshot %q is a directory; name a file in it", path)
	}
}

func (o *options) stale(text string, bad func(string, ...any)) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		bad("max_stale %q is no duration above zero; write it as 90s, 30m or 12h", text)
	}
	// A limit near the interval of asking would be passed between two answers.
	o.maxStale, o.settings.probe = d, max(min(probeEvery, d/4), 50*time.Millisecond)
}

func (s *settings) readTLS(cert, key, ca string, bad func(string, ...any)) {
	var err error
	if s.tls, err = store.TLSFromFiles(cert, key, ca, certLog{}); err != nil {
		bad("%v", err)
	}
	s.files = []string{cert, key, ca}
}

// certLog is CoreDNS's log for renewals of certificates and passwords.
type certLog struct{}

func (certLog) Info(msg string, args ...any)  { log.Infof("%s: %v", msg, args) }
func (certLog) Error(msg string, args ...any) { log.Errorf("%s: %v", msg, args) }

func (s *settings) readPassword(user, file string, bad func(string, ...any)) {
	var err error
	if s.password, err = certs.OpenWord("etcd password", file, certLog{}); err != nil {
		bad("credentials: %v; put the password of %s there, readable for this process", err, user)
		return
	}
	if s.user, s.passwordFile = user, file; s.user == "" {
		bad("credentials: the user is empty; name the one whose password is in %s", file)
	}
}

// zones expands what may stand for a zone in a Corefile: names, names with a
// transport or port as in a server block, and networks for reverse zones.
func zones(args []string, bad func(string, ...any)) []string {
	var out []string
	for _, a := range args {
		expanded := plugin.Host(a).NormalizeExact()
		if len(expanded) == 0 {
			bad("%q is no zone; write a domain name or a network such as 192.0.2.0/24", a)
		}
		out = append(out, expanded...)
	}
	return out
}

// servers is the addresses of the servers of the directive's block, as CoreDNS
// writes them in metrics.
func servers(c *caddy.Controller) []string {
	var out []string
	for _, config := range configs(c) {
		for _, host := range config.ListenHosts {
			addr, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(host, config.Port))
			if err != nil {
				continue // the server itself fails to start with the reason
			}
			out = append(out, config.Transport+"://"+addr.String())
		}
	}
	return out
}

// configs is what CoreDNS keeps for each key of the directive's server block.
func configs(c *caddy.Controller) []*dnsserver.Config {
	out := make([]*dnsserver.Config, len(c.ServerBlockKeys))
	for i := range out {
		key := *c
		key.ServerBlockKeyIndex = i
		out[i] = dnsserver.GetConfig(&key)
	}
	return out
}
