package signpost

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"
)

func TestEveryOptionAndWhatIsWrongWithIt(t *testing.T) {
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	empty := filepath.Join(dir, "empty")
	for file, text := range map[string]string{password: "secret\n", empty: "\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		in    string
		wrong string // "" : nothing
		check func(options) bool
	}{
		{"", "", func(o options) bool {
			return len(o.zones) == 1 && o.zones[0] == "example.org." && o.settings.prefix == "/signpost" &&
				len(o.settings.endpoints) == 1 && o.settings.endpoints[0] == "http://127.0.0.1:2379" &&
				o.settings.snapshot == "" && o.maxStale == 0 && !o.fall.Through("example.org.")
		}},
		{"A.example. b.example 192.0.2.0/24", "", func(o options) bool {
			return len(o.zones) == 3 && o.zones[0] == "a.example." && o.zones[1] == "b.example." && o.zones[2] == "2.0.192.in-addr.arpa."
		}},
		{"a..example", "is no zone", nil},
		{"{\nendpoint http://192.0.2.1:2379 http://192.0.2.2:2379\n}", "", func(o options) bool { return len(o.settings.endpoints) == 2 }},
		{"{\nendpoint\n}", "write: endpoint URL...", nil},
		{"{\nprefix /other/\n}", "", func(o options) bool { return o.settings.prefix == "/other" }},
		{"{\nprefix other\n}", "start it with /", nil},
		{"{\nprefix /\n}", "start it with /", nil},
		{"{\nprefix /a /b\n}", "write: prefix PATH", nil},
		{"{\ntls a b\n}", "write: tls CERT KEY CA", nil},
		{"{\ntls /nowhere/a /nowhere/b /nowhere/c\n}", "/nowhere/a", nil},
		{"{\ncredentials dns " + password + "\n}", "", func(o options) bool { return o.settings.user == "dns" && o.settings.password.Get() == "secret" }},
		{"{\ncredentials dns /nowhere/password\n}", "put the password of dns there", nil},
		{"{\ncredentials dns " + empty + "\n}", "is empty", nil},
		{"{\ncredentials dns\n}", "write: credentials USER FILE", nil},
		{"{\nsnapshot " + dir + "/s\n}", "", func(o options) bool { return o.settings.snapshot == dir+"/s" }},
		{"{\nsnapshot " + dir + "/none/s\n}", "there is no directory", nil},
		{"{\nsnapshot " + dir + "\n}", "is a directory", nil},
		{"{\nsnapshot\n}", "write: snapshot PATH", nil},
		{"{\nmax_stale 1h\n}", "", func(o options) bool { return o.maxStale == time.Hour && o.settings.probe == probeEvery }},
		{"{\nmax_stale 2s\n}", "", func(o options) bool { return o.settings.probe == time.Second/2 }},
		{"{\nmax_stale 0s\n}", "no duration above zero", nil},
		{"{\nmax_stale soon\n}", "write it as 90s", nil},
		{"{\nmax_stale\n}", "write: max_stale DURATION", nil},
		{"{\nfallthrough\n}", "", func(o options) bool { return o.fall.Through("x.test.") }},
		{"{\nfallthrough a.test b.test\n}", "", func(o options) bool { return o.fall.Through("x.b.test.") && !o.fall.Through("c.test.") }},
		{"{\nfallthrough a..test\n}", "is no zone", nil},
		{"", "", func(o options) bool { return o.sockets == 0 && o.rate == 0 }},
		{"{\nlisten batch\n}", "", func(o options) bool { return o.sockets == runtime.GOMAXPROCS(0) }},
		{"{\nlisten batch 3\n}", "", func(o options) bool { return o.sockets == 3 }},
		{"{\nlisten batch 0\n}", "write a number of sockets from 1 to 64", nil},
		{"{\nlisten batch 65\n}", "write a number of sockets from 1 to 64", nil},
		{"{\nlisten batch two\n}", "write a number of sockets from 1 to 64", nil},
		{"{\nlisten\n}", "write: listen batch [SOCKETS]", nil},
		{"{\nlisten 127.0.0.1\n}", "write: listen batch [SOCKETS]", nil},
		{"{\nlisten batch 1 2\n}", "write: listen batch [SOCKETS]", nil},
		{"{\nlimit 100\n}", "", func(o options) bool { return o.rate == 100 }},
		{"{\nlimit\n}", "write: limit RATE", nil},
		{"{\nlimit 0\n}", "write a number of answers a second from 1 to 1000000", nil},
		{"{\nlimit 1000001\n}", "write a number of answers a second from 1 to 1000000", nil},
		{"{\nlimit many\n}", "write a number of answers a second from 1 to 1000000", nil},
		{"{\nttl 60\n}", `no option "ttl"`, nil},
		{"{\nprefix /a\nprefix /a\n}", "prefix is given twice", nil},
		{"{\nfallthrough\nfallthrough\n}", "fallthrough is given twice", nil},
		{"{\ncluster north-1\n}", "", func(o options) bool { return o.cluster == "north-1" }},
		{"{\ncluster\n}", "write: cluster NAME", nil},
		{"{\ncluster \"a b\"\n}", "write a name of at most 63", nil},
		{"{\ncluster a\n}\nsignpost b.example.org {\nprefix /b\ncluster b\n}", "", func(o options) bool { return o.cluster == "a" && o.zones[0] == "example.org." }},
		{"a.example {\nprefix /a\n}\nsignpost b.example {\nprefix /b\n}", "follow different etcds", nil},
		{"a.example {\nprefix /a\ncluster x\n}\nsignpost b.example {\nprefix /b\ncluster x\n}", "follow different etcds", nil},
		{"a.example\nsignpost b.example {\nfallthrough\n}", "", func(o options) bool { return o.zones[0] == "a.example." }},
		{"a.example b.example\nsignpost B.example", "two signposts of one server block have b.example", nil},
		{"\nsignpost", "two signposts of one server block have example.org", nil},
		{"a.example {\nlisten batch\n}\nsignpost b.example {\nlisten batch\n}", "listen batch is given by two", nil},
		{"a.example {\nlisten batch\n}\nsignpost b.a.example", "b.a.example of another signpost of the block lies inside", nil},
		{"a.example\nsignpost b.a.example {\nlisten batch\n}", "", func(o options) bool { return o.sockets == 0 }},
	} {
		controller := caddy.NewTestController("dns", "signpost "+c.in)
		controller.ServerBlockKeys = []string{"dns://example.org.:53"}
		all, err := parse(controller)
		switch {
		case c.wrong == "" && err != nil:
			t.Errorf("signpost %s: %v", c.in, err)
		case c.wrong == "" && !c.check(all[0]):
			t.Errorf("signpost %s is read as %+v", c.in, all)
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("signpost %s: want an error with %q, got %v", c.in, c.wrong, err)
		}
	}
}

func TestAllMistakesAreToldAtOnce(t *testing.T) {
	_, err := parse(caddy.NewTestController("dns", "signpost {\nprefix a\nmax_stale b\ncolour c\n}"))
	for _, word := range []string{"prefix", "max_stale", "colour"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%v does not tell of %s", err, word)
		}
	}
}

// Nobody but store.Open knows what a good endpoint is; it says so at start.
func TestABadEndpointIsAnErrorAtStart(t *testing.T) {
	for _, bad := range []string{"127.0.0.1:2379", "ftp://127.0.0.1", "http://127.0.0.1:2379/path"} {
		rd := &reader{}
		if err := shared.attach(settings{endpoints: []string{bad}, prefix: "/signpost"}, rd, nil); err == nil {
			shared.detach(rd)
			t.Errorf("endpoint %s is taken", bad)
		}
	}
}

func TestWithoutASnapshotThereIsAWarning(t *testing.T) {
	for in, want := range map[string]int{"signpost": 1, "signpost {\nsnapshot " + t.TempDir() + "/s\n}": 0} {
		got := logged(t, func() {
			if err := setup(caddy.NewTestController("dns", in)); err != nil {
				t.Error(err)
			}
		})
		if len(got) != want || want == 1 && !strings.Contains(got[0], "give `snapshot PATH`") {
			t.Errorf("%s logs %q", in, got)
		}
	}
}
