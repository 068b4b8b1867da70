package peer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"signpost/test/bench/question"
)

// PowerDNSHas says whether a backend is installed: it is a package of its own.
func PowerDNSHas(backend string) bool {
	found, err := filepath.Glob("/usr/lib/*/pdns/lib" + backend + "backend.so")
	return err == nil && len(found) > 0
}

var powerDNS = Peer{
	Name: "powerdns", Package: "pdns-server pdns-backend-bind", Program: "pdns_server", version: []string{"--version"},
	Note: "bind backend; {workers} receiver threads with one distributor each; packet cache and query cache on, as by default",
	conf: "pdns.conf", args: []string{"--config-dir={dir}"},
	config: `launch=bind
bind-config={dir}/bind.conf
local-address=127.0.0.1
local-port={port}
socket-dir={dir}
daemon=no
guardian=no
receiver-threads={workers}
distributor-threads=1
reuseport=yes
loglevel=0
log-dns-queries=no
disable-syslog=yes
webserver=no
api=no
security-poll-suffix=
`,
	prepare: func(_ context.Context, s *Site, dir string) error {
		text := fmt.Sprintf("zone %q { type master; file %q; };\n", question.Zone, s.zoneFile())
		return os.WriteFile(filepath.Join(dir, "bind.conf"), []byte(text), 0o644)
	},
}
