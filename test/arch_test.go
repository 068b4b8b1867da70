// Package test asks: do the promises hold for the whole?
package test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// An arrow that must not be, and why. from and never are import path prefixes; a
// prefix matches whole path elements. except lists packages below from that may.
type arrow struct {
	from   string
	never  []string
	except []string
	reason string
}

const (
	etcdClient  = "go.etcd.io/etcd/client/v3"
	etcdServer  = "go.etcd.io/etcd/server/v3"
	grpcLib     = "google.golang.org/grpc"
	corednsLib  = "github.com/coredns/coredns"
	netHTTP     = "net/http"
	controlRoom = "signpost/controlapi"
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
	{from: "signpost/plugin", never: []string{controlRoom, accessRoom, etcdServer},
		reason: "a name server answers; it holds no code that changes anything or judges credentials"},
	{from: "signpost/controlapi", never: []string{corednsLib, etcdServer},
		reason: "the control service must not need a name server's code"},
	{from: "signpost/cmd/signpostd", never: []string{etcdServer, corednsLib},
		reason: "production uses a real etcd cluster, not one inside the control service"},
	{from: "signpost/cmd/coredns", never: []string{etcdServer, controlRoom},
		reason: "the name server is small and holds no keys"},
	{from: "signpost/cmd/signpost", never: []string{etcdClient, etcdServer, corednsLib, storeRoom},
		reason: "the command line speaks the public API only, as everybody else does"},
}

// directArrows are about what a package itself imports.
var directArrows = []arrow{
	{from: "signpost/controlapi/dyndns2", never: []string{storeRoom, accessRoom, etcdClient},
		reason: "a front-end translates and calls the service; who goes around the service goes around Decide"},
	{from: "signpost/controlapi/serve", never: []string{storeRoom, accessRoom, etcdClient},
		reason: "the protocols translate and call the service; who goes around the service goes around Decide"},
	{from: "signpost/controlapi/clientaddr", never: []string{storeRoom, accessRoom, controlRoom},
		reason: "whose address a request comes from is a matter of its headers alone"},
	{from: "signpost/internal/zone", never: []string{"time", "sync", "os", "net"}, except: []string{"signpost/internal/zone/zonetest"},
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
			if anyWithin(d, a.never) && !within(d, p.ImportPath) {
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
