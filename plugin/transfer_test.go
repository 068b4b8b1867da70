package signpost_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coredns/coredns/plugin/transfer"
	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/zone"
	signpost "signpost/plugin"
)

func TestAZoneIsTransferredWhole(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	w.set("www.example.org", "A 192.0.2.1", "TXT hello")
	w.set("sub.example.org", "NS ns.sub.example.org.")
	w.set("ns.sub.example.org", "A 192.0.2.54") // glue
	w.set("hidden.sub.example.org", "A 192.0.2.55")
	w.set("*.example.org", "MX 10 www.example.org.")
	w.zone("example.net")
	s := start(t, block("endpoint "+w.etcd.Endpoint(), "transfer example.org {\nto *\n}"))
	s.says(t, "ns1.example.net", "A", "NOERROR 192.0.2.53")

	got, serial := s.transfer(t, func(m *dns.Msg) { m.SetAxfr("example.org.") })
	want := map[string]bool{
		"example.org. NS ns1.example.org.": true, "ns1.example.org. A 192.0.2.53": true, "www.example.org. A 192.0.2.1": true,
		`www.example.org. TXT "hello"`: true, "sub.example.org. NS ns.sub.example.org.": true, "ns.sub.example.org. A 192.0.2.54": true,
		"hidden.sub.example.org. A 192.0.2.55": true, "*.example.org. MX 10 www.example.org.": true,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("transferred:\n%v\nwant:\n%v", got, want)
	}
	if older, _ := s.transfer(t, func(m *dns.Msg) { m.SetIxfr("example.org.", serial-1, ".", ".") }); len(older) != len(want) {
		t.Errorf("IXFR from an older serial is not the whole zone: %v", older)
	}
	for _, ours := range []uint32{serial, serial + 1} {
		if same, _ := s.transfer(t, func(m *dns.Msg) { m.SetIxfr("example.org.", ours, ".", ".") }); len(same) != 0 {
			t.Errorf("IXFR from serial %d, we are at %d, is not one SOA: %v", ours, serial, same)
		}
	}

	// A transfer is of one zone that we have, to those that the transfer plugin allows.
	for name, want := range map[string]int{"www.example.org.": dns.RcodeRefused, "example.net.": dns.RcodeRefused, "example.com.": dns.RcodeRefused} {
		m := new(dns.Msg)
		m.SetAxfr(name)
		if r := s.send(t, "tcp", m); r.Rcode != want {
			t.Errorf("AXFR of %s: %v", name, r)
		}
	}
	m := new(dns.Msg)
	m.SetAxfr("example.org.")
	if r := s.send(t, "udp", m); r.Rcode != dns.RcodeRefused {
		t.Errorf("AXFR over UDP: %v", r)
	}
}

// transfer asks for a transfer and gives the records without the SOAs around them,
// and the serial.
func (s *server) transfer(t *testing.T, ask func(*dns.Msg)) (map[string]bool, uint32) {
	t.Helper()
	m := new(dns.Msg)
	ask(m)
	in, err := new(dns.Transfer).In(m, s.addr)
	if err != nil {
		t.Fatal(err)
	}
	var rrs []dns.RR
	for e := range in {
		if e.Error != nil {
			t.Fatal(e.Error)
		}
		rrs = append(rrs, e.RR...)
	}
	soa, ok := rrs[0].(*dns.SOA)
	last, ok2 := rrs[len(rrs)-1].(*dns.SOA)
	if !ok || !ok2 || soa.Serial != last.Serial {
		t.Fatalf("no transfer: %v", rrs)
	}
	out := map[string]bool{}
	for _, rr := range rrs {
		if rr.Header().Rrtype != dns.TypeSOA {
			out[rr.Header().Name+" "+dns.TypeToString[rr.Header().Rrtype]+" "+rr.String()[len(rr.Header().String()):]] = true
		}
	}
	return out, soa.Serial
}

func TestATransferBeforeTheFirstStateIsServfail(t *testing.T) {
	s := start(t, block("endpoint "+nowhere, "transfer {\nto *\n}"))
	m := new(dns.Msg)
	m.SetAxfr("example.org.")
	if r := s.send(t, "tcp", m); r.Rcode != dns.RcodeServerFailure {
		t.Errorf("AXFR of a zone that we do not know of: %v", r)
	}
}

// largeView has one zone with n names.
func largeView(t testing.TB, n int) *zone.View {
	t.Helper()
	z := &model.Zone{
		Name: "example.org.", Incarnation: 1, Generation: 1,
		SOA:  model.SOA{MName: "ns1.example.org.", RName: "hostmaster.example.org.", Refresh: 7200, Retry: 900, Expire: 1209600, Minimum: 30, TTL: 3600},
		Apex: []model.RRset{rrset(t, "NS", "ns1.example.org.")},
	}
	data := &model.NameData{RRsets: []model.RRset{rrset(t, "A", "192.0.2.1")}}
	v, err := zone.Build(7, nil, func(yield func(model.Change, error) bool) {
		if !yield(model.Change{Key: model.Key{Kind: model.ZoneKey, Zone: z.Name}, ModRevision: 7, Zone: z}, nil) {
			return
		}
		for i := range n {
			k := model.Key{Kind: model.NameKey, Zone: z.Name, Generation: 1, Name: model.Name(fmt.Sprintf("h%d.example.org.", i))}
			if !yield(model.Change{Key: k, ModRevision: 7, Name: data}, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestALargeZoneIsTransferredInManyMessages(t *testing.T) {
	s := start(t, block("endpoint "+nowhere, "transfer {\nto *\n}"))
	signpost.Show(largeView(t, 20_000))
	if got, _ := s.transfer(t, func(m *dns.Msg) { m.SetAxfr("example.org.") }); len(got) != 20_001 {
		t.Errorf("%d records were transferred", len(got))
	}
}

// The transfer plugin may go away and leave the channel: nobody waits for ever.
func TestATransferThatNobodyTakesEnds(t *testing.T) {
	v := largeView(t, 2000)
	synctest.Test(t, func(t *testing.T) {
		h := signpost.Over(v)
		ch, err := h.Transfer("example.org.", 0)
		if err != nil {
			t.Fatal(err)
		}
		<-ch
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		n := 0
		for range ch {
			n++
		}
		if n != 0 { // and the bubble ends only when the goroutine has
			t.Errorf("%d more batches came after two minutes", n)
		}
		if _, err := h.Transfer("example.net.", 0); !errors.Is(err, transfer.ErrNotAuthoritative) {
			t.Errorf("transfer of a zone that we do not have: %v", err)
		}
	})
}
