// Package test asks: do the promises hold for the whole?
package test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"regexp"
	"strings"
	"testing"
)

// An arrow that must not be, and why. from and never are import path prefixes; a
// prefix matches whole path elements. except lists packages below from that may.
type arrow struct {
	from   string
	never  []string
	but    []string // of never: what is fine all the same
	except []string // of from: rooms that may
	reason string
}

const (
	etcdClient  = "go.etcd.io/etcd/client/v3"
	etcdServer  = "go.etcd.io/etcd/server/v3"
	grpcLib     = "google.golang.org/grpc"
	corednsLib  = "github.com/coredns/coredns"
	netHTTP     = "net/http"
	dnsLib      = "github.com/miekg/dns"
	pebbleLib   = "github.com/letsencrypt/pebble/v2"
	controlRoom = "signpost/controlapi"
	callRoom    = "signpost/controlapi/call"
	storeRoom   = "signpost/internal/store"
	accessRoom  = "signpost/internal/access"
)

var arrows = []arrow{
	{from: "signpost/internal/model", never: []string{etcdClient, etcdServer, grpcLib, corednsLib, netHTTP, "signpost/internal/store", "signpost/plugin"},
		reason: "the model is words only: whoever reaches a network from it would drag it into every room"},
	{from: "signpost/internal/zone", never: []string{etcdClient, etcdServer, grpcLib, corednsLib, netHTTP, storeRoom},
		reason: "an answer is a pure function of a view and a question, and the query path must not be able to block"},
	{from: "signpost/internal/store", never: []string{corednsLib, etcdServer, controlRoom, accessRoom},
		except: []string{"signpost/internal/store/localetcd"},
		reason: "the store is the waist: it knows etcd's client and nobody above it; only tests and signpost-dev link a server"},
	{from: "signpost/internal/access", never: []string{etcdClient, etcdServer, grpcLib, storeRoom},
		reason: "who may do what is decided without looking anything up"},
	{from: "signpost/internal/access", never: []string{netHTTP}, except: []string{"signpost/internal/access/oidc"},
		reason: "who may do what is decided on words; only whose a token is may need a question to its issuer"},
	{from: "signpost/internal/health", never: []string{etcdClient, etcdServer, grpcLib, corednsLib, storeRoom, controlRoom, accessRoom, "signpost/plugin"},
		reason: "whether a target is up is found out by looking at it, not in what is written about it; and a client of gRPC would try again on its own"},
	{from: "signpost/internal/health", never: []string{netHTTP}, except: []string{"signpost/internal/health/probe"},
		reason: "only an attempt speaks to a target; what is made of it must not be able to"},
	{from: "signpost/internal/acme", never: []string{etcdClient, etcdServer, grpcLib, corednsLib, storeRoom, controlRoom, accessRoom, "signpost/plugin"},
		reason: "an authority is asked on behalf of whoever is allowed to; what is kept of it, and how a challenge gets into DNS, is its caller's"},
	{from: "signpost/internal/acme", never: []string{pebbleLib}, except: []string{"signpost/internal/acme/pebbletest"},
		reason: "an authority for tests signs for anybody"},
	{from: "signpost/internal/automation", never: []string{controlRoom, corednsLib, etcdServer},
		reason: "what is done of itself is nobody's call: it has no way in, and judges no credential"},
	{from: "signpost/internal/webhook", never: []string{etcdClient, etcdServer, grpcLib, corednsLib, storeRoom, controlRoom, accessRoom},
		reason: "what speaks to receivers holds no state and no rights: it is given messages, and nothing waits for it"},
	{from: "signpost/internal/monitor", never: []string{controlRoom, accessRoom, corednsLib, etcdServer, "signpost/plugin"},
		reason: "a monitor tries and votes; it holds no code that decides who may do what, or that answers"},
	{from: "signpost/internal/agent", never: []string{etcdClient, etcdServer, corednsLib, storeRoom, controlRoom},
		reason: "a machine speaks the public API only, with a secret that can do little"},
	{from: "signpost/internal/agent", never: []string{grpcLib, netHTTP}, except: []string{"signpost/internal/agent/upstream"},
		reason: "what a machine tells, and when, is decided on injected time without a network"},
	{from: "signpost/internal/cutover", never: []string{etcdClient, etcdServer, grpcLib, corednsLib, netHTTP, storeRoom, controlRoom, accessRoom},
		reason: "what a dump becomes is words; who sends them, and who may, is no matter of it"},
	{from: "signpost/plugin", never: []string{controlRoom, accessRoom, etcdServer},
		reason: "a name server answers; it holds no code that changes anything or judges credentials"},
	{from: "signpost/plugin/batch", never: []string{corednsLib, dnsLib, etcdClient, storeRoom},
		reason: "packets are octets here, so that what is done with them can be changed without a look at sockets"},
	{from: "signpost/plugin/limit", never: []string{corednsLib, dnsLib, etcdClient, storeRoom},
		reason: "a limit is arithmetic on addresses and times that come in through the door"},
	{from: "signpost/controlapi", never: []string{corednsLib, etcdServer}, except: []string{"signpost/controlapi/controltest"},
		reason: "the control service must not need a name server's code"},
	{from: "signpost/cmd/signpostd", never: []string{etcdServer, corednsLib, pebbleLib},
		reason: "production uses a real etcd cluster, not one inside the control service"},
	{from: "signpost/cmd/coredns", never: []string{etcdServer, controlRoom},
		reason: "the name server is small and holds no keys"},
	{from: "signpost/cmd/signpost", never: []string{etcdClient, etcdServer, corednsLib, storeRoom},
		reason: "the command line speaks the public API only, as everybody else does"},
}

// controlMethods is the rooms that the methods of the API are in.
var controlMethods = []string{
	"signpost/controlapi/zones", "signpost/controlapi/zonefile", "signpost/controlapi/hosts", "signpost/controlapi/records",
	"signpost/controlapi/endpoints", "signpost/controlapi/checks", "signpost/controlapi/sites", "signpost/controlapi/certificates",
	"signpost/controlapi/tokens", "signpost/controlapi/people", "signpost/controlapi/cutover", "signpost/controlapi/watch",
	"signpost/controlapi/audit", "signpost/controlapi/status",
}

// directArrows are about what a package itself imports.
var directArrows = []arrow{
	{from: "signpost/controlapi/dyndns2", never: append([]string{storeRoom, accessRoom, etcdClient, callRoom}, controlMethods...),
		reason: "a front-end translates and calls controlapi's service; who goes around the service goes around Decide"},
	{from: "signpost/controlapi/egi", never: append([]string{storeRoom, accessRoom, etcdClient, callRoom}, controlMethods...),
		reason: "a front-end translates and calls controlapi's service; who goes around the service goes around Decide"},
	{from: "signpost/controlapi/serve", never: append([]string{storeRoom, accessRoom, etcdClient, callRoom}, controlMethods...),
		reason: "the protocols translate and call the service; who goes around the service goes around Decide"},
	{from: "signpost/controlapi/call", never: controlMethods,
		reason: "what every call goes through does not depend on what is called"},
	{from: "signpost/controlapi/facts", never: append([]string{callRoom}, controlMethods...),
		reason: "what state says does not depend on who asks"},
	{from: "signpost/controlapi/message", never: controlMethods, reason: "what is kept is shown the same whoever shows it"},
	{from: "signpost/controlapi/rules", never: controlMethods, reason: "what may stand at a name is the same whoever puts it there"},
	{from: "signpost/controlapi/guard", never: controlMethods, reason: "what would be the last endpoint is so whoever takes it away"},
	{from: "signpost/controlapi/clientaddr", never: []string{storeRoom, accessRoom, controlRoom},
		reason: "whose address a request comes from is a matter of its headers alone"},
	{from: "signpost/controlapi/door", never: []string{storeRoom, accessRoom, "signpost/controlapi/serve", "signpost/controlapi/dyndns2"},
		reason: "what holds for every connection does not depend on what is asked"},
	{from: "signpost/controlapi/plain", never: []string{storeRoom, accessRoom, controlRoom},
		reason: "without TLS nothing is looked up and no credential is read"},
	{from: "signpost/internal/certs", never: []string{storeRoom, controlRoom},
		reason: "files of certificates are for whoever shows one"},
	{from: "signpost/internal/health", never: []string{"os", "net", "net/netip", "sync", "context"},
		except: []string{"signpost/internal/health/probe", "signpost/internal/health/reach", "signpost/internal/health/rounds"},
		reason: "a mind is made up from attempts and times that it is shown"},
	{from: "signpost/internal/health/rounds", never: []string{"signpost/internal/health", "net", "os"},
		reason: "when to try is no matter of what is tried, or of what is thought of it"},
	{from: "signpost/internal/cutover", never: []string{"os", "net"}, but: []string{"net/netip", "net/url"},
		except: []string{"signpost/internal/cutover/axfr", "signpost/internal/cutover/dump"},
		reason: "a plan is the same whenever and wherever it is made"},
	{from: "signpost/internal/monitor", never: []string{etcdClient},
		reason: "the store is the waist: a monitor, too, reads and writes through it"},
	{from: "signpost/internal/zone", never: []string{"time", "sync", "os", "net"}, but: []string{"net/netip"}, except: []string{"signpost/internal/zone/zonetest"},
		reason: "the query path reads no clock and takes no lock"},
}

func TestImportArrows(t *testing.T) {
	pkgs := listPackages(t)
	for _, a := range arrows {
		check(t, pkgs, a, func(p pkg) []string { return p.Deps })
	}
	for _, a := range directArrows {
		check(t, pkgs, a, func(p pkg) []string { return p.Imports })
	}
}

func check(t *testing.T, pkgs []pkg, a arrow, reach func(pkg) []string) {
	t.Helper()
	seen := false
	for _, p := range pkgs {
		if !within(p.ImportPath, a.from) || anyWithin(p.ImportPath, a.except) {
			continue
		}
		seen = true
		for _, d := range reach(p) {
			if anyWithin(d, a.never) && !anyWithin(d, a.but) && !within(d, p.ImportPath) {
				t.Errorf("%s reaches %s: %s", p.ImportPath, d, a.reason)
			}
		}
	}
	if !seen {
		t.Errorf("the rule about %s holds nothing: there is no such room", a.from)
	}
}

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Doc        string
	Name       string
}

func listPackages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps=false", "-json=ImportPath,Imports,Deps,Doc,Name", "signpost/...").Output()
	if err != nil {
		var ee *exec.ExitError
		if errors.As(err, &ee) {
			t.Fatalf("go list: %s", ee.Stderr)
		}
		t.Fatal(err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// TestEveryRoomSaysItsQuestion: a room's package comment is where the next person
// starts.
func TestEveryRoomSaysItsQuestion(t *testing.T) {
	for _, p := range listPackages(t) {
		generated := strings.HasSuffix(p.ImportPath, "storepb") || within(p.ImportPath, "signpost/proto")
		if p.Doc == "" && !generated && p.Name != "" && !onlyTests(p) {
			t.Errorf("%s has no package comment: its first sentence says what it is for", p.ImportPath)
		}
	}
}

// TestEveryRoomHasARow: whoever looks for a place for something reads the table of
// docs/architecture.md, and finds what is there and nothing else.
func TestEveryRoomHasARow(t *testing.T) {
	text, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{} // whether there is such a room
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:internal|plugin|controlapi|cmd)[a-z0-9/-]*)(/\\*)?` \\|").FindAllStringSubmatch(string(text), -1) {
		rows["signpost/"+m[1]] = m[2] != ""
	}
	met := map[string]bool{}
	for _, p := range listPackages(t) {
		room := p.ImportPath
		if of := path.Dir(room); rows[of] { // a row for all below
			room = of
		}
		_, there := rows[room]
		met[room] = true
		help := strings.HasSuffix(room, "test") || strings.HasSuffix(room, "storepb") // are of the room around them
		if anyWithin(room, []string{"signpost/internal", "signpost/plugin", "signpost/controlapi"}) && !there && !help && p.Name != "" {
			t.Errorf("docs/architecture.md has no row for %s", room)
		}
	}
	for room := range rows {
		if !met[room] {
			t.Errorf("docs/architecture.md has a row for %s, which is not there", room)
		}
	}
}

func onlyTests(p pkg) bool {
	return len(p.Imports) == 0 && p.Doc == "" && within(p.ImportPath, "signpost/test")
}

func within(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

func anyWithin(path string, prefixes []string) bool {
	for _, p := range prefixes {
		if within(path, p) {
			return true
		}
	}
	return false
}
