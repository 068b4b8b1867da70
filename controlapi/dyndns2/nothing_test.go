package dyndns2_test

import (
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// An update that changes nothing writes nothing to etcd.
func TestNoChangeWritesNothing(t *testing.T) {
	w := newWorld(t)
	fqdn, secret := w.host(t, "example.org", "198.51.100.7", "2001:db8:1::5")
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{w.etcd.Endpoint()}})
	check(t, err)
	t.Cleanup(func() { check(t, etcd.Close()) })
	revision := func() int64 {
		r, err := etcd.Get(t.Context(), "x")
		check(t, err)
		return r.Header.Revision
	}
	follower, _ := w.host(t, "example.org")
	w.follow(t, follower, fqdn, "same", "::9/64")
	before := revision()
	for _, query := range []string{
		"?myip=198.51.100.7", "?myip=198.51.100.7,2001:db8:1::5", "?myip=2001:db8:1::/64", "?myip=preserve", "?myipv6=2001:db8:1::5&hostname=" + fqdn + ",other.example.org",
		"?myip=999", "?myip=127.0.0.1", "?hostname=other.example.org",
	} {
		w.get(t, "/nic/update"+query, fqdn, secret)
	}
	w.token(t, "hostname="+fqdn+",other.example.org&myip=198.51.100.7", "", w.admin, 200, "nochg 198.51.100.7\nnohost")
	if after := revision(); after != before {
		t.Errorf("etcd is at revision %d, was at %d", after, before)
	}
	if resp, body := w.get(t, "/nic/update?myip=198.51.100.8", fqdn, secret); body != "good 198.51.100.8" || revision() == before {
		t.Errorf("%d %q, but etcd is as it was", resp.StatusCode, body)
	}
}
