package spread

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"signpost/internal/proc/ports"
	"signpost/test/bench/peer"
	"signpost/test/bench/question"
)

var powerDNS = System{
	Name: "powerdns", most: 20,
	Note: "a primary and a secondary on lmdb, NOTIFY after every update (NOTIFY-DNSUPDATE), AXFR; UPDATE over UDP; offered 20 a second, as of 50 it acknowledged 6 and let half of the rest wait for more than 5 s",
	missing: func(s *peer.Site) string {
		return s.Need("pdns-server pdns-backend-lmdb", func() bool { return has("pdns_server") && peer.PowerDNSHas("lmdb") })
	},
	version: func(ctx context.Context, _ *peer.Site) (string, error) {
		return peer.Version(ctx, "pdns_server", "--version")
	},
	start: startPowerDNS,
}

const powerDNSConfig = `launch=lmdb
lmdb-filename={dir}/pdns.lmdb
local-address=127.0.0.1
local-port={port}
socket-dir={dir}
daemon=no
guardian=no
receiver-threads={workers}
loglevel=0
disable-syslog=yes
webserver=no
api=no
security-poll-suffix=
only-notify=127.0.0.0/8
allow-axfr-ips=127.0.0.0/8
`

func startPowerDNS(ctx context.Context, site *peer.Site, r *running) error {
	first, err := ports.Pairs("127.0.0.1", 2)
	if err != nil {
		return err
	}
	dir := filepath.Join(site.Dir, "spread-powerdns")
	if err := writeZone(filepath.Join(dir, "primary"), site.Names); err != nil {
		return err
	}
	roles := []struct {
		name, config string
		setUp        [][]string
	}{
		{
			"primary", "primary=yes\ndnsupdate=yes\nallow-dnsupdate-from=127.0.0.0/8\nalso-notify=127.0.0.1:{second}\n",
			[][]string{
				{"load-zone", question.Zone, filepath.Join(dir, "primary", "zone")},
				{"set-kind", question.Zone, "primary"},
				{"set-meta", question.Zone, "NOTIFY-DNSUPDATE", "1"},
			},
		},
		{
			"secondary", "secondary=yes\nxfr-cycle-interval=1\n",
			[][]string{{"create-secondary-zone", question.Zone, fmt.Sprintf("127.0.0.1:%d", first)}},
		},
	}
	for i, role := range roles {
		home := filepath.Join(dir, role.name)
		if err := os.MkdirAll(home, 0o755); err != nil {
			return err
		}
		text := strings.NewReplacer("{dir}", home, "{port}", strconv.Itoa(first+i), "{second}", strconv.Itoa(first+1), "{workers}", strconv.Itoa(site.Workers)).
			Replace(powerDNSConfig + role.config)
		if err := os.WriteFile(filepath.Join(home, "pdns.conf"), []byte(text), 0o644); err != nil {
			return err
		}
		for _, args := range role.setUp {
			out, err := exec.CommandContext(ctx, "pdnsutil", append([]string{"--config-dir=" + home}, args...)...).CombinedOutput()
			if err != nil {
				return fmt.Errorf("pdnsutil %v: %w: %s", args, err, out)
			}
		}
		if err := r.runServer(home, role.name, first+i, "pdns_server", "--config-dir="+home); err != nil {
			return err
		}
	}
	r.updatesTo(r.replicas[0])
	return nil
}
