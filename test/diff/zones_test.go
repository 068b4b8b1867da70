package diff

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"signpost/internal/model"
)

// sample is a random zone and the names that are worth asking about.
type sample struct {
	origin string
	text   string   // a zone file
	names  []string // absolute

	belowDNAME bool // it has records below a DNAME
	wildNS     bool // it has NS at a wildcard
}

// record is a line of a zone file.
type record struct{ owner, typ, rdata string }

var (
	long   = strings.Repeat("l", 63)
	labels = []string{"a", "b", "c", "B", "*", "_tcp", `x\.y`, `\032`, `\200`, long}
	depths = []int{1, 1, 1, 2, 2, 3, 4}
	ttls   = []int{300, 300, 300, 5, 86400}

	// questions are asked in these types.
	types = []uint16{
		dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeMX, dns.TypeNS, dns.TypeDS, dns.TypeCNAME, dns.TypeDNAME,
		dns.TypeSRV, dns.TypeHTTPS, dns.TypeSOA, dns.TypeANY, 65280,
	}
)

// zoneOf makes zones of a name. They hold nothing that a name server would refuse to
// load.
func zoneOf(origin string) *rapid.Generator[sample] {
	return rapid.Custom(func(t *rapid.T) sample {
		d := drawing{t: t, origin: origin}
		d.owners = rapid.SliceOfNDistinct(rapid.Custom(d.name), 2, 12, canonical).Draw(t, "owners")
		d.add(origin, "SOA", "ns1.example.net. hostmaster.example.net. 7 7200 900 1209600 60")
		d.add(origin, "NS", "ns1.example.net.")
		for _, o := range d.owners {
			d.node(o)
		}
		if d.chance("apex dname", 30) {
			d.add(origin, "DNAME", d.target("apex dname"))
		}
		return d.settle()
	})
}

type drawing struct {
	t       *rapid.T
	origin  string
	owners  []string
	records []record
}

func canonical(name string) model.Name { return model.NameOf(received(name)) }

func (d *drawing) chance(label string, oneIn int) bool {
	return rapid.IntRange(1, oneIn).Draw(d.t, label) == oneIn
}

func (d *drawing) add(owner, typ, rdata string) {
	d.records = append(d.records, record{owner, typ, rdata})
}

// name is a name below the apex, at times as long as names can be.
func (d *drawing) name(t *rapid.T) string {
	if rapid.IntRange(1, 12).Draw(t, "longest") == 12 {
		base := long + "." + long + "." + long + "." + d.origin
		var wire [256]byte
		used, err := dns.PackDomainName(base, wire[:], 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Repeat("m", 255-used-1) + "." + base
	}
	n := rapid.SampledFrom(depths).Draw(t, "depth")
	name := strings.Join(rapid.SliceOfN(rapid.SampledFrom(labels), n, n).Draw(t, "labels"), ".") + "." + d.origin
	if _, err := model.ParseName(name); err != nil {
		return "a." + d.origin
	}
	return name
}

// target is what records point at: other names of the zone, names below them, none
// that are there, names outside.
func (d *drawing) target(label string) string {
	switch rapid.IntRange(0, 9).Draw(d.t, label) {
	case 0:
		return "x.example.net."
	case 1:
		return d.name(d.t)
	case 2:
		return d.below(rapid.SampledFrom(d.owners).Draw(d.t, label))
	case 3:
		return d.origin
	}
	return rapid.SampledFrom(d.owners).Draw(d.t, label)
}

// below is a name one label longer, or the same where that is too long.
func (d *drawing) below(name string) string {
	child := rapid.SampledFrom(labels[:7]).Draw(d.t, "child") + "." + name
	if _, err := model.ParseName(child); err != nil {
		return name
	}
	return child
}

func (d *drawing) node(owner string) {
	switch rapid.IntRange(0, 11).Draw(d.t, "kind") {
	case 0, 1, 2:
		d.add(owner, "CNAME", d.target("cname"))
	case 3:
		d.add(owner, "DNAME", d.target("dname"))
		if d.chance("data", 2) {
			d.data(owner)
		}
	case 4, 5, 6:
		d.delegation(owner)
	default:
		d.data(owner)
	}
}

func (d *drawing) delegation(owner string) {
	for i := range rapid.IntRange(1, 2).Draw(d.t, "servers") {
		server := fmt.Sprintf("ns%d.%s", i, owner)
		if _, err := model.ParseName(server); err != nil || d.chance("other server", 2) {
			server = d.target("server")
		} else if !d.chance("no glue", 3) {
			d.add(server, "A", "192.0.2.53")
			if d.chance("glue6", 2) {
				d.add(server, "AAAA", "2001:db8::53")
			}
		}
		d.add(owner, "NS", server)
	}
	if d.chance("ds", 3) {
		d.add(owner, "DS", "12345 13 2 "+strings.Repeat("0a", 32))
	}
}

func (d *drawing) data(owner string) {
	for _, typ := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"A", "A", "AAAA", "TXT", "MX", "SRV", "HTTPS", "TYPE65280"}), 1, 3, rapid.ID).Draw(d.t, "types") {
		for i := range rapid.IntRange(1, 2).Draw(d.t, "records") {
			d.add(owner, typ, d.rdata(typ, i))
		}
	}
}

func (d *drawing) rdata(typ string, i int) string {
	switch typ {
	case "A":
		return fmt.Sprintf("192.0.2.%d", i+1)
	case "AAAA":
		return fmt.Sprintf("2001:db8::%d", i+1)
	case "TXT":
		return fmt.Sprintf(`"Text %d" "\"\\\200"`, i)
	case "MX":
		return fmt.Sprintf("%d %s", i, d.target("mx"))
	case "SRV":
		return fmt.Sprintf("%d 5 5060 %s", i, d.target("srv"))
	case "HTTPS":
		return fmt.Sprintf("%d %s alpn=h2", i+1, d.target("https"))
	}
	return fmt.Sprintf(`\# 3 0a0b%02x`, i)
}

// settle drops records that a name that came up twice makes impossible, and, most
// of the time, what some servers refuse to load.
func (d *drawing) settle() (s sample) {
	taken, cuts := map[model.Name][]string{}, map[model.Name]bool{}
	var kept []record
	for _, r := range d.records {
		n := canonical(r.owner)
		if slices.ContainsFunc(taken[n], func(t string) bool { return !together(t, r.typ, n == canonical(d.origin)) }) {
			continue
		}
		taken[n] = append(taken[n], r.typ)
		cuts[n] = cuts[n] || r.typ == "DNAME"
		kept = append(kept, r)
	}
	odd := d.chance("odd", 4)
	d.records = slices.DeleteFunc(kept, func(r record) bool {
		n := canonical(r.owner)
		hidden, wildNS := false, (r.typ == "NS" || r.typ == "DS") && strings.HasPrefix(r.owner, "*.")
		for p, ok := n.Parent(); ok && !hidden; p, ok = p.Parent() {
			hidden = cuts[p]
		}
		s.belowDNAME, s.wildNS = s.belowDNAME || hidden && odd, s.wildNS || wildNS && odd
		return !odd && (hidden || wildNS)
	})
	s.origin, s.text, s.names = d.origin, d.text(), d.candidates()
	return s
}

func (d *drawing) text() string {
	ttl := map[string]int{}
	var b strings.Builder
	for _, r := range d.records {
		set := string(canonical(r.owner)) + " " + r.typ
		if ttl[set] == 0 {
			ttl[set] = rapid.SampledFrom(ttls).Draw(d.t, "ttl")
		}
		fmt.Fprintf(&b, "%s %d IN %s %s\n", r.owner, ttl[set], r.typ, r.rdata)
	}
	return b.String()
}

// together reports whether a name may have records of both types.
func together(a, b string, apex bool) bool {
	switch {
	case a == "CNAME" || b == "CNAME":
		return false
	case a == "DNAME" || b == "DNAME":
		return a != b && (apex || a != "NS" && b != "NS")
	}
	return true
}

// candidates is every owner, the names above, a name beside and one below each.
func (d *drawing) candidates() []string {
	out := []string{d.origin}
	for _, r := range d.records {
		out = append(out, r.owner, d.below(r.owner), d.below(d.below(r.owner)))
		for n, ok := canonical(r.owner).Parent(); ok && n.In(canonical(d.origin)); n, ok = n.Parent() {
			out = append(out, string(n))
		}
		if i, end := dns.NextLabel(r.owner, 0); !end && i > 0 && canonical(r.owner) != canonical(d.origin) {
			out = append(out, "*."+r.owner[i:], "Other."+r.owner[i:])
		}
	}
	out = slices.DeleteFunc(out, func(n string) bool { _, err := model.ParseName(n); return err != nil })
	for i, n := range out {
		out[i] = received(n)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// received is a name as it comes out of a message.
func received(name string) string {
	var wire [256]byte
	if _, err := dns.PackDomainName(name, wire[:], 0, nil, false); err != nil {
		panic(err)
	}
	out, _, err := dns.UnpackDomainName(wire[:], 0)
	if err != nil {
		panic(err)
	}
	return out
}
