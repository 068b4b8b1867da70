// Package peer answers one question: how is each name server configured, started and
// stopped, so that all serve the same zone in the same spirit? That spirit is: as
// many threads or processes for UDP as told, no logs, no rate limits, no DNSSEC, as
// few additional records as the server knows how to leave out.
package peer

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"signpost/internal/proc/ports"
	"signpost/test/bench/question"
)

// Site is where the peers of one comparison live.
type Site struct {
	Dir     string // all that they keep is below; the caller removes it
	Bin     string // where `make build` has put our programs
	Names   int
	Workers int // threads or processes for UDP, for each of them
	// Install lets missing Debian packages be installed.
	Install bool
}

// Peer is one way of serving the zone. The zero value of a field says no.
type Peer struct {
	Name    string // in flags and reports
	Note    string // what a reader of its figures must know
	Package string // of Debian; more than one are separated by spaces
	Program string // that the package brings; else one of ours
	version []string
	// Loose: it answers, but not what was asked for.
	Loose bool
	// StartOnly: its start and its memory without load are measured, no more.
	StartOnly bool
	// Reference: ours is compared with the best of these.
	Reference bool
	// prepare makes what the server finds on disk when it starts, in dir.
	prepare func(ctx context.Context, s *Site, dir string) error
	// config is the text of the configuration, with {dir}, {port}, {workers}, {zone},
	// {file}, {etcd} and {http} (a free port) standing for what they say; conf is its
	// file.
	config, conf string
	args         []string
	// etcd names the folder of the site with the etcd that the server asks. It is
	// counted as part of the server if countEtcd.
	etcd      string
	countEtcd bool
}

// All is every peer, in the order in which they take their turns.
func All() []Peer {
	out := []Peer{nsd, knot, bind, bindRaw, powerDNS, coreFile, coreEtcd, coreConstant}
	return append(out, ours...)
}

// Server is a peer that runs.
type Server struct {
	Addr  netip.AddrPort
	Began time.Time // when its process was started
	proc  *Proc
	etcd  *Etcd
	count []int
}

// Pids is the processes that are counted as the server; what they have started
// belongs to them.
func (s *Server) Pids() []int { return s.count }

// Ended says why the server is no longer there, nil while it is.
func (s *Server) Ended() error { return s.proc.Ended() }

// Stop ends the server and what was started for it.
func (s *Server) Stop() error {
	err := s.proc.Stop()
	if s.etcd != nil {
		err = errors.Join(err, s.etcd.Stop())
	}
	return err
}

// Start starts a prepared peer and returns at once: it may not answer yet.
func (p Peer) Start(ctx context.Context, site *Site) (*Server, error) {
	dir := p.dir(site)
	port, err := ports.Pairs("127.0.0.1", 1)
	if err != nil {
		return nil, err
	}
	s := &Server{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))}
	values := map[string]string{
		"dir": dir, "port": strconv.Itoa(port), "workers": strconv.Itoa(site.Workers), "zone": question.Zone,
		"file": site.zoneFile(), "site": site.Dir,
	}
	if strings.Contains(p.config, "{http}") {
		http, err := ports.TCP("127.0.0.1")
		if err != nil {
			return nil, err
		}
		values["http"] = "127.0.0.1:" + strconv.Itoa(http)
	}
	if p.etcd != "" {
		if s.etcd, err = StartEtcd(ctx, site, p.etcd, noFsync); err != nil {
			return nil, err
		}
		values["etcd"] = s.etcd.URL
	}
	if err := p.start(s, site, dir, values); err != nil {
		if s.etcd != nil {
			err = errors.Join(err, s.etcd.Stop())
		}
		return nil, err
	}
	return s, nil
}

func (p Peer) start(s *Server, site *Site, dir string, values map[string]string) error {
	if err := os.WriteFile(filepath.Join(dir, p.conf), []byte(fill(p.config, values)), 0o644); err != nil {
		return err
	}
	path, err := p.path(site)
	if err != nil {
		return err
	}
	var args []string
	for _, a := range p.args {
		args = append(args, fill(a, values))
	}
	s.Began = time.Now()
	if s.proc, err = Run(dir, p.Name, path, []string{"GOMAXPROCS=" + strconv.Itoa(site.Workers)}, args...); err != nil {
		return err
	}
	s.count = []int{s.proc.Pid()}
	if p.countEtcd {
		s.count = append(s.count, s.etcd.proc.Pid())
	}
	return nil
}

func fill(text string, values map[string]string) string {
	var pairs []string
	for k, v := range values {
		pairs = append(pairs, "{"+k+"}", v)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// Prepare makes what the peer has on disk before it starts.
func (p Peer) Prepare(ctx context.Context, site *Site) error {
	if err := os.MkdirAll(p.dir(site), 0o755); err != nil {
		return err
	}
	if _, err := os.Stat(site.zoneFile()); err != nil {
		if err := site.writeZone(); err != nil {
			return err
		}
	}
	if p.prepare == nil {
		return nil
	}
	if err := p.prepare(ctx, site, p.dir(site)); err != nil {
		return fmt.Errorf("prepare %s: %w", p.Name, err)
	}
	return nil
}

func (p Peer) dir(site *Site) string { return filepath.Join(site.Dir, p.Name) }

func (s *Site) zoneFile() string { return filepath.Join(s.Dir, "zone") }

func (s *Site) writeZone() error {
	f, err := os.Create(s.zoneFile())
	if err != nil {
		return err
	}
	return errors.Join(question.WriteZone(f, s.Names), f.Close())
}

func (p Peer) path(site *Site) (string, error) {
	if p.Package == "" {
		return filepath.Join(site.Bin, p.Program), nil
	}
	return exec.LookPath(p.Program)
}

var versions = regexp.MustCompile(`\d+\.\d+(\.\d+)*`)

// Version is what the program says of itself.
func (p Peer) Version(ctx context.Context, site *Site) (string, error) {
	path, err := p.path(site)
	if err != nil {
		return "", err
	}
	return Version(ctx, path, p.version...)
}

// Version is what a program says of itself when it is run with these arguments.
func Version(ctx context.Context, path string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	for line := range strings.Lines(string(out)) { // PowerDNS ends with an error for having been asked
		if v := versions.FindString(afterDate.ReplaceAllString(line, "")); v != "" {
			return v, nil
		}
	}
	return "", errors.Join(fmt.Errorf("ask %s for its version: it says %q", path, out), err)
}

// afterDate is a time of day, which is no version.
var afterDate = regexp.MustCompile(`\d+:\d+:\d+`)
