package dyndns2_test

import (
	"fmt"
	"strings"
	"testing"

	pb "signpost/proto/signpost/v1"
)

// follow has a host follow another.
func (w *world) follow(t *testing.T, fqdn, main, v4, v6 string) {
	t.Helper()
	_, err := w.service.UpdateHost(w.asAdmin(t.Context()), &pb.UpdateHostRequest{Fqdn: fqdn, Follows: &pb.Following{Main: main, Ipv4: v4, Ipv6: v6}})
	check(t, err)
}

// The router tells where it is, and what is behind it follows; it does not tell itself.
func TestWhatIsBehindARouterFollowsIt(t *testing.T) {
	w := newWorld(t)
	router, secret := w.host(t, "example.org", "192.0.2.1", "2001:db8:1::1")
	nas, nasSecret := w.host(t, "example.org")
	w.follow(t, nas, router, "same", "::1:2:3:4/64")
	for _, tt := range []struct{ user, query, want, router, nas string }{
		{"router", "myip=192.0.2.2", "good 192.0.2.2", "192.0.2.2 2001:db8:1::1", "192.0.2.2 2001:db8:1:0:1:2:3:4"},
		{"router", "myip=192.0.2.2", "nochg 192.0.2.2", "192.0.2.2 2001:db8:1::1", "192.0.2.2 2001:db8:1:0:1:2:3:4"},
		{"router", "myipv6=2001:db8:2::/64", "good 2001:db8:2::1", "192.0.2.2 2001:db8:2::1", "192.0.2.2 2001:db8:2:0:1:2:3:4"},
		{"router", "myip=preserve&myipv6=2001:db8:3::1", "good 2001:db8:3::1", "192.0.2.2 2001:db8:3::1", "192.0.2.2 2001:db8:3:0:1:2:3:4"},
		{"nas", "myip=192.0.2.3", "dnserr", "192.0.2.2 2001:db8:3::1", "192.0.2.2 2001:db8:3:0:1:2:3:4"},
		{"nas", "myipv6=2001:db8:4::/64", "dnserr", "192.0.2.2 2001:db8:3::1", "192.0.2.2 2001:db8:3:0:1:2:3:4"},
		{"nas", "myip=192.0.2.2", "nochg 192.0.2.2", "192.0.2.2 2001:db8:3::1", "192.0.2.2 2001:db8:3:0:1:2:3:4"},
		{"router", "myipv6=", "good ::", "192.0.2.2", "192.0.2.2"},
		// In a list the followers come last, wherever they stand.
		{"", "hostname=" + nas + "," + router + "&myip=192.0.2.5", "good 192.0.2.5\ngood 192.0.2.5", "192.0.2.5", "192.0.2.5"},
		{"", "hostname=" + nas + "," + router + "&myip=192.0.2.5", "nochg 192.0.2.5\nnochg 192.0.2.5", "192.0.2.5", "192.0.2.5"},
		{"", "hostname=" + router + "," + nas + "&myip=2001:db8::7", "good 2001:db8::7\ndnserr", "192.0.2.5 2001:db8::7", "192.0.2.5 2001:db8::1:2:3:4"},
	} {
		if tt.user == "" {
			w.token(t, tt.query, "", w.admin, 200, tt.want)
		} else {
			as := map[string][2]string{"router": {router, secret}, "nas": {nas, nasSecret}}[tt.user]
			if _, body := w.get(t, "/nic/update?"+tt.query, as[0], as[1]); body != tt.want {
				t.Errorf("%s %s: %q, want %q", tt.user, tt.query, body, tt.want)
			}
		}
		if r, n := strings.Join(w.addresses(t, router), " "), strings.Join(w.addresses(t, nas), " "); r != tt.router || n != tt.nas {
			t.Errorf("%s %s: %q and %q, want %q and %q", tt.user, tt.query, r, n, tt.router, tt.nas)
		}
	}
}

// More than goes into one change is done one by one.
func TestAListOfManyWithMoreWhoFollow(t *testing.T) {
	w := newWorld(t)
	var names, want []string
	for range 15 {
		main, _ := w.host(t, "example.org")
		names, want = append(names, main), append(want, "good 192.0.2.9")
		for range 3 {
			f, _ := w.host(t, "example.org")
			w.follow(t, f, main, "", "")
		}
	}
	w.token(t, "hostname="+strings.Join(names, ",")+",b&myip=192.0.2.9", "", w.admin, 200, strings.Join(want, "\n")+"\nnotfqdn")
	for i := 1; i <= w.hosts; i++ {
		if got := fmt.Sprint(w.addresses(t, fmt.Sprintf("h%d.example.org", i))); got != "[192.0.2.9]" {
			t.Errorf("h%d has %s", i, got)
		}
	}
}
