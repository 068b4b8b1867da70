package dyndns2_test

import (
	"fmt"
	"strings"
	"testing"

	"signpost/controlapi"
	pb "signpost/proto/signpost/v1"
)

// One reply line each, in order, all in one change: also of twenty hosts in several zones,
// among which are some that are not the caller's.
func TestAListOfNamesIsOneChange(t *testing.T) {
	w := newWorld(t)
	asAlice := controlapi.WithCaller(t.Context(), controlapi.Caller{Authorization: "Bearer " + alice})
	zones := []string{"example.org", "local.example.net"}
	for _, z := range zones {
		_, err := w.service.UpdateZonePolicy(w.asAdmin(t.Context()), &pb.UpdateZonePolicyRequest{Name: z, Register: new("everyone")})
		check(t, err)
	}
	other, _ := w.host(t, "example.org", "192.0.2.1")
	blocked := "blocked.example.org"
	_, err := w.service.CreateHost(asAlice, &pb.CreateHostRequest{Fqdn: blocked})
	check(t, err)
	_, err = w.service.BlockHost(w.asAdmin(t.Context()), &pb.BlockHostRequest{Fqdn: blocked, Reason: "phishing"})
	check(t, err)
	var names, want []string
	for i := range 18 {
		n := fmt.Sprintf("m%d.%s", i, zones[i%2])
		_, err := w.service.CreateHost(asAlice, &pb.CreateHostRequest{Fqdn: n})
		check(t, err)
		names, want = append(names, n), append(want, "good 192.0.2.9,2001:db8::9")
	}
	names = append([]string{other}, append(names, blocked)...)
	want = append([]string{"nohost"}, append(want, "abuse")...)
	made, err := w.service.CreateToken(asAlice, &pb.CreateTokenRequest{})
	check(t, err)
	query := "hostname=" + strings.Join(names, ",") + "&myip=192.0.2.9,2001:db8::9"
	for _, user := range []string{"anybody", ""} {
		w.token(t, query, user, made.GetSecret(), 200, strings.Join(want, "\n"))
		etags := map[string]bool{}
		for _, n := range names[1 : len(names)-1] {
			h, err := w.service.GetHost(asAlice, &pb.GetHostRequest{Fqdn: n})
			check(t, err)
			etags[h.GetEtag()] = true
		}
		if len(etags) != 1 { // an etag is a revision
			t.Errorf("the hosts were changed in %d revisions", len(etags))
		}
		for i := range want {
			want[i] = strings.Replace(want[i], "good", "nochg", 1)
		}
	}
	if got := w.addresses(t, other); len(got) != 1 || got[0] != "192.0.2.1" {
		t.Errorf("another's host has %v", got)
	}
}
