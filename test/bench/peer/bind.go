package peer

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"

	"signpost/test/bench/question"
)

const bindConfig = `options {
	directory "{dir}"; listen-on port {port} { 127.0.0.1; }; listen-on-v6 { none; };
	pid-file "{dir}/pid"; session-keyfile "{dir}/session.key"; lock-file none; managed-keys-directory "{dir}";
	recursion no; notify no; empty-zones-enable no; dnssec-validation no; minimal-responses yes;
	querylog no; tcp-clients 50;
};
controls { };
logging { category default { null; }; };
`

var bind = Peer{
	Name: "bind", Package: "bind9", Program: "named", version: []string{"-v"},
	Note: "{workers} threads; the zone as text",
	conf: "named.conf", args: []string{"-f", "-n", "{workers}", "-c", "{dir}/named.conf"},
	config: bindConfig + `zone "{zone}" { type primary; file "{file}"; };
`,
}

// bindRaw starts from the zone as BIND itself writes it.
var bindRaw = Peer{
	Name: "bind-raw", Package: "bind9", Program: "named", version: []string{"-v"},
	Note: "as bind; the zone in its raw format; start and memory without load only", StartOnly: true,
	conf: "named.conf", args: bind.args,
	config: bindConfig + `zone "{zone}" { type primary; masterfile-format raw; file "{dir}/zone.raw"; };
`,
	prepare: func(ctx context.Context, s *Site, dir string) error {
		out, err := exec.CommandContext(ctx, "named-compilezone", "-f", "text", "-F", "raw", "-o", filepath.Join(dir, "zone.raw"), question.Zone, s.zoneFile()).CombinedOutput()
		if err != nil {
			return fmt.Errorf("named-compilezone: %w: %s", err, out)
		}
		return nil
	},
}
