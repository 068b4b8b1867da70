package dyndns2_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signpost/controlapi"
	"signpost/internal/access"
	"signpost/internal/store"
	"signpost/internal/store/localetcd"
	pb "signpost/proto/signpost/v1"
)

// counter is a line to etcd that counts the calls on it: each begins with a frame of
// headers (RFC 9113 section 6.2).
type counter struct {
	listener net.Listener
	calls    atomic.Int64
}

func countCalls(t *testing.T, to string) *counter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { l.Close() })
	c := &counter{listener: l}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				return
			}
			go func() { _, _ = io.Copy(client, server); client.Close() }()
			go func() { c.pass(client, server); server.Close() }()
		}
	}()
	return c
}

// pass moves what a client says, frame by frame.
func (c *counter) pass(from io.Reader, to io.Writer) {
	const preface, header, headers = 24, 9, 1
	if _, err := io.CopyN(to, from, preface); err != nil {
		return
	}
	for head := make([]byte, header); ; {
		if _, err := io.ReadFull(from, head); err != nil {
			return
		}
		if head[3] == headers {
			c.calls.Add(1)
		}
		if _, err := to.Write(head); err != nil {
			return
		}
		if _, err := io.CopyN(to, from, int64(binary.BigEndian.Uint32(append([]byte{0}, head[:3]...)))); err != nil {
			return
		}
	}
}

// An update costs at most two round trips to etcd, one that changes nothing or is refused
// one, and also one that twenty hosts follow; with what the service asks of etcd by itself.
func TestAnUpdateCostsAtMostTwoRoundTrips(t *testing.T) {
	etcd := localetcd.New(t)
	line := countCalls(t, strings.TrimPrefix(etcd.Endpoint(), "http://"))
	st, err := store.Open(store.Config{Endpoints: []string{"http://" + line.listener.Addr().String()}})
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
		check(t, st.Close())
	})
	w := worldOn(t, etcd, st, controlapi.Barred{})
	running.Go(func() { _ = st.KeepCopy(ctx) })
	most := uint32(100000)
	_, err = w.service.UpdateZonePolicy(w.asAdmin(t.Context()), &pb.UpdateZonePolicyRequest{Name: "example.org", MaxChanges: &most})
	check(t, err)
	lone, loneSecret := w.host(t, "example.org", "192.0.2.1", "2001:db8::1")
	led, ledSecret := w.host(t, "example.org", "192.0.2.1", "2001:db8::1")
	other, _ := w.host(t, "example.org", "192.0.2.1")
	var followers []string
	for range 20 {
		f, _ := w.host(t, "example.org")
		_, err := w.service.UpdateHost(w.asAdmin(t.Context()), &pb.UpdateHostRequest{Fqdn: f, Follows: &pb.Following{Main: led, Ipv4: "same", Ipv6: "::5/64"}})
		check(t, err)
		followers = append(followers, f)
	}
	_, err = w.service.UpdateZonePolicy(w.asAdmin(t.Context()), &pb.UpdateZonePolicyRequest{Name: "example.org", Register: new("everyone")})
	check(t, err)
	const owned = "owned.example.org"
	asAlice := controlapi.WithCaller(t.Context(), controlapi.Caller{Authorization: "Bearer " + alice})
	_, err = w.service.CreateHost(asAlice, &pb.CreateHostRequest{Fqdn: owned, Addresses: []string{"2001:db8::1"}})
	check(t, err)
	made, err := w.service.CreateToken(asAlice, &pb.CreateTokenRequest{})
	check(t, err)
	for before := line.calls.Load(); ; before = line.calls.Load() { // until there is a copy of the state
		w.get(t, "/nic/update?myip=192.0.2.1", lone, loneSecret)
		if line.calls.Load()-before == 1 {
			break
		}
	}
	for _, tt := range []struct {
		says, path, fqdn, secret, want string // with the number of the update
		updates, trips                 int
	}{
		{"a change", "/nic/update?myip=198.51.100.%d", lone, loneSecret, "good 198.51.100.%d", 30, 1},
		{"no change", "/nic/update?myipv6=2001:db8::1", lone, loneSecret, "nochg 2001:db8::1", 30, 1},
		{"both families", "/nic/update?myip=198.51.101.%[1]d,2001:db8::%[1]d", lone, loneSecret, "good 198.51.101.%[1]d,2001:db8::%[1]d", 30, 1},
		{"a prefix", "/nic/update?myip=2001:db8:%d::/64", lone, loneSecret, "good 2001:db8:%d::", 30, 2},
		{"a bad address", "/nic/update?myip=999", lone, loneSecret, "dnserr", 30, 1},
		{"another's host", "/nic/update?hostname=" + other + "&myip=192.0.2.1", lone, loneSecret, "nohost", 30, 1},
		{"a wrong secret", "/nic/update?myip=192.0.2.1", lone, access.NewHostSecret(), "badauth", 5, 1},
		{"a change that twenty follow", "/nic/update?myip=198.51.100.%d", led, ledSecret, "good 198.51.100.%d", 30, 1},
		{"no change that twenty would follow", "/nic/update?myipv6=2001:db8::1", led, ledSecret, "nochg 2001:db8::1", 30, 1},
		{"with an admin token", "/nic/update?hostname=" + lone + "&myip=198.51.102.%d", "", w.admin, "good 198.51.102.%d", 30, 2},
		{"with an API token", "/nic/update?hostname=" + owned + "&myip=198.51.102.%d", "", made.GetSecret(), "good 198.51.102.%d", 30, 2},
		{"with an API token, no change", "/nic/update?hostname=" + owned + "&myipv6=2001:db8::1", "", made.GetSecret(), "nochg 2001:db8::1", 30, 2},
		{"with a person's token", "/nic/update?hostname=" + owned + "&myip=198.51.103.%d", "", alice, "good 198.51.103.%d", 30, 2},
		{"a list", "/nic/update?hostname=" + owned + "," + other + "&myip=198.51.104.%d", "", w.admin, "good 198.51.104.%[1]d\ngood 198.51.104.%[1]d", 30, 2},
		{"a list, and a prefix", "/nic/update?hostname=" + owned + "," + led + "&myip=2001:db8:%d::/64", "", w.admin, "good 2001:db8:%[1]d::1\ngood 2001:db8:%[1]d::1", 30, 2},
		{"a prefix that twenty follow", "/nic/update?myip=2001:db8:%d::/64", led, ledSecret, "good 2001:db8:%d::", 30, 2},
	} {
		began, calls := time.Now(), int64(0)
		for i := range tt.updates {
			number := func(text string) string {
				if !strings.Contains(text, "%") {
					return text
				}
				return fmt.Sprintf(text, i+1)
			}
			check(t, st.Read(t.Context(), func(*store.Tx) error { return nil })) // the copy has seen the one before
			before := line.calls.Load()
			_, body := w.get(t, number(tt.path), tt.fqdn, tt.secret)
			if calls += line.calls.Load() - before; !strings.HasPrefix(body, number(tt.want)) {
				t.Fatalf("%s: %q, want %q", tt.says, body, number(tt.want))
			}
		}
		t.Logf("%s: %d calls for %d updates", tt.says, calls, tt.updates)
		if own := int64(time.Since(began)/time.Second) + 3; calls > int64(tt.updates*tt.trips)+own { // a probe every two seconds, and starts of watches
			t.Errorf("%s: %d calls for %d updates in %s", tt.says, calls, tt.updates, time.Since(began))
		}
	}
	h, err := w.service.GetHost(w.asAdmin(t.Context()), &pb.GetHostRequest{Fqdn: followers[19]})
	if check(t, err); strings.Join(h.GetAddresses(), " ") != "198.51.100.30 2001:db8:30::5" {
		t.Error(h)
	}
}
