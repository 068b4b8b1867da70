package dev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	mdns "github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/proc/control"
	"signpost/internal/proc/dns"
	"signpost/internal/proc/ports"
	"signpost/internal/store/localetcd"
)

// readyTimeout is how long all parts together may take until the first answers
// are right.
const readyTimeout = 30 * time.Second

// Dev is a running signpost-dev.
type Dev struct {
	Addresses Addresses
	dir       *dir
	etcd      *localetcd.Server
	control   *control.Server
	dns       *dns.Server
}

// Start starts everything and returns when every replica answers for the zone.
// When it fails nothing is left running.
func Start(ctx context.Context, o Options, log *slog.Logger) (*Dev, error) {
	for try := 1; ; try++ {
		p, err := o.plan()
		if err != nil {
			return nil, err
		}
		d := &Dev{}
		if err = d.start(ctx, o, p, log); err == nil {
			return d, nil
		}
		err = errors.Join(err, d.Close())
		if !inUse(err) || !p.found || try == startTries {
			return nil, err
		}
	}
}

// startTries is how often other ports are found when somebody took those that were free.
const startTries = 5

func (d *Dev) start(ctx context.Context, o Options, p plan, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	var err error
	if d.dir, err = openDir(o); err != nil {
		return err
	}
	if d.etcd, err = localetcd.Start(localetcd.Options{Dir: d.dir.path, ListenClient: p.etcd, Compact: true, LogErrors: true}); err != nil {
		return taken(err, "--etcd-listen")
	}
	if d.control, err = control.Start(ctx, d.controlConfig(o, p), log); err != nil {
		return taken(err, "--http-listen")
	}
	if err := d.control.EnsureToken(ctx); err != nil {
		return err
	}
	if err := d.control.EnsureZone(ctx, p.zone.Text(), p.host()); err != nil {
		return err
	}
	for _, addr := range p.dns {
		if err := ports.Free(addr); err != nil { // CoreDNS would share it
			return taken(err, "--dns-listen")
		}
	}
	if d.dns, err = dns.Start(d.corefile(p)); err != nil {
		return taken(err, "--dns-listen")
	}
	for _, addr := range p.dns {
		if err := answers(ctx, addr, p.zone); err != nil {
			return err
		}
	}
	d.Addresses = Addresses{
		PID: os.Getpid(), DNS: p.dns, HTTP: d.control.URL(), Etcd: d.etcd.Endpoint(),
		Zone: p.zone.Text(), AdminTokenFile: d.dir.file("admin.token"),
	}
	return d.dir.writeRun(d.Addresses)
}

func (p plan) host() string {
	host, _, _ := net.SplitHostPort(p.dns[0])
	return host
}

func (d *Dev) controlConfig(o Options, p plan) control.Config {
	return control.Config{
		EtcdEndpoints: []string{d.etcd.Endpoint()}, EtcdPrefix: "/signpost",
		HTTPListen: p.http, AdminListen: "127.0.0.1:0", NameServers: p.dns, LogLevel: "warn",
		MasterKeyFile: d.dir.file("master.key"), AdminTokenFile: d.dir.file("admin.token"),
		ACMEDirectory: o.ACMEDirectory, ACMECA: o.ACMECA,
		Monitor: true, Site: site, Allow: local, ChecksHere: true,
	}
}

// site is that of the monitor.
const site = "dev"

// local is where checks may go so that everything can be tried on one machine.
var local = []string{"*=127.0.0.0/8", "*=::1", "*=10.0.0.0/8", "*=172.16.0.0/12", "*=192.168.0.0/16", "*=fc00::/7"}

// corefile is a server block for each replica. Each has a snapshot of its own, so
// that each follows etcd for itself, as on separate machines.
func (d *Dev) corefile(p plan) string {
	var b strings.Builder
	for i, addr := range p.dns {
		host, port, _ := net.SplitHostPort(addr)
		fmt.Fprintf(&b, ".:%s {\n  bind %s\n  errors\n  bufsize 1232\n  signpost {\n    endpoint %s\n    snapshot %q\n  }\n}\n",
			port, host, d.etcd.Endpoint(), d.dir.file(fmt.Sprintf("replica%d.snapshot", i+1)))
	}
	return b.String()
}

// answers waits until the server at addr answers for the zone.
func answers(ctx context.Context, addr string, zone model.Name) error {
	q := new(mdns.Msg)
	q.SetQuestion(zone.String(), mdns.TypeSOA)
	for {
		r, err := mdns.ExchangeContext(ctx, q, addr)
		if err == nil && r.Rcode == mdns.RcodeSuccess && len(r.Answer) == 1 {
			return nil
		}
		select {
		case <-ctx.Done():
			return model.E(model.Unavailable, "wait for answers of", addr).From(errors.Join(err, ctx.Err()))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// taken says which flag to change when an address was in use.
func taken(err error, flag string) error {
	if inUse(err) {
		return fmt.Errorf("%w; give another address with %s (port 0 takes a free one)", err, flag)
	}
	return err
}

// inUse reports whether somebody has an address already; CoreDNS keeps the words alone.
func inUse(err error) bool { return strings.Contains(err.Error(), "address already in use") }

// Close stops all parts, the name servers first, and leaves the data for the next
// start unless it was ephemeral.
func (d *Dev) Close() error {
	var errs []error
	if d.dns != nil {
		errs = append(errs, d.dns.Stop())
	}
	if d.control != nil {
		errs = append(errs, d.control.Close())
	}
	if d.etcd != nil {
		errs = append(errs, d.etcd.Close())
	}
	if d.dir != nil {
		errs = append(errs, d.dir.close())
	}
	return errors.Join(errs...)
}
