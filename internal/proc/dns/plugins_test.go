package dns

import (
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
)

// Every imported plugin can be used in a Corefile, and every directive has its
// plugin.
func TestDirectivesAreThoseOfTheImportedPlugins(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "plugins.go", nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	imported := []string{"signpost"} // by dns.go
	for _, i := range file.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		switch {
		case p == "github.com/coredns/coredns/plugin/metrics":
			imported = append(imported, "prometheus") // the one directive that is not called like its package
		case strings.HasPrefix(p, "github.com/coredns/coredns/plugin/"):
			imported = append(imported, path.Base(p))
		}
	}
	got := Directives()
	slices.Sort(got)
	slices.Sort(imported)
	if !slices.Equal(got, imported) {
		t.Errorf("the directives are\n%v\nand the imported plugins\n%v", got, imported)
	}
	for _, d := range got {
		if _, err := caddy.DirectiveAction("dns", d); err != nil {
			t.Errorf("directive %s has no plugin: %v", d, err)
		}
	}
}

// CoreDNS's order is what its plugins were written for: transfer, cache and the
// rest stand before us, what we pass questions on to behind.
func TestSignpostStandsJustBeforeFileInCoreDNSsOrder(t *testing.T) {
	got := Directives()
	at := slices.Index(got, "signpost")
	if at < 0 || at+1 >= len(got) || got[at+1] != "file" {
		t.Fatalf("signpost does not stand just before file: %v", got)
	}
	for _, before := range []string{"prometheus", "errors", "log", "acl", "cache", "rewrite", "transfer"} {
		if i := slices.Index(got, before); i < 0 || i > at {
			t.Errorf("%s does not stand before signpost", before)
		}
	}
	for _, after := range []string{"secondary", "forward", "whoami"} {
		if slices.Index(got, after) < at {
			t.Errorf("%s does not stand behind signpost", after)
		}
	}
	if len(got) != len(stock)+1 {
		t.Errorf("CoreDNS does not know some of %v", stock)
	}
	if !slices.Equal(dnsserver.Directives, got) {
		t.Error("the server does not use our directives")
	}
}
