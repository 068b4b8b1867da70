package hosts_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"signpost/controlapi/controltest"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// Whatever is done in whatever order, who follows and who is followed say the same, nobody who
// follows is followed, and what followers have is made of what their main hosts have.
func TestFollowersAndMainHostsAgree(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Register: new("everyone"), Quarantine: new(uint32(0)), MaxChanges: new(uint32(1 << 20))})
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
			_, _ = s.Hosts.DeleteHost(s.Admin(), &pb.DeleteHostRequest{Fqdn: n})
			_, err := s.Hosts.CreateHost(controltest.Person(rapid.SampledFrom(people).Draw(t, "owner")), &pb.CreateHostRequest{Fqdn: n})
			s.Done(err)
		}
		name := rapid.SampledFrom(names)
		address := rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.2", "2001:db8:1::1", "2001:db8:2::1", "2001:db8:1::2"})
		try := func(any, error) {} // what is refused changes nothing
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				try(s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: name.Draw(t, "host"), Addresses: rapid.SliceOfN(address, 1, 3).Draw(t, "addresses")}))
			},
			"set each": func(t *rapid.T) {
				all := rapid.SliceOfNDistinct(name, 2, 3, rapid.ID).Draw(t, "hosts")
				try(setEach(s, s.Admin(), address.Draw(t, "address"), all...))
			},
			"clear": func(t *rapid.T) {
				try(s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: name.Draw(t, "host"), ClearIpv6: true}))
			},
			"follow": func(t *rapid.T) {
				v4 := rapid.SampledFrom([]string{"", "same", "0.0.0.7/24"}).Draw(t, "IPv4")
				v6 := rapid.SampledFrom([]string{"", "same", "::7/64"}).Draw(t, "IPv6")
				try(follow(s, s.Admin(), name.Draw(t, "host"), rapid.SampledFrom(append([]string{""}, names...)).Draw(t, "main"), v4, v6))
			},
			"delete": func(t *rapid.T) {
				n := name.Draw(t, "host")
				try(s.Hosts.DeleteHost(s.Admin(), &pb.DeleteHostRequest{Fqdn: n}))
				try(s.Hosts.CreateHost(controltest.Person(rapid.SampledFrom(people).Draw(t, "owner")), &pb.CreateHostRequest{Fqdn: n}))
			},
			"block": func(t *rapid.T) {
				try(s.Hosts.BlockHost(s.Admin(), &pb.BlockHostRequest{Fqdn: name.Draw(t, "host"), Reason: "r"}))
			},
			"unblock": func(t *rapid.T) {
				try(s.Hosts.UnblockHost(s.Admin(), &pb.UnblockHostRequest{Fqdn: name.Draw(t, "host")}))
			},
			"remove main": func(t *rapid.T) {
				try(s.Points.RemoveEndpoint(s.Admin(), &pb.RemoveEndpointRequest{Fqdn: name.Draw(t, "host"), Id: "main", ConfirmLast: true}))
			},
			"hand over": func(t *rapid.T) {
				n, to := name.Draw(t, "host"), rapid.SampledFrom(people).Draw(t, "to")
				try(s.Hosts.TransferHost(s.Admin(), &pb.TransferHostRequest{Fqdn: n, To: to}))
				try(s.Hosts.AcceptHost(controltest.Person(to), &pb.AcceptHostRequest{Fqdn: n}))
			},
			"give all": func(t *rapid.T) {
				from := rapid.IntRange(0, 1).Draw(t, "from")
				try(s.People.TransferPrincipal(s.Admin(), &pb.TransferPrincipalRequest{Name: people[from], To: people[1-from]}))
			},
			"": func(t *rapid.T) { agree(s, t, names) },
		})
	})
}

func agree(s *controltest.Server, t *rapid.T, names []string) {
	hosts := map[string]*pb.Host{}
	for _, n := range names {
		hosts[n] = get(s, n)
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
		s.Done(err4, err6)
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
