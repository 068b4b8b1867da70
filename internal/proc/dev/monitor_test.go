package dev

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
)

// TestTheMonitorOfDevFailsOver on loopback addresses, of a zone that is made later, too.
func TestTheMonitorOfDevFailsOver(t *testing.T) {
	d := start(t, "--ephemeral", "--replicas=1")
	defer d.Close()
	token, err := os.ReadFile(d.Addresses.AdminTokenFile)
	if err != nil {
		t.Fatal(err)
	}
	must := func(method, path, body string) {
		t.Helper()
		if status := call(t, d.Addresses, string(token), method, path, body); status != 200 {
			t.Fatalf("%s %s: %d", method, path, status)
		}
	}
	front, err := net.Listen("tcp", "127.0.0.1:0") // this machine's own address
	if err != nil {
		t.Fatal(err)
	}
	port := front.Addr().(*net.TCPAddr).Port
	behind, err := net.Listen("tcp", fmt.Sprintf("127.0.1.2:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer behind.Close()
	must("POST", "/v1/zones", `{"name":"later.test","local_addresses":true,"name_servers":[{"name":"ns1.later.test","addresses":["127.0.0.1"]}]}`)
	must("POST", "/v1/hosts", `{"fqdn":"www.later.test"}`)
	must("PUT", "/v1/hosts/www.later.test/policy", `{"kind":"failover"}`)
	must("PUT", "/v1/hosts/www.later.test/endpoints/a", `{"site":"x","addresses":["127.0.0.1"],"priority":0}`)
	must("PUT", "/v1/hosts/www.later.test/endpoints/b", `{"site":"y","addresses":["127.0.1.2"],"priority":1}`)
	must("PUT", "/v1/hosts/www.later.test/check", fmt.Sprintf(`{"kind":"tcp","port":%d,"interval":"1s","timeout":"0.5s","fall":2,"rise":1}`, port))
	answers := func(addr string) {
		t.Helper()
		var r *mdns.Msg
		for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			r = ask(t, d.Addresses.DNS[0], "www.later.test.", mdns.TypeA)
			if len(r.Answer) == 1 && strings.HasSuffix(r.Answer[0].String(), addr) {
				return
			}
		}
		t.Fatalf("it does not answer %s: %v", addr, r)
	}
	answers("127.0.0.1")
	front.Close()
	answers("127.0.1.2")
}
