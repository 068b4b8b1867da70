package egi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	pb "signpost/proto/signpost/v1"
)

// Pages of 10, with search and ordering.
func TestPages(t *testing.T) {
	w := newWorld(t)
	w.zone(t, "example.org", "everyone")
	for i := range 12 {
		comment := ""
		if i%5 == 0 {
			comment = "Rack " + fmt.Sprint(9-i/5)
		}
		_, err := w.service.CreateHost(w.as(t.Context(), "alice"), &pb.CreateHostRequest{Fqdn: fmt.Sprintf("n%02d.example.org", i), Comment: comment})
		check(t, err)
	}
	w.host(t, "bob", "n99.example.org")
	const at = "https://dns.example.com/api/hosts"
	n := func(numbers ...int) (all []string) {
		for _, i := range numbers {
			all = append(all, fmt.Sprintf("n%02d", i))
		}
		return all
	}
	for _, tt := range []struct {
		query          string
		count          int
		next, previous string
		want           []string
	}{
		{"", 12, at + "?page=2", "", n(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)},
		{"?page=1", 12, at + "?page=2", "", n(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)},
		{"?page=2", 12, "", at, n(10, 11)},
		{"?page=last", 12, "", at, n(10, 11)},
		{"?page=2&ordering=-name", 12, "", at + "?ordering=-name", n(1, 0)},
		{"?ordering=-fqdn&search=n0", 10, "", "", n(9, 8, 7, 6, 5, 4, 3, 2, 1, 0)},
		{"?search=rack&ordering=comment", 3, "", "", n(10, 5, 0)},
		{"?search=RACK,N05", 1, "", "", n(5)},
		{"?search=nowhere", 0, "", "", nil},
		{"?ordering=nothing,-comment,name&page=1", 12, at + "?ordering=nothing%2C-comment%2Cname&page=2", "", n(0, 5, 10, 1, 2, 3, 4, 6, 7, 8)},
	} {
		resp, body := w.ask(t, http.MethodGet, "/api/hosts"+tt.query, "alice", "")
		var got struct {
			Count          int
			Next, Previous *string
			Results        []struct{ Name string }
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", tt.query, resp.StatusCode, body)
			continue
		}
		var names []string
		for _, r := range got.Results {
			names = append(names, r.Name)
		}
		if got.Count != tt.count || orNone(got.Next) != tt.next || orNone(got.Previous) != tt.previous || !slices.Equal(names, tt.want) {
			t.Errorf("%s: %d, next %s, previous %s, %v; want %+v", tt.query, got.Count, orNone(got.Next), orNone(got.Previous), names, tt)
		}
	}
	for _, page := range []string{"0", "3", "x", "-1"} {
		if resp, body := w.ask(t, http.MethodGet, "/api/hosts?page="+page, "alice", ""); resp.StatusCode != http.StatusNotFound || body != `{"detail":"Invalid page."}` {
			t.Errorf("page %s: %d %s", page, resp.StatusCode, body)
		}
	}
}

func orNone(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
