package cutover_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"signpost/internal/cutover"
	"signpost/internal/cutover/dump"
	"signpost/internal/model"
)

func zone(t *testing.T, name model.Name, file string) *model.ZoneFile {
	t.Helper()
	f, err := os.Open("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := model.ReadZoneFile(f, name, model.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func sample(t *testing.T) (*dump.Dump, cutover.Options) {
	t.Helper()
	f, err := os.Open("testdata/dump.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := dump.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return d, cutover.Options{
		Zones:   map[model.Name]*model.ZoneFile{"dyn.example.org.": zone(t, "dyn.example.org.", "dyn.zone"), "vo.example.org.": zone(t, "vo.example.org.", "vo.zone")},
		Issuers: map[string]string{"egi": "egi"}, GroupIssuer: "egi", Orphans: "egi/carol@egi.eu",
	}
}

// What a dump and its zones become, and what is said of it.
func TestAPlan(t *testing.T) {
	p, err := cutover.Make(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, z := range p.Zones {
		fmt.Fprintf(&b, "zone %s admins %v register %s groups %v reserved %v\n", z.Name, z.Admins, z.Register, z.Groups, z.Reserved)
		for _, n := range z.Names {
			fmt.Fprintf(&b, "%s", n.Name)
			if h := n.Host; h != nil {
				fmt.Fprintf(&b, " host of %s %v wildcard %t secret %t %q %q %q", h.Owner, h.Addresses, h.Wildcard, h.Secret != "", h.Comment, h.Blocked, h.Disabled)
			}
			for _, s := range n.Sets {
				fmt.Fprintf(&b, " %s %d %v", model.TypeName(s.Type), s.TTL, s.Text())
			}
			b.WriteByte('\n')
		}
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "note %s %s: %s\n", n.About, n.Name, n.Text)
	}
	want, err := os.ReadFile("testdata/plan.txt")
	if err != nil || string(want) != b.String() {
		t.Errorf("%v\n%s", err, b.String())
	}
	if strings.Contains(b.String(), "example.org@") || strings.Contains(b.String(), "bob@") {
		t.Error("an e-mail address is in the plan")
	}
}

// A zone begins with its apex, the serial, and the addresses of its own name servers.
func TestTheStartOfAZone(t *testing.T) {
	p, err := cutover.Make(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	text := p.Zones[0].Start()
	z, err := model.ReadZoneFile(strings.NewReader(text), "dyn.example.org.", model.ReadOptions{})
	if err != nil || z.Serial != 2026112601 || z.Sets != 4 || !strings.Contains(text, "ns1.dyn.example.org. 3600 IN A 192.0.2.53\n") {
		t.Errorf("%v\n%s", err, text)
	}
}

// Who has no account, or several, is told, and nobody is known by an address.
func TestOrphans(t *testing.T) {
	d, o := sample(t)
	o.Orphans = ""
	d.Hosts[0].Owner.Accounts = append(d.Hosts[0].Owner.Accounts, &dump.Account{Provider: "egi", Subject: "alice2@egi.eu"})
	p, err := cutover.Make(d, o)
	if err != nil || len(p.Orphans) != 2 {
		t.Fatal(p.Orphans, err)
	}
	text := fmt.Sprint(p.Notes)
	for _, want := range []string{"user 2 2 accounts at given issuers", "user 3 no account; others: github"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
}

func TestZonesThatAreMissing(t *testing.T) {
	d, o := sample(t)
	delete(o.Zones, "vo.example.org.")
	o.Zones["other.example."] = zone(t, "vo.example.org.", "vo.zone")
	_, err := cutover.Make(d, o)
	for _, want := range []string{"domain vo.example.org: there is no zone for it; give --zone-file vo.example.org=FILE", "zone other.example: the dump has no such domain"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	delete(o.Zones, "other.example.")
	o.Skip = []model.Name{"vo.example.org."}
	if p, err := cutover.Make(d, o); err != nil || len(p.Zones) != 1 || p.Hosts != 4 {
		t.Error(err)
	}
}

// A virtual organisation may be said to be a group.
func TestOrganizations(t *testing.T) {
	d, o := sample(t)
	for name, c := range map[string]struct {
		org  dump.Organization
		want string
	}{
		"cut entitlement": {dump.Organization{Name: "urn:mace:egi.eu:group:vo.example.org"}, "[group:egi/vo.example.org group:egi/vo.example.org:role=member]"},
		"subgroup":        {dump.Organization{Name: "urn:mace:egi.eu:group:vo:sub%2Fx"}, "[group:egi/vo:sub/x group:egi/vo:sub/x:role=member]"},
		"cut too far":     {dump.Organization{Name: "urn:mace:egi.eu:group"}, "[]"},
		"made there":      {dump.Organization{Name: "urn:mace:egi.eu:group:x", Private: true, Members: 3}, "[]"},
		"no entitlement":  {dump.Organization{Name: "friends"}, "[]"},
		"said":            {dump.Organization{Name: "said", Private: true}, "[group:egi/x]"},
	} {
		t.Run(name, func(t *testing.T) {
			o.Groups = map[string][]model.PrincipalName{"said": {"group:egi/x"}}
			d.Domains[1].Organization = &c.org
			p, err := cutover.Make(d, o)
			if err != nil {
				t.Fatal(err)
			}
			z := p.Zones[1]
			if got := fmt.Sprint(z.Groups); got != c.want || (z.Register == model.RegisterNobody) != (c.want == "[]") {
				t.Errorf("%s %s, want %s", got, z.Register, c.want)
			}
		})
	}
}
