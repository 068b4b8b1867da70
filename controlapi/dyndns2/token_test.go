package dyndns2_test

import (
	"io"
	"net/http"
	"testing"

	"signpost/controlapi"
	pb "signpost/proto/signpost/v1"
)

// An API token updates what it may: as Bearer, as the password of Basic with any user, or
// with the host as the user and no hostname.
func TestAnAPITokenUpdates(t *testing.T) {
	w := newWorld(t)
	_, err := w.service.UpdateZonePolicy(w.asAdmin(t.Context()), &pb.UpdateZonePolicyRequest{Name: "example.org", Register: new("everyone")})
	check(t, err)
	asAlice := controlapi.WithCaller(t.Context(), controlapi.Caller{Authorization: "Bearer " + alice})
	for _, fqdn := range []string{"cam.example.org", "door.example.org"} {
		_, err := w.service.CreateHost(asAlice, &pb.CreateHostRequest{Fqdn: fqdn})
		check(t, err)
	}
	other, _ := w.host(t, "example.org")
	made, err := w.service.CreateToken(asAlice, &pb.CreateTokenRequest{Host: "cam.example.org"})
	check(t, err)
	for _, c := range []struct {
		query, user string // user "": as Bearer
		status      int
		want        string
	}{
		{"hostname=cam.example.org&myip=192.0.2.1", "", 200, "good 192.0.2.1"},
		{"hostname=cam.example.org&myip=192.0.2.2", "anybody", 200, "good 192.0.2.2"},
		{"hostname=cam.example.org&myip=192.0.2.2", "door.example.org", 200, "nochg 192.0.2.2"},
		{"myip=192.0.2.3", "cam.example.org", 200, "good 192.0.2.3"},
		{"hostname=door.example.org&myip=192.0.2.4", "anybody", 200, "nohost"},
		{"myip=192.0.2.4", "door.example.org", 200, "nohost"},
		{"hostname=" + other + "&myip=192.0.2.4", "anybody", 200, "nohost"},
	} {
		w.token(t, c.query, c.user, made.GetSecret(), c.status, c.want)
	}
	_, err = w.service.RevokeToken(asAlice, &pb.RevokeTokenRequest{Id: made.GetToken().GetId()})
	check(t, err)
	w.token(t, "hostname=cam.example.org&myip=192.0.2.9", "", made.GetSecret(), 401, "badauth")
	w.token(t, "myip=192.0.2.9", "cam.example.org", made.GetSecret(), 401, "badauth")
}

func (w *world) token(t *testing.T, query, user, secret string, status int, want string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/nic/update?"+query, nil)
	check(t, err)
	if user == "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	} else {
		req.SetBasicAuth(user, secret)
	}
	resp, err := http.DefaultClient.Do(req)
	check(t, err)
	body, err := io.ReadAll(resp.Body)
	check(t, err)
	check(t, resp.Body.Close())
	if resp.StatusCode != status || string(body) != want {
		t.Errorf("%s as %q: %d %q, want %d %q", query, user, resp.StatusCode, body, status, want)
	}
}
