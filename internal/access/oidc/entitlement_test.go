package oidc

import (
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4/json"

	"signpost/internal/model"
)

const namespace = "urn:mace:egi.eu"

var authorities = []string{"aai.egi.eu", "vo.example.org"}

// AARC-G069, and what could be taken for it.
func TestParseGroup(t *testing.T) {
	for in, want := range map[string]string{
		"urn:mace:egi.eu:group:vo.example.org#aai.egi.eu":                   "vo.example.org",
		"urn:mace:egi.eu:group:vo.example.org":                              "vo.example.org",
		"urn:mace:egi.eu:group:vo:sub:sub2:role=vm_operator#vo.example.org": "vo:sub:sub2:role=vm_operator",
		"urn:mace:egi.eu:group:vo:role=a%2Bb":                               "vo:role=a+b",
		"urn:mace:egi.eu:group:a%2Fb":                                       "a/b",
		"urn:mace:egi.eu:group:caf%C3%A9":                                   "café",
		"urn:mace:egi.eu:group:a%2541":                                      "a%41", // decoded once
		"urn:mace:egi.eu:group:a+b":                                         "a+b",
		"urn:mace:egi.eu:group:vo#other.example":                            "",
		"urn:mace:egi.eu:group:vo#":                                         "",
		"urn:mace:egi.eu:group:vo#aai.egi.eu#aai.egi.eu":                    "",
		"urn:mace:egi.eu:group:vo%23aai.egi.eu":                             "", // an authority that is none
		"urn:mace:egi.eu:group:vo%3Asub":                                    "", // a subgroup that is none
		"urn:mace:egi.eu:group:vo%3arole=admin":                             "",
		"urn:mace:egi.eu:group:vo:role%3Dadmin":                             "", // a role that is none
		"urn:mace:egi.eu:group:vo:%72ole=admin":                             "",
		"urn:mace:egi.eu:group:vo:ROLE=admin":                               "",
		"urn:mace:egi.eu:group:vo:role=admin:sub":                           "",
		"urn:mace:egi.eu:group:vo:role=a:role=b":                            "",
		"urn:mace:egi.eu:group:role=admin":                                  "",
		"urn:mace:egi.eu:group:vo:role=":                                    "",
		"urn:mace:egi.eu:group:vo:":                                         "",
		"urn:mace:egi.eu:group::vo":                                         "",
		"urn:mace:egi.eu:group:":                                            "",
		"urn:mace:egi.eu:group:vo%":                                         "",
		"urn:mace:egi.eu:group:vo%zz":                                       "",
		"urn:mace:egi.eu:groups:vo":                                         "",
		"urn:mace:egi.eu.evil:group:vo":                                     "",
		"urn:mace:egi.eu:sub:group:vo":                                      "",
		"urn:geant:egi.eu:group:vo#aai.egi.eu":                              "",
		"urn:MACE:egi.eu:group:vo":                                          "",
		"urn:mace:egi.eu:res:rcauth#aai.egi.eu":                             "",
		"":                                                                  "",
	} {
		if got, ok := parseGroup(in, namespace, authorities); got != want || ok != (want != "") {
			t.Errorf("%s: %q %t, want %q", in, got, ok, want)
		}
	}
}

func TestGroupsAreBoundedInOrderAndNames(t *testing.T) {
	i := &issuer{Issuer: Issuer{Name: "egi", Namespace: namespace, EntitlementClaims: []string{"a", "b"}}}
	var many []string
	for n := range MaxGroups + 10 {
		many = append(many, "urn:mace:egi.eu:group:g"+strings.Repeat("x", n%200)+string(rune('a'+n/200)))
	}
	raw, err := json.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	groups, more := i.groups(attributes{"a": raw})
	if len(groups) != MaxGroups || !more {
		t.Errorf("%d groups, more %t", len(groups), more)
	}
	groups, more = i.groups(attributes{
		"a": json.RawMessage(`"urn:mace:egi.eu:group:one"`), "c": json.RawMessage(`"urn:mace:egi.eu:group:three"`),
		"b": json.RawMessage(`["urn:mace:egi.eu:group:one", "urn:mace:egi.eu:group:a%20b", "urn:mace:egi.eu:group:a%00", "urn:mace:egi.eu:group:a"]`),
	})
	if len(groups) != 2 || groups[0] != "group:egi/a" || groups[1] != "group:egi/one" || more {
		t.Errorf("%q", groups)
	}
	if groups, _ = i.groups(attributes{"a": json.RawMessage(`{"x":1}`), "b": json.RawMessage(`[1]`)}); groups != nil {
		t.Errorf("%q", groups)
	}
}

// Whatever a group is read as, it can be written as an entitlement in one way only.
func FuzzParseGroup(f *testing.F) {
	for _, s := range []string{
		"urn:mace:egi.eu:group:vo.example.org:sub:role=member#aai.egi.eu", "urn:mace:egi.eu:group:vo%3Asub", "urn:mace:egi.eu:group:vo:role%3Dx",
		"urn:mace:egi.eu:group:a%25:b%2F#vo.example.org", "urn:mace:egi.eu:group:%E2%82%AC", "urn:mace:egi.eu:group:vo:role=role=x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		group, ok := parseGroup(in, namespace, authorities)
		if !ok {
			if group != "" {
				t.Fatalf("%q is refused and %q", in, group)
			}
			return
		}
		if _, authority, given := strings.Cut(in, "#"); given && authority != authorities[0] && authority != authorities[1] {
			t.Fatalf("%q has the authority %q", in, authority)
		}
		parts := strings.Split(group, ":")
		raw, _, _ := strings.Cut(strings.TrimPrefix(in, namespace+":group:"), "#")
		if len(parts) != strings.Count(raw, ":")+1 || strings.Contains(group, "#") {
			t.Fatalf("%q is read as %q", in, group)
		}
		for n, p := range parts {
			if role, ok := strings.CutPrefix(p, roleMark); ok {
				if n == 0 || n != len(parts)-1 || role == "" {
					t.Fatalf("%q has the role %q", in, p)
				}
				parts[n] = roleMark + url.PathEscape(role)
				continue
			}
			parts[n] = url.PathEscape(p)
		}
		again, ok := parseGroup(namespace+":group:"+strings.Join(parts, ":"), namespace, authorities)
		if !ok || again != group {
			t.Fatalf("%q is %q, written again %q %t", in, group, again, ok)
		}
		if g, err := model.Group("egi", group); err == nil && (g.Issuer() != "egi" || !g.IsGroup()) {
			t.Fatalf("%q", g)
		}
	})
}
