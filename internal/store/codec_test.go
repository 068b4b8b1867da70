package store

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

// aRecord draws a record set of one of a few types and of one that nobody knows.
func aRecord() *rapid.Generator[model.RRset] {
	return rapid.Custom(func(t *rapid.T) model.RRset {
		typ := rapid.SampledFrom([]uint16{dns.TypeTXT, dns.TypeMX, 65280}).Draw(t, "type")
		var data []string
		for _, s := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9]{1,40}`), 1, 4, rapid.ID[string]).Draw(t, "data") {
			switch typ {
			case dns.TypeMX:
				s = "10 " + s + ".example.net."
			case 65280:
				s = `\# 2 0a0` + s[:1]
				if s[7] > 'f' {
					s = `\# 0`
				}
			}
			data = append(data, s)
		}
		set, err := model.ParseRRset(typ, uint32(rapid.IntRange(0, model.MaxTTL).Draw(t, "ttl")), data)
		if err != nil {
			set, _ = model.ParseRRset(dns.TypeTXT, 1, []string{"x"})
		}
		return set
	})
}

func recordSets(t *rapid.T) []model.RRset {
	sets := rapid.SliceOfNDistinct(aRecord(), 0, 3, func(s model.RRset) uint16 { return s.Type }).Draw(t, "record sets")
	slices.SortFunc(sets, func(a, b model.RRset) int { return int(a.Type) - int(b.Type) })
	return sets
}

func aTime() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		s := rapid.Int64Range(0, 1<<40).Draw(t, "time")
		if s == 0 {
			return time.Time{}
		}
		return time.Unix(s, 0).UTC()
	})
}

func anAddress() *rapid.Generator[netip.Addr] {
	return rapid.Custom(func(t *rapid.T) netip.Addr {
		n := rapid.SampledFrom([]int{4, 16}).Draw(t, "size")
		a, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "address"))
		return a.Unmap()
	})
}

// same fails unless the decoded is what was encoded; nothing and empty are alike.
func same(t *rapid.T, want, got any, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Fatal(d)
	}
}

func TestValuesAreReadAsTheyWereWritten(t *testing.T) {
	const rev = 7
	rapid.Check(t, func(t *rapid.T) {
		u32, u64 := rapid.Uint32(), rapid.Uint64()
		ttl := rapid.Uint32Range(60, 1000)
		text := rapid.String()

		ns, _ := model.ParseRRset(dns.TypeNS, 60, []string{"ns1.example.org."})
		z := &model.Zone{
			Name: exampleOrg, Incarnation: u64.Draw(t, "incarnation"), Generation: u64.Draw(t, "generation"), SerialBase: u32.Draw(t, "base"),
			SOA:  model.SOA{MName: "ns1.example.org.", RName: `h\.m.example.org.`, Refresh: u32.Draw(t, "refresh"), Retry: 1, Expire: 2, Minimum: 3, TTL: 4},
			Apex: model.WithRRset(recordSets(t), ns), TTL: ttl.Draw(t, "ttl"), MinTTL: 5, MaxTTL: 2000, NegativeTTL: ttl.Draw(t, "negative"),
			LocalAddresses: rapid.Bool().Draw(t, "local"), CreateTime: aTime().Draw(t, "created"), ModRevision: rev,
		}
		got, err := decodeZone(exampleOrg, encodeZone(z), rev)
		same(t, z, got, err)

		n := &model.NameData{RRsets: recordSets(t), ModRevision: rev}
		if rapid.Bool().Draw(t, "host") {
			n.Host = &model.Host{TTL: ttl.Draw(t, "host ttl"), Wildcard: rapid.Bool().Draw(t, "wildcard"), Endpoints: []model.Endpoint{
				{ID: model.MainEndpoint, Generation: u64.Draw(t, "endpoint"), Addresses: rapid.SliceOfN(anAddress(), 0, 3).Draw(t, "addresses")},
			}}
		}
		gotName, err := decodeName(encodeName(n), rev)
		same(t, n, gotName, err)

		h := &model.HostControl{
			Owner: text.Draw(t, "owner"), Comment: text.Draw(t, "comment"), SecretHash: rapid.SliceOf(rapid.Byte()).Draw(t, "hash"),
			CreateTime: aTime().Draw(t, "created"), UpdateTime4: aTime().Draw(t, "update 4"), UpdateTime6: aTime().Draw(t, "update 6"), ModRevision: rev,
		}
		gotHost, err := decodeHostControl(encodeHostControl(h), rev)
		same(t, h, gotHost, err)

		k := &model.Token{ID: text.Draw(t, "id"), Admin: rapid.Bool().Draw(t, "admin"), CreateTime: aTime().Draw(t, "created"), ModRevision: rev}
		gotToken, err := decodeToken(encodeToken(k), rev)
		same(t, k, gotToken, err)

		a := &model.AuditRecord{
			ID: "i", Time: time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "at")).UTC(), Revision: rev, Principal: text.Draw(t, "principal"),
			Source: "192.0.2.1", RequestID: "r", Action: "host.create", Zone: exampleOrg, Name: aName().Draw(t, "name"),
			Detail: text.Draw(t, "detail"), Before: text.Draw(t, "before"), After: text.Draw(t, "after"),
		}
		gotAudit, err := decodeAudit("i", encodeAudit(a), rev)
		same(t, a, gotAudit, err)
	})
}

func TestValueOfANewerSchemaIsNotGuessedAt(t *testing.T) {
	for schema, ok := range map[uint32]bool{0: false, Schema: true, Schema + 1: false} {
		_, err := decodeName(encode(&storepb.Name{Schema: schema}), 1)
		if (err == nil) != ok {
			t.Errorf("schema %d: %v", schema, err)
		}
	}
}

func TestUnsoundValuesAreBad(t *testing.T) {
	record := func(typ, ttl uint32, data ...[]byte) *storepb.RRset {
		return &storepb.RRset{Type: typ, Ttl: ttl, Rdata: data}
	}
	address := func(b ...byte) *storepb.Name {
		return &storepb.Name{Host: &storepb.Host{Endpoints: []*storepb.Endpoint{{Id: "main", Addresses: [][]byte{b}}}}}
	}
	mapped := netip.MustParseAddr("::ffff:192.0.2.1").As16()
	for what, n := range map[string]*storepb.Name{
		"address of 3 octets":   address(1, 2, 3),
		"mapped address":        address(mapped[:]...),
		"TTL of a host":         {Host: &storepb.Host{Ttl: 1 << 31}},
		"A record of 3 octets":  {Rrsets: []*storepb.RRset{record(1, 1, []byte{1, 2, 3})}},
		"set without records":   {Rrsets: []*storepb.RRset{record(16, 1)}},
		"TTL of a record":       {Rrsets: []*storepb.RRset{record(16, 1<<31, []byte{0})}},
		"type out of range":     {Rrsets: []*storepb.RRset{record(1<<16|16, 1, []byte{0})}},
		"type that is no data":  {Rrsets: []*storepb.RRset{record(255, 1, []byte{0})}},
		"two sets of one type":  {Rrsets: []*storepb.RRset{record(16, 1, []byte{0}), record(16, 1, []byte{1, 'x'})}},
		"types not in order":    {Rrsets: []*storepb.RRset{record(16, 1, []byte{0}), record(1, 1, []byte{1, 2, 3, 4})}},
		"octets after the data": {Rrsets: []*storepb.RRset{record(1, 1, []byte{1, 2, 3, 4, 5})}},
	} {
		n.Schema = 1
		if got, err := decodeName(encode(n), 1); err == nil {
			t.Errorf("%s: read as %+v", what, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encodeName(addressed("192.0.2.1", 1)))
	f.Add(encode(&storepb.Zone{Schema: 1, Soa: &storepb.Soa{Mname: "a.", Rname: "b."}, Apex: []*storepb.RRset{{Type: 2, Rdata: [][]byte{{0}}}}}))
	f.Add([]byte("garbage"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if z, err := decodeZone(exampleOrg, raw, 1); err == nil {
			if again, err := decodeZone(exampleOrg, encodeZone(z), 1); err != nil || !cmp.Equal(z, again, cmpopts.EquateEmpty()) {
				t.Errorf("%+v is written and read as %+v, %v", z, again, err)
			}
		}
		if n, err := decodeName(raw, 1); err == nil {
			if _, err := decodeName(encodeName(n), 1); err != nil {
				t.Errorf("%+v is written and not read: %v", n, err)
			}
		}
		decodeHostControl(raw, 1)
		decodeToken(raw, 1)
		decodeAudit("x", raw, 1)
	})
}
