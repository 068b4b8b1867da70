package model_test

import (
	"strings"
	"testing"

	"signpost/internal/model"
)

func TestPrincipalNames(t *testing.T) {
	for _, c := range []struct {
		text, issuer string
		group        bool
	}{
		{"egi/0123456789abcdef@egi.eu", "egi", false},
		{"group:egi/vo.access.egi.eu:role=member", "egi", true},
		{"k8s-1/system:serviceaccount:a/b", "k8s-1", false},
		{"egi/группа", "egi", false},
	} {
		n, err := model.ParsePrincipalName("with", c.text)
		if err != nil || string(n) != c.text || n.Issuer() != c.issuer || n.IsGroup() != c.group {
			t.Errorf("%s: %q of %q, group %v, %v", c.text, n, n.Issuer(), n.IsGroup(), err)
		}
	}
	for _, text := range []string{
		"", "egi", "egi/", "/sub", "EGI/sub", "1egi/sub", "egi/a b", "egi/a\tb", "egi/a\x00", "egi/\xff", "group:", "group:egi", "group:egi/",
		"host/www.example.org", "admin/1", "group/x", "token/1", "system/lease", "egi/" + strings.Repeat("x", 256), strings.Repeat("e", 33) + "/x",
	} {
		if n, err := model.ParsePrincipalName("with", text); model.KindOf(err) != model.Invalid || err == nil || !strings.Contains(err.Error(), "with") {
			t.Errorf("%q: %q, %v; want invalid, naming the field", text, n, err)
		}
	}
}
