package controlapi_test

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// BenchmarkSetAddresses is a changed address of one of many hosts, over gRPC and
// etcd on the same machine, with the host's secret.
func BenchmarkSetAddresses(b *testing.B) {
	for _, writers := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("writers-%d", writers), func(b *testing.B) {
			s := controltest.Start(b)
			s.Zone("vo.example.org")
			s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{MaxChanges: new(uint32(1 << 30))})
			type host struct{ fqdn, secret string }
			hosts := make(chan host, writers)
			for i := range writers {
				fqdn := fmt.Sprintf("h%d.vo.example.org", i)
				hosts <- host{fqdn, s.Host(fqdn)}
			}
			var n atomic.Uint32
			b.SetParallelism((writers + 1) / 2)
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				h := <-hosts
				defer func() { hosts <- h }()
				for p.Next() {
					v := n.Add(1)
					a := netip.AddrFrom4([4]byte{10, byte(v >> 16), byte(v >> 8), byte(v)})
					if _, err := s.Hosts.SetAddresses(controltest.As(h.fqdn, h.secret), &pb.SetAddressesRequest{Fqdn: h.fqdn, Addresses: []string{a.String()}}); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
		})
	}
}
