package model

import (
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestParseName(t *testing.T) {
	l63 := strings.Repeat("a", 63)
	for _, c := range []struct {
		in, want string // "" is refused
	}{
		{"www.example.org", "www.example.org."},
		{"WWW.Example.ORG.", "www.example.org."},
		{".", "."},
		{"_sip._tcp.example.org", "_sip._tcp.example.org."},
		{"*.example.org", "*.example.org."},
		{`\065bc.example.org`, "abc.example.org."},
		{`a\.b.example.org`, `a\.b.example.org.`},
		{`\255\000.example`, `\255\000.example.`},
		{`a b.example`, `a\ b.example.`},
		{`$x.example`, `$x.example.`},
		{"ü.example", `\195\188.example.`},
		{l63 + ".example", l63 + ".example."},
		{"a" + l63 + ".example", ""},
		{strings.Repeat(l63+".", 3) + strings.Repeat("a", 61), strings.Repeat(l63+".", 3) + strings.Repeat("a", 61) + "."},
		{strings.Repeat(l63+".", 3) + strings.Repeat("a", 62), ""},
		{"", ""},
		{"..", ""},
		{"a..b", ""},
		{".a", ""},
		{`a\`, ""},
		{`a\25`, ""},
		{`a\256`, ""},
	} {
		got, err := ParseName(c.in)
		if string(got) != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q is %q, %v; want %q", c.in, got, err, c.want)
		}
		if err != nil && KindOf(err) != Invalid {
			t.Errorf("%q: the error is of kind %v", c.in, KindOf(err))
		}
	}
}

func TestNameRelations(t *testing.T) {
	for _, c := range []struct {
		n, z      Name
		in, below bool
	}{
		{"www.example.org.", "example.org.", true, true},
		{"example.org.", "example.org.", true, false},
		{"notexample.org.", "example.org.", false, false},
		{`a\.example.org.`, "example.org.", false, false},
		{`a\\.example.org.`, "example.org.", true, true},
		{"org.", "example.org.", false, false},
		{"org.", Root, true, true},
		{Root, Root, true, false},
		{Root, "org.", false, false},
	} {
		if c.n.In(c.z) != c.in || c.n.Below(c.z) != c.below {
			t.Errorf("%s in %s: %v, below: %v", c.n, c.z, c.n.In(c.z), c.n.Below(c.z))
		}
	}
	if p, ok := Name(`a\.b.example.`).Parent(); p != "example." || !ok {
		t.Errorf("the parent is %q", p)
	}
	if p, ok := Name("example.").Parent(); p != Root || !ok {
		t.Errorf("the parent is %q", p)
	}
	if _, ok := Root.Parent(); ok {
		t.Error("the root has a parent")
	}
	if c, err := Name("example.").Child("a.b"); c != `a\.b.example.` || err != nil {
		t.Errorf("the child is %q, %v", c, err)
	}
	if n := Name(`a\.b.example.`); n.CountLabels() != 2 || Root.CountLabels() != 0 {
		t.Error("labels are miscounted")
	}
	if Root.Text() != "." || Name("a.example.").Text() != "a.example" {
		t.Error("the text has not lost just its dot")
	}
	if !Name("*.example.").IsWildcard() || Name("*a.example.").IsWildcard() || Name("a.*.example.").IsWildcard() {
		t.Error("a wildcard is one by its first label")
	}
}

// The example of RFC 4034 section 6.1.
func TestCompareNames(t *testing.T) {
	want := []Name{
		"example.", "a.example.", "yljkjljk.a.example.", "z.a.example.", "zabc.a.example.", "z.example.",
		`\001.z.example.`, "*.z.example.", `\200.z.example.`,
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, CompareNames)
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestParseHostName(t *testing.T) {
	for in, want := range map[string]Name{
		"My-Server.vo.example.org":       "my-server.vo.example.org.",
		"1.example.org.":                 "1.example.org.",
		"bücher.example":                 "xn--bcher-kva.example.",
		"faß.example":                    "xn--fa-hia.example.",
		"":                               "",
		".":                              "",
		"a..b":                           "",
		"-a.example":                     "",
		"a-.example":                     "",
		"a_b.example":                    "",
		"*.example":                      "",
		`a\065.example`:                  "",
		"\xff.example":                   "",
		"a\ufffd.example":                "",
		"a b.example":                    "",
		strings.Repeat("a", 64):          "",
		strings.Repeat("a.", 127) + "aa": "",
	} {
		got, err := ParseHostName("name", in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v; want %q", in, got, err, want)
		}
		if err != nil && (KindOf(err) != Invalid || !strings.Contains(err.Error(), "name: ")) {
			t.Errorf("%q: the error does not name the field: %v", in, err)
		}
	}
}

// A host's name is read as any domain name is, up to the longest.
func TestHostNamesAreDomainNames(t *testing.T) {
	long := strings.Repeat(strings.Repeat("A", 63)+".", 3)
	for _, in := range []string{"a", "A.b-C.", "xn--bcher-kva.example", long + strings.Repeat("b", 61), long + strings.Repeat("b", 61) + ".", long + strings.Repeat("b", 62)} {
		want, wrong := ParseName(in)
		if got, err := ParseHostName("name", in); got != want || (err == nil) != (wrong == nil) {
			t.Errorf("%q is %q, %v; want %q, %v", in, got, err, want, wrong)
		}
	}
}

// Whatever the octets of the labels are, a name is the same in all its forms.
func FuzzName(f *testing.F) {
	for _, s := range []string{"www.example.org", ".", `a\.b`, `\000\255`, "@", "$x", `"`, ";", "A.b.C", strings.Repeat("a", 63)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := NameFromLabels(s); err == nil {
			if l := n.Labels(); len(l) != 1 || l[0] != lower(s) {
				t.Errorf("the label %q became %q", s, l)
			}
			same(t, n)
		}
		if n, err := ParseName(s); err == nil {
			same(t, n)
		}
	})
}

func same(t *testing.T, n Name) {
	t.Helper()
	for form, parse := range map[string]func() (Name, error){
		"text":   func() (Name, error) { return ParseName(n.Text()) },
		"string": func() (Name, error) { return ParseName(n.String()) },
		"labels": func() (Name, error) { return NameFromLabels(n.Labels()...) },
		"wire":   func() (Name, error) { return NameFromWire(n.Wire(nil)) },
		"message": func() (Name, error) {
			m := new(dns.Msg)
			wire, err := m.SetQuestion(n.String(), dns.TypeA).Pack()
			if err != nil {
				return "", err
			}
			if err := m.Unpack(wire); err != nil {
				return "", err
			}
			return NameOf(m.Question[0].Name), nil
		},
	} {
		if got, err := parse(); got != n || err != nil {
			t.Errorf("%q by its %s is %q, %v", n, form, got, err)
		}
	}
	count := 0
	for p, ok := n, n != Root; ok && p != Root; p, ok = p.Parent() {
		if !n.In(p) {
			t.Errorf("%q is not in %q", n, p)
		}
		count++
	}
	if count != n.CountLabels() || count != len(n.Labels()) {
		t.Errorf("%q has %d labels, or %d, or %d", n, count, n.CountLabels(), len(n.Labels()))
	}
}
