package controlapi_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// Whatever is done in whatever order, who follows and who is followed say the same, nobody who
// follows is followed, and what followers have is made of what their main hosts have.
func TestFollowersAndMainHostsAgree(t *testing.T) {
	s := start(t)
	s.zone("vo.example.org")
	s.policy("vo.example.org", &pb.UpdateZonePolicyRequest{Register: new("everyone"), Quarantine: new(uint32(0)), MaxChanges: new(uint32(1 << 20))})
	var names []string
	for i := range 5 {
		names = append(names, fmt.Sprintf("h%d.vo.example.org", i))
	}
	people := []string{"egi/alice", "egi/bob"}
	left, failed := 25, false // sequences, which each take a tenth of a second; more only to find the shortest that fails
	rapid.Check(t, func(t *rapid.T) {
		if left--; left < 0 && !failed {
			return
		}
		defer func() { failed = failed || t.Failed() }()
		for _, n := range names {
			_, _ = s.hosts.DeleteHost(s.admin(), &pb.DeleteHostRequest{Fqdn: n})
			_, err := s.hosts.CreateHost(person(rapid.SampledFrom(people).Draw(t, "owner")), &pb.CreateHostRequest{Fqdn: n})
			s.done(err)
		}
		name := rapid.SampledFrom(names)
		address := rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.2", "2001:db8:1::1", "2001:db8:2::1", "2001:db8:1::2"})
		try := func(any, error) {} // what is refused changes nothing
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				try(s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: name.Draw(t, "host"), Addresses: rapid.SliceOfN(address, 1, 3).Draw(t, "addresses")}))
			},
			"set each": func(t *rapid.T) {
				all := rapid.SliceOfNDistinct(name, 2, 3, rapid.ID).Draw(t, "hosts")
				try(s.each(s.admin(), address.Draw(t, "address"), all...))
			},
			"clear": func(t *rapid.T) {
				try(s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: name.Draw(t, "host"), ClearIpv6: true}))
			},
			"follow": func(t *rapid.T) {
				v4 := rapid.SampledFrom([]string{"", "same", "0.0.0.7/24"}).Draw(t, "IPv4")
				v6 := rapid.SampledFrom([]string{"", "same", "::7/64"}).Draw(t, "IPv6")
				try(s.follow(s.admin(), name.Draw(t, "host"), rapid.SampledFrom(append([]string{""}, names...)).Draw(t, "main"), v4, v6))
			},
			"delete": func(t *rapid.T) {
				n := name.Draw(t, "host")
				try(s.hosts.DeleteHost(s.admin(), &pb.DeleteHostRequest{Fqdn: n}))
				try(s.hosts.CreateHost(person(rapid.SampledFrom(people).Draw(t, "owner")), &pb.CreateHostRequest{Fqdn: n}))
			},
			"block": func(t *rapid.T) {
				try(s.hosts.BlockHost(s.admin(), &pb.BlockHostRequest{Fqdn: name.Draw(t, "host"), Reason: "r"}))
			},
			"unblock": func(t *rapid.T) {
				try(s.hosts.UnblockHost(s.admin(), &pb.UnblockHostRequest{Fqdn: name.Draw(t, "host")}))
			},
			"remove main": func(t *rapid.T) {
				try(s.points.RemoveEndpoint(s.admin(), &pb.RemoveEndpointRequest{Fqdn: name.Draw(t, "host"), Id: "main", ConfirmLast: true}))
			},
			"hand over": func(t *rapid.T) {
				n, to := name.Draw(t, "host"), rapid.SampledFrom(people).Draw(t, "to")
				try(s.hosts.TransferHost(s.admin(), &pb.TransferHostRequest{Fqdn: n, To: to}))
				try(s.hosts.AcceptHost(person(to), &pb.AcceptHostRequest{Fqdn: n}))
			},
			"give all": func(t *rapid.T) {
				from := rapid.IntRange(0, 1).Draw(t, "from")
				try(s.people.TransferPrincipal(s.admin(), &pb.TransferPrincipalRequest{Name: people[from], To: people[1-from]}))
			},
			"": func(t *rapid.T) { s.agree(t, names) },
		})
	})
}

func (s *server) agree(t *rapid.T, names []string) {
	hosts := map[string]*pb.Host{}
	for _, n := range names {
		hosts[n] = s.get(n)
	}
	for n, h := range hosts {
		for _, f := range h.GetFollowers() {
			if hosts[f].GetFollows().GetMain() != n {
				t.Fatalf("%s lists %s, which follows %v", n, f, hosts[f].GetFollows())
			}
		}
		f := h.GetFollows()
		if f == nil {
			continue
		}
		main := hosts[f.GetMain()]
		if !slices.Contains(main.GetFollowers(), n) || main.GetFollows() != nil || len(h.GetFollowers()) > 0 {
			t.Fatalf("%s follows %v, which lists %v and follows %v; it lists %v", n, f, main.GetFollowers(), main.GetFollows(), h.GetFollowers())
		}
		var following model.Following
		var err4, err6 error
		following.IPv4, err4 = model.ParseShare("", f.GetIpv4(), true)
		following.IPv6, err6 = model.ParseShare("", f.GetIpv6(), false)
		s.done(err4, err6)
		if want := following.Follow(parsed(main), parsed(h)); !slices.Equal(want, parsed(h)) {
			t.Fatalf("%s has %v, and %v follows %v of %v", n, h.GetAddresses(), f, main.GetFqdn(), main.GetAddresses())
		}
	}
}

func parsed(h *pb.Host) (out []netip.Addr) {
	for _, a := range h.GetAddresses() {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}
