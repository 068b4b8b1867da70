package diff

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"signpost/test/proctest"
)

// peer is a name server of others: how to write down its configuration and start it
// in the foreground, with everything it keeps in one folder.
type peer struct {
	name, pkg, program string
	args               []string
	head               string            // {dir} and {port} stand for what they say
	zone               string            // for each zone, {zone} and {file}
	refuses            func(sample) bool // zones that it does not load
}

var peers = []peer{
	{
		name: "BIND", pkg: "bind9", program: "named", args: []string{"-g", "-n", "1", "-c", "{dir}/conf"},
		head: `options {
	directory "{dir}"; listen-on port {port} { 127.0.0.1; }; listen-on-v6 { none; };
	pid-file "{dir}/pid"; session-keyfile "{dir}/session.key"; lock-file none; managed-keys-directory "{dir}";
	recursion no; notify no; empty-zones-enable no; dnssec-validation no; minimal-responses no; max-cache-size 8M;
	check-names primary ignore; tcp-clients 50;
};
controls { };
`,
		zone:    "zone \"{zone}\" { type primary; file \"{file}\"; check-integrity no; };\n",
		refuses: func(s sample) bool { return s.wildNS },
	},
	{
		name: "Knot", pkg: "knot", program: "knotd", args: []string{"-c", "{dir}/conf"},
		head: `server:
  rundir: "{dir}"
  listen: 127.0.0.1@{port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
log:
  - target: stderr
    any: warning
database:
  storage: "{dir}"
template:
  - id: default
    storage: "{dir}"
    semantic-checks: off
    zonefile-sync: -1
    journal-content: none
zone:
`,
		zone:    "  - domain: {zone}\n    file: \"{file}\"\n",
		refuses: func(s sample) bool { return s.belowDNAME },
	},
	{
		name: "NSD", pkg: "nsd", program: "nsd", args: []string{"-d", "-c", "{dir}/conf"},
		head: `server:
	ip-address: 127.0.0.1
	port: {port}
	do-ip6: no
	server-count: 1
	username: ""
	chroot: ""
	database: ""
	zonesdir: "{dir}"
	pidfile: "{dir}/pid"
	xfrdfile: "{dir}/xfrd.state"
	zonelistfile: "{dir}/zone.list"
	xfrdir: "{dir}"
	minimal-responses: no
	refuse-any: no
remote-control:
	control-enable: no
`,
		zone:    "zone:\n\tname: {zone}\n\tzonefile: {file}\n",
		refuses: func(s sample) bool { return s.belowDNAME },
	},
}

// install says why a server cannot be run here, "" when it can.
func (p peer) install() string {
	if _, err := exec.LookPath(p.program); err == nil {
		return ""
	}
	if os.Geteuid() != 0 {
		return "there is no " + p.program + ", and only root can install it: apt-get install " + p.pkg
	}
	// Its service must not start: the test runs it for itself.
	cmd := exec.Command("apt-get", "install", "-y", "--no-install-recommends", p.pkg)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Sprintf("apt-get install %s: %v\n%s", p.pkg, err, out)
	}
	if _, err := exec.LookPath(p.program); err != nil {
		return "it is installed and not found: " + err.Error()
	}
	return ""
}

// start runs the server with the zones and gives its address; it ends with the test.
func (p peer) start(t *testing.T, zones []served) (addr string) {
	t.Helper()
	dir, port := t.TempDir(), proctest.DNSPort(t)
	fill := func(text string) string {
		return strings.NewReplacer("{dir}", dir, "{port}", fmt.Sprint(port)).Replace(text)
	}
	conf := fill(p.head)
	for i, z := range zones {
		file := filepath.Join(dir, fmt.Sprintf("%d.zone", i))
		conf += strings.NewReplacer("{zone}", z.origin, "{file}", file).Replace(p.zone)
		if err := os.WriteFile(file, []byte(z.text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	args := make([]string, len(p.args))
	for i, a := range p.args {
		args[i] = fill(a)
	}
	path, err := exec.LookPath(p.program)
	if err != nil {
		t.Fatal(err)
	}
	proc := proctest.Run(t, dir, p.name, path, args...)
	t.Cleanup(func() { proc.Stop() }) // and with it the processes that it has started
	addr = proctest.Addr(port)
	proctest.Until(t, p.name+" serves all zones", func() error {
		if proc.Exited() {
			t.Fatalf("%s has ended", p.name)
		}
		for _, z := range zones {
			if rcode, _, err := proctest.Ask(addr, z.origin, dns.TypeSOA); err != nil || rcode != dns.RcodeSuccess {
				return fmt.Errorf("%s: %s %v", z.origin, dns.RcodeToString[rcode], err)
			}
		}
		return nil
	})
	return addr
}

// asker is a TCP connection to a server: over it nothing is cut off.
type asker struct {
	conn *dns.Conn
	id   uint16
}

func dial(addr string) (*asker, error) {
	c, err := net.DialTimeout("tcp", addr, proctest.Patience)
	if err != nil {
		return nil, err
	}
	return &asker{conn: &dns.Conn{Conn: c}}, nil
}

func (a *asker) ask(q question) (reply, error) {
	a.id++
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Id: a.id}, Question: []dns.Question{{Name: q.name, Qtype: q.typ, Qclass: dns.ClassINET}}}
	if err := a.conn.SetDeadline(time.Now().Add(proctest.Patience)); err != nil {
		return reply{}, err
	}
	if err := a.conn.WriteMsg(m); err != nil {
		return reply{}, err
	}
	r, err := a.conn.ReadMsg()
	if err != nil || r.Id != m.Id {
		return reply{}, fmt.Errorf("%s: answered %v, %w", q, r, err)
	}
	return replyOf(r.Rcode, r.Authoritative, r.Answer, r.Ns, r.Extra), nil
}
