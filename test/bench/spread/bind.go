package spread

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"signpost/internal/proc/ports"
	"signpost/test/bench/peer"
	"signpost/test/bench/question"
)

var bindDefault = bind("bind", "a primary and a secondary with NOTIFY and IXFR, all times as by default: notify-delay is 5 s", "")

var bindTuned = bind("bind-tuned", "the same with notify-delay 0 and 1,000 notifications and serial queries a second",
	"notify-delay 0; notify-rate 1000; startup-notify-rate 1000; serial-query-rate 1000;")

func bind(name, note, options string) System {
	return System{
		Name: name, Note: note + "; UPDATE over UDP",
		missing: func(s *peer.Site) string { return s.Need("bind9", func() bool { return has("named") }) },
		version: func(ctx context.Context, _ *peer.Site) (string, error) { return peer.Version(ctx, "named", "-v") },
		start: func(_ context.Context, site *peer.Site, r *running) error {
			return startBind(site, r, filepath.Join(site.Dir, "spread-"+name), options)
		},
	}
}

func has(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

const bindOptions = `options {
	directory "{dir}"; listen-on port {port} { 127.0.0.1; }; listen-on-v6 { none; };
	pid-file "{dir}/pid"; session-keyfile "{dir}/session.key"; lock-file none; managed-keys-directory "{dir}";
	recursion no; empty-zones-enable no; dnssec-validation no; minimal-responses yes; querylog no;
	notify explicit; allow-transfer { 127.0.0.1; }; {options}
};
controls { };
logging { category default { null; }; };
`

func startBind(site *peer.Site, r *running, dir, options string) error {
	first, err := ports.Pairs("127.0.0.1", 2)
	if err != nil {
		return err
	}
	if err := writeZone(filepath.Join(dir, "primary"), site.Names); err != nil {
		return err
	}
	zones := []string{
		`zone "{zone}" { type primary; file "{dir}/zone"; allow-update { 127.0.0.1; }; also-notify { 127.0.0.1 port {second}; }; };`,
		`zone "{zone}" { type secondary; file "{dir}/zone"; primaries { 127.0.0.1 port {first}; }; };`,
	}
	for i, role := range []string{"primary", "secondary"} {
		home := filepath.Join(dir, role)
		text := strings.NewReplacer("{dir}", home, "{port}", strconv.Itoa(first+i), "{first}", strconv.Itoa(first), "{second}", strconv.Itoa(first+1),
			"{zone}", question.Zone, "{options}", options).Replace(bindOptions + zones[i] + "\n")
		if err := os.MkdirAll(home, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(home, "named.conf"), []byte(text), 0o644); err != nil {
			return err
		}
		if err := r.runServer(home, role, first+i, "named", "-f", "-n", strconv.Itoa(site.Workers), "-c", filepath.Join(home, "named.conf")); err != nil {
			return err
		}
	}
	r.updatesTo(r.replicas[0])
	return nil
}

// runServer runs a server of others as the next replica.
func (r *running) runServer(dir, name string, port int, program string, args ...string) error {
	path, err := exec.LookPath(program)
	if err != nil {
		return err
	}
	p, err := peer.Run(dir, name, path, nil, args...)
	if err != nil {
		return err
	}
	r.stops = append(r.stops, p.Stop)
	r.replicas = append(r.replicas, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)))
	return nil
}

// updatesTo makes the updates go to a server.
func (r *running) updatesTo(addr netip.AddrPort) {
	u := &updater{addr: addr}
	r.update = u.update
	r.stops = append(r.stops, u.close)
}

// writeZone puts the zone into a new folder.
func writeZone(dir string, names int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "zone"))
	if err != nil {
		return err
	}
	if err := question.WriteZone(f, names); err != nil {
		f.Close()
		return fmt.Errorf("write the zone: %w", err)
	}
	return f.Close()
}
