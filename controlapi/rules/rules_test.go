package rules

import (
	"net/netip"
	"testing"

	"signpost/internal/model"
)

// Each row of conflict's table is a case by its name.
func TestConflict(t *testing.T) {
	set := func(rrtype string, rdata ...string) model.RRset {
		n, err := model.ParseType(rrtype)
		if err != nil {
			t.Fatal(err)
		}
		s, err := model.ParseRRset(n, 60, rdata)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	cname, ns, dname, txt := set("CNAME", "a."), set("NS", "a."), set("DNAME", "a."), set("TXT", "x")
	ds := set("DS", "1 13 2 abababababababababababababababababababababababababababababababab")
	host := &model.Host{Endpoints: []model.Endpoint{{ID: model.MainEndpoint, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}}}
	name, star := model.Name("a.example.org."), model.Name("*.example.org.")
	for _, c := range []struct {
		name    string
		at      model.Name
		host    *model.Host
		sets    []model.RRset
		refused bool
	}{
		{"a host with addresses and CNAME", name, host, []model.RRset{cname}, true},
		{"a host with addresses and NS", name, host, []model.RRset{ns}, true},
		{"a host with addresses and DNAME", name, host, []model.RRset{dname}, true},
		{"a host without addresses and CNAME", name, &model.Host{}, []model.RRset{cname}, false},
		{"CNAME and any other set", name, nil, []model.RRset{cname, txt}, true},
		{"more than one CNAME", name, nil, []model.RRset{set("CNAME", "a.", "b.")}, true},
		{"more than one DNAME", name, nil, []model.RRset{set("DNAME", "a.", "b.")}, true},
		{"DNAME and NS", name, nil, []model.RRset{ns, dname}, true},
		{"DS and no NS", name, nil, []model.RRset{ds}, true},
		{"DS and NS", name, nil, []model.RRset{ns, ds}, false},
		{"NS at a wildcard", star, nil, []model.RRset{ns}, true},
		{"anything else", name, host, []model.RRset{txt}, false},
		{"anything else at a wildcard", star, nil, []model.RRset{txt, dname}, false},
		{"anything else hidden", name, nil, []model.RRset{ns, txt}, false},
		{"nothing", name, nil, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if why := Conflict(c.at, &model.NameData{RRsets: c.sets, Host: c.host}); (why != "") != c.refused {
				t.Errorf("%q", why)
			}
		})
	}
}
