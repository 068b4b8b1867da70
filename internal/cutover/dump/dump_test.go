package dump_test

import (
	"os"
	"strings"
	"testing"

	"signpost/internal/cutover/dump"
	"signpost/internal/model"
)

func TestADumpIsRead(t *testing.T) {
	f, err := os.Open("../testdata/dump.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := dump.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Domains) != 2 || len(d.Hosts) != 5 || len(d.Related) != 1 || len(d.Blacklist) != 2 || d.NotCarried["main.serviceupdater"] != 1 {
		t.Fatalf("%+v", d)
	}
	www := d.Hosts[0]
	if www.FQDN() != "www.dyn.example.org" || www.Owner.Accounts[0].Subject != "alice@egi.eu" || www.Comment != "my page" || !www.Available ||
		www.UpdateTime4.Format("2006-01-02T15:04:05") != "2026-11-01T10:00:00" || !www.UpdateTime6.IsZero() || www.Netmask6 != 64 || www.Certificate == "" {
		t.Errorf("%+v", www)
	}
	if d.Domains[0].Organization != nil || d.Domains[1].Organization.Name != "urn:mace:egi.eu:group:vo.example.org" || !d.Domains[0].HasKey || d.Domains[1].HasKey {
		t.Errorf("%+v %+v", d.Domains[0], d.Domains[1])
	}
	if a := d.Hosts[2].Owner.Accounts; len(a) != 1 || a[0].Subject != "4711" || a[0].Provider != "github" {
		t.Errorf("%+v", a)
	}
	if d.Related[0].FQDN() != "nas.www.dyn.example.org" || d.Related[0].Interface6 != "::1:2" {
		t.Errorf("%+v", d.Related[0])
	}
}

// People may be referred to by name: dumpdata --natural-foreign --natural-primary.
func TestPeopleByName(t *testing.T) {
	d, err := dump.Read(strings.NewReader(`[
		{"model": "social_django.usersocialauth", "pk": 1, "fields": {"user": ["alice"], "provider": "egi", "uid": "a@egi.eu"}},
		{"model": "main.domain", "pk": 1, "fields": {"name": "d.example.org", "created_by": [ "alice" ]}},
		{"model": "auth.user", "fields": {"username": "alice"}},
		{"model": "main.host", "pk": 1, "fields": {"name": "h", "domain": 1, "created_by": ["alice"]}}]`))
	if err != nil {
		t.Fatal(err)
	}
	if u := d.Hosts[0].Owner; u != d.Domains[0].Owner || len(u.Accounts) != 1 || u.Key != "alice" {
		t.Errorf("%+v", u)
	}
}

// The people's own objects need not be in the dump.
func TestPeopleThatAreNotThere(t *testing.T) {
	d, err := dump.Read(strings.NewReader(`[
		{"model": "social_django.usersocialauth", "pk": 1, "fields": {"user": 7, "provider": "egi", "uid": "a@egi.eu"}},
		{"model": "main.domain", "pk": 1, "fields": {"name": "d.example.org", "created_by": 7}}]`))
	if err != nil || d.Domains[0].Owner.Accounts[0].Subject != "a@egi.eu" || d.Domains[0].Owner.Key != "7" {
		t.Error(err)
	}
}

// What is wrong with a dump is said with the object and the field.
func TestBrokenDumps(t *testing.T) {
	domain := `{"model": "main.domain", "pk": 1, "fields": {"name": "d.example.org", "created_by": 7}}`
	host := func(fields string) string {
		return `[` + domain + `, {"model": "main.host", "pk": 3, "fields": {` + fields + `}}]`
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":         {"", "it ends in the middle"},
		"no list":       {`{"a": 1}`, "does not begin with a list"},
		"cut off":       {`[` + domain + `,`, "it ends in the middle"},
		"cut in object": {`[{"model": "main.host"`, "object 1, octet"},
		"garbage":       {`[` + domain + `, nonsense]`, "object 2"},
		"no model":      {`[{"pk": 1}]`, "object 1: model"},
		"no domain":     {host(`"name": "h", "created_by": 7`), "object 2 (main.host 3): domain: it is missing"},
		"another":       {host(`"name": "h", "domain": 9, "created_by": 7`), "object 2 (main.host 3): domain: there is no main.domain 9 in the dump"},
		"no name":       {host(`"domain": 1, "created_by": 7`), "object 2 (main.host 3): name: it is missing"},
		"no owner":      {host(`"name": "h", "domain": 1`), "object 2 (main.host 3): created_by: it is missing"},
		"flag":          {host(`"name": "h", "domain": 1, "created_by": 7, "abuse": "yes"`), "object 2 (main.host 3): abuse: it is not true or false"},
		"secret":        {host(`"name": "h", "domain": 1, "created_by": 7, "update_secret": 5`), "object 2 (main.host 3): update_secret: it is not a string"},
		"time":          {host(`"name": "h", "domain": 1, "created_by": 7, "created": "yesterday"`), `object 2 (main.host 3): created: "yesterday" is no time`},
		"domain twice":  {`[` + domain + `, {"model": "main.domain", "pk": 2, "fields": {"name": "D.example.org", "created_by": 7}}]`, "domain d.example.org: name: it is in the dump twice"},
		"key twice":     {`[` + domain + `, ` + domain + `]`, "object 2 (main.domain 1): pk: it is the same as that of object 1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := dump.Read(strings.NewReader(c.text))
			if err == nil || model.KindOf(err) != model.Invalid || !strings.Contains(strings.ReplaceAll(err.Error(), "\n", " "), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	raw, err := os.ReadFile("../testdata/dump.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(raw))
	f.Add(`[{"model": "main.host", "pk": 3, "fields": {"domain": [["x"]]}}]`)
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := dump.Read(strings.NewReader(text)); err == nil {
			for _, h := range d.Hosts {
				_ = h.FQDN()
				_ = h.Owner.Accounts
			}
		}
	})
}
