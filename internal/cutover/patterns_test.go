package cutover

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"signpost/internal/model"
)

func TestPatternsOfExpressions(t *testing.T) {
	for in, want := range map[string]string{
		"^admin$":                  "admin",
		"admin":                    "*admin*",
		"^ns":                      "ns*",
		"mail$":                    "*mail",
		"^(a|bc|d[12])$":           "a bc d1 d2",
		"^(www|ftp)$":              "www ftp",
		"^colou?r$":                "color colour",
		"^x.*y$":                   "x*y",
		"^ns[0-9]+$":               "ns0* ns1* ns2* ns3* ns4* ns5* ns6* ns7* ns8* ns9* !",
		"^ns[0-9]*$":               "ns* !",
		"^mx.$":                    "mx* !",
		"^ADMIN$":                  "admin",
		".*":                       "*",
		"^(www|a\\.b)$":            "www",
		"(?<!x)y":                  "only Python",
		"[":                        "only Python",
		"^[^a]$":                   "every name",
		"^[a-z]{1,3}$":             "every name",
		"^.?.$":                    "every name",
		"^a\\.b$":                  "no name of a host",
		"^über$":                   "no name of a host",
		"a^b":                      "beginning or the end within",
		"^$":                       "no name of a host",
		`\badmin\b`:                "* in a pattern cannot stand for",
		strings.Repeat("(a|b)", 6): "more than 32 patterns",
	} {
		got, wider, why := patternsOf(in)
		text := strings.Join(got, " ")
		if wider {
			text += " !"
		}
		if why != "" && strings.Contains(why, want) {
			text = want
		}
		if text != want {
			t.Errorf("%s: %q, want %q", in, text, want)
		}
	}
}

// What an expression is found in its patterns match, and when they are not wider nothing
// else.
func TestPatternsMatchWhatExpressionsDo(t *testing.T) {
	atom := rapid.SampledFrom([]string{"a", "b", "ab", ".", ".*", "[ab]", "(a|b)", "a?", "b+", "(ab)*", "a{2}", "^", "$"})
	rapid.Check(t, func(t *rapid.T) {
		expression := strings.Join(rapid.SliceOfN(atom, 1, 5).Draw(t, "atoms"), "")
		label := rapid.StringMatching(`[ab]{1,5}`).Draw(t, "label")
		patterns, wider, why := patternsOf(expression)
		found := regexp.MustCompile(expression).MatchString(label)
		matched := slices.ContainsFunc(patterns, func(p string) bool { return model.Matches(p, label) })
		if why != "" {
			if found && strings.HasPrefix(why, "no name") {
				t.Fatalf("%s is found in %q: %s", expression, label, why)
			}
			return
		}
		if found && !matched || matched && !found && !wider {
			t.Fatalf("%s in %q: %t; %q match: %t, wider %t", expression, label, found, patterns, matched, wider)
		}
	})
}
