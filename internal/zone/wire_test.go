package zone_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"signpost/internal/model"
	"signpost/internal/zone"
	"signpost/internal/zone/zonetest"
)

// samePlain asks both ways. plain is false when AppendPlain left the question.
func samePlain(t interface{ Fatalf(string, ...any) }, v *zone.View, qname string, qtype uint16) (plain bool) {
	m := new(dns.Msg)
	m.SetQuestion(qname, qtype)
	msg, err := m.Pack()
	if err != nil {
		return false // no name that anybody can ask
	}
	var q zone.Question
	n, ok := q.Read(msg[12:])
	if !ok {
		return false
	}
	if n != len(msg)-12 || q.Type != qtype || q.Name() != model.NameOf(unpackedName(msg)) {
		t.Fatalf("%s: read %d of %d octets, %s, type %d", qname, n, len(msg)-12, q.Name(), q.Type)
	}
	z := v.Find(q.Name(), qtype)
	if p := v.FindPlain(&q); p != z {
		t.Fatalf("%s: FindPlain gives %v, Find %v", qname, p, z)
	}
	if z == nil {
		return false
	}
	if !samePlainDrawn(t, z, m, msg, &q, 0) {
		return false
	}
	samePlainDrawn(t, z, m, msg, &q, 1<<63+7)
	return true
}

// samePlainDrawn is that for one draw; m, which msg is packed from, is filled with the answer.
func samePlainDrawn(t interface{ Fatalf(string, ...any) }, z *zone.Zone, m *dns.Msg, msg []byte, q *zone.Question, draw uint64) bool {
	got, s, ok := z.AppendPlain(nil, q, draw)
	if !ok {
		return false
	}
	qname, qtype := m.Question[0].Name, q.Type
	a := z.Answer(unpackedName(msg), qtype, draw)
	if len(a.Extra) > 0 || !a.AA || s.Rcode != a.Rcode || s.Answer != len(a.Answer) || s.Authority != len(a.Ns) {
		t.Fatalf("%s %s: %+v, but Answer says %+v", qname, dns.TypeToString[qtype], s, a)
	}
	m.Answer, m.Ns = a.Answer, a.Ns
	want, err := m.Pack()
	if err != nil {
		t.Fatalf("%s: %v", qname, err)
	}
	if !bytes.Equal(got, want[len(msg):]) {
		t.Fatalf("%s %s:\n%x, but Answer packs to\n%x", qname, dns.TypeToString[qtype], got, want[len(msg):])
	}
	return true
}

func unpackedName(msg []byte) string {
	name, _, _ := dns.UnpackDomainName(msg, 12)
	return name
}

var plainTypes = append([]uint16{dns.TypeSRV, dns.TypeHTTPS, dns.TypeCAA, dns.TypeURI, 0, 65280}, askTypes...)

// Both ways of answering say the same, to the octet.
func TestPlainAnswersAreTheSame(t *testing.T) {
	plain, asked := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		live := map[model.Key]model.Change{}
		for _, c := range accepted(onePerKey(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) model.Change { return anyChange(t, 1) }), 1, 40).Draw(t, "changes"))) {
			if !c.Deleted {
				live[c.Key] = c
			}
		}
		v := build(t, 1, nil, live)
		for _, zone := range zoneNames {
			for _, owner := range append(owners, "c", "A.b", "x.y.z", `a\.b`, `\000`) {
				for _, qtype := range plainTypes {
					asked++
					if samePlain(t, v, owner+"."+string(zone), qtype) {
						plain++
					}
				}
			}
		}
	})
	if plain*50 < asked { // it is about a tenth
		t.Errorf("%d of %d questions were plain; that compares next to nothing", plain, asked)
	}
}

func TestPlainAnswersToConformanceCases(t *testing.T) {
	plain, cases := 0, zonetest.Cases(t)
	for _, c := range cases {
		changes, err := zonetest.Changes(c.Zone, 1)
		if err != nil {
			t.Fatal(err)
		}
		q := c.Question()
		if samePlain(t, zone.Empty(0).Apply(1, changes), q.Name, q.Qtype) {
			plain++
		}
	}
	t.Logf("%d of %d cases are plain questions", plain, len(cases))
	if plain == 0 {
		t.Error("no case is a plain question")
	}
}

// A name is plain or left; where it is plain, it is the name that miekg/dns reads.
func FuzzQuestion(f *testing.F) {
	for _, name := range []string{"www.example.org.", "WwW.Example.ORG.", "*.example.org.", `a\.b.example.org.`, "."} {
		m := new(dns.Msg)
		m.SetQuestion(name, dns.TypeA)
		b, _ := m.Pack()
		f.Add(b[12:])
	}
	f.Add([]byte{3, 'w', 'w', 'w', 0xc0, 0, 0, 1, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var q zone.Question
		n, ok := q.Read(b)
		if !ok {
			return
		}
		name, off, err := dns.UnpackDomainName(b, 0)
		if err != nil || off != n-4 || model.NameOf(name) != q.Name() {
			t.Errorf("%x: read %q of %d octets; miekg/dns reads %q of %d, %v", b, q.Name(), n-4, name, off, err)
		}
		if p, err := model.ParseName(name); err != nil || p != q.Name() {
			t.Errorf("%x: %q is no name: %v", b, name, err)
		}
	})
}

func benchmarkPlain(b *testing.B, v *zone.View, qtype uint16, names ...string) {
	questions := make([][]byte, len(names))
	for i, n := range names {
		m := new(dns.Msg)
		m.SetQuestion(n, qtype)
		questions[i], _ = m.Pack()
	}
	var q zone.Question
	room := make([]byte, 0, 1500)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		if _, ok := q.Read(questions[i%len(questions)][12:]); !ok {
			b.Fatal("not plain")
		}
		if _, _, ok := v.FindPlain(&q).AppendPlain(room, &q, 0); !ok {
			b.Fatal("left")
		}
	}
}

func BenchmarkPlainA(b *testing.B) {
	benchmarkPlain(b, hostsView(), dns.TypeA, spread("host%07d.dyn.example.org.", hundredThousand)...)
}

func BenchmarkPlainAMillion(b *testing.B) {
	benchmarkPlain(b, millionHosts(), dns.TypeA, spread("host%07d.dyn.example.org.", million)...)
}

func BenchmarkPlainNXDOMAIN(b *testing.B) {
	benchmarkPlain(b, hostsView(), dns.TypeA, spread("nobody%07d.dyn.example.org.", hundredThousand)...)
}

func BenchmarkPlainNODATA(b *testing.B) {
	benchmarkPlain(b, hostsView(), dns.TypeAAAA, spread("host%07d.dyn.example.org.", hundredThousand)...)
}

func BenchmarkPlainTwoCNAMEs(b *testing.B) {
	benchmarkPlain(b, hostsView(), dns.TypeA, "alias1.dyn.example.org.")
}

func TestPlainAnswersAllocateNothing(t *testing.T) {
	v := hostsView()
	for _, name := range []string{"host0000007.dyn.example.org.", "HOST0000007.dyn.example.org.", "nobody.dyn.example.org.", "a.wild.dyn.example.org.", "alias1.dyn.example.org."} {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
			m := new(dns.Msg)
			m.SetQuestion(name, qtype)
			msg, _ := m.Pack()
			var q zone.Question
			room := make([]byte, 0, 1500)
			if n := testing.AllocsPerRun(100, func() {
				if _, ok := q.Read(msg[12:]); !ok {
					panic("not plain")
				}
				if _, _, ok := v.FindPlain(&q).AppendPlain(room, &q, 0); !ok {
					panic(fmt.Sprint("left ", name))
				}
			}); n != 0 {
				t.Errorf("%s %s: %v allocations, want none", name, dns.TypeToString[qtype], n)
			}
		}
	}
}
