package peer

var nsd = Peer{
	Name: "nsd", Package: "nsd", Program: "nsd", version: []string{"-v"}, Reference: true,
	Note: "{workers} server processes and the one that watches them; no database file",
	conf: "nsd.conf", args: []string{"-d", "-c", "{dir}/nsd.conf"},
	config: `server:
	ip-address: 127.0.0.1
	port: {port}
	do-ip6: no
	server-count: {workers}
	reuseport: yes
	username: ""
	chroot: ""
	database: ""
	zonesdir: "{dir}"
	logfile: "{dir}/nsd.log"
	pidfile: "{dir}/pid"
	xfrdfile: "{dir}/xfrd.state"
	zonelistfile: "{dir}/zone.list"
	xfrdir: "{dir}"
	minimal-responses: yes
	refuse-any: yes
	rrl-ratelimit: 0
remote-control:
	control-enable: no
zone:
	name: {zone}
	zonefile: {file}
`,
}
