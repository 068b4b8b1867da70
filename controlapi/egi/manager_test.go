package egi_test

import (
	"encoding/json"
	"net/http"
	"testing"

	pb "signpost/proto/signpost/v1"
)

// What the Infrastructure Manager asks to give a machine a name, and to take it away: a 200
// is success to it, and status "ok" where there is JSON.
func TestTheInfrastructureManagerGivesAMachineAName(t *testing.T) {
	w := newWorld(t)
	w.zone(t, "example.org", "everyone")
	get := func(path string, into any) {
		t.Helper()
		resp, body := w.ask(t, http.MethodGet, path, "alice", "python-requests/2.31")
		var said struct{ Status string }
		if err := json.Unmarshal([]byte(body), &said); err != nil || resp.StatusCode != http.StatusOK || said.Status != "ok" {
			t.Fatalf("%s: %d %s", path, resp.StatusCode, body)
		}
		check(t, json.Unmarshal([]byte(body), into))
	}
	type host struct {
		Name   string
		IPv4   *string
		Secret string `json:"update_secret"`
	}
	var domains struct {
		Private, Public []struct {
			Name      string
			Available bool
		}
	}
	get("/nic/domains", &domains)
	if all := append(domains.Private, domains.Public...); len(all) != 1 || all[0].Name != "example.org" || !all[0].Available {
		t.Fatalf("domains %v", domains)
	}
	var hosts struct{ Hosts []host }
	get("/nic/hosts?domain=example.org", &hosts)
	if len(hosts.Hosts) != 0 {
		t.Fatalf("hosts %v", hosts)
	}
	var made struct{ Host host }
	get("/nic/register?fqdn=front.example.org&comment=IM%20created%20DNS%20entry&wildcard=true", &made)
	if made.Host.IPv4 != nil || made.Host.Secret == "" {
		t.Fatalf("made %v", made)
	}
	_, err := w.service.SetAddresses(w.as(t.Context(), "alice"), &pb.SetAddressesRequest{Fqdn: "front.example.org", Addresses: []string{"192.0.2.7"}})
	check(t, err) // as /nic/update does
	get("/nic/hosts?domain=example.org", &hosts)
	if len(hosts.Hosts) != 1 || hosts.Hosts[0].Name != "front" || hosts.Hosts[0].IPv4 == nil || *hosts.Hosts[0].IPv4 != "192.0.2.7" {
		t.Fatalf("hosts %v", hosts)
	}
	var gone struct{ Host host }
	get("/nic/unregister?fqdn=front.example.org", &gone)
	if resp, _ := w.ask(t, http.MethodGet, "/nic/unregister?fqdn=front.example.org", "alice", ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("again: %d", resp.StatusCode)
	}
}
