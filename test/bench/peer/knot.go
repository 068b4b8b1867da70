package peer

var knot = Peer{
	Name: "knot", Package: "knot", Program: "knotd", version: []string{"--version"}, Reference: true,
	Note: "{workers} UDP workers; the zone file is loaded at each start, no journal",
	conf: "knot.conf", args: []string{"-c", "{dir}/knot.conf"},
	config: `server:
  rundir: "{dir}"
  listen: 127.0.0.1@{port}
  udp-workers: {workers}
  tcp-workers: 1
  background-workers: 1
log:
  - target: stderr
    any: error
database:
  storage: "{dir}"
template:
  - id: default
    storage: "{dir}"
    semantic-checks: off
    zonefile-sync: -1
    journal-content: none
zone:
  - domain: {zone}
    file: "{file}"
`,
}
