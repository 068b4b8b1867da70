package store

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/miekg/dns"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
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
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); d != "" {
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

		n := &model.NameData{RRsets: recordSets(t), Withdrawn: rapid.Bool().Draw(t, "withdrawn"), ModRevision: rev}
		if rapid.Bool().Draw(t, "host") {
			n.Host = aHost(t)
		}
		gotName, err := decodeName(encodeName(n), rev)
		same(t, n, gotName, err)

		h := &model.HostControl{
			Owner: text.Draw(t, "owner"), Comment: text.Draw(t, "comment"), SecretHash: rapid.SliceOf(rapid.Byte()).Draw(t, "hash"),
			CreateTime: aTime().Draw(t, "created"), UpdateTime4: aTime().Draw(t, "update 4"), UpdateTime6: aTime().Draw(t, "update 6"), ModRevision: rev,
			RefreshTime: aTime().Draw(t, "refresh"),
		}
		for _, w := range []**model.Withdrawal{&h.Blocked, &h.Disabled, &h.Lapsed} {
			if rapid.Bool().Draw(t, "withdrawn") {
				*w = &model.Withdrawal{Reason: text.Draw(t, "reason"), Time: aTime().Draw(t, "since")}
			}
		}
		for _, id := range []string{"a", "b"}[:rapid.IntRange(0, 2).Draw(t, "secrets")] {
			h.Secrets = append(h.Secrets, model.EndpointSecret{ID: id, Hash: []byte(text.Draw(t, "hash")), CreateTime: aTime().Draw(t, "made")})
		}
		if rapid.Bool().Draw(t, "granted") {
			h.Grants = model.Grants{{What: text.Draw(t, "grant"), Token: rapid.SliceOfN(rapid.Byte(), 1, 32).Draw(t, "maker")}}
		}
		if rapid.Bool().Draw(t, "follows") {
			h.Follows = &model.Following{Main: aName().Draw(t, "main")}
			if v4 := rapid.IntRange(0, 32).Draw(t, "bits of 4"); v4 > 0 {
				h.Follows.IPv4 = netip.PrefixFrom(netip.AddrFrom4([4]byte{3: 7}), v4)
			}
			if v6 := rapid.IntRange(0, 128).Draw(t, "bits of 6"); v6 > 0 {
				h.Follows.IPv6 = netip.PrefixFrom(netip.AddrFrom16([16]byte{15: 7}), v6)
			}
		}
		h.Followers = rapid.SliceOfN(aName(), 0, 3).Draw(t, "followers")
		gotHost, err := decodeHostControl(encodeHostControl(h), rev)
		same(t, h, gotHost, err)

		kept := &model.KeptName{Owner: text.Draw(t, "former owner"), ExpireTime: aTime().Draw(t, "until")}
		gotKept, err := decodeKept(encodeKept(kept))
		same(t, kept, gotKept, err)

		k := &model.Token{
			ID: text.Draw(t, "id"), Admin: rapid.Bool().Draw(t, "admin"), CreateTime: aTime().Draw(t, "created"), ModRevision: rev,
			Owner: model.PrincipalName(text.Draw(t, "owner")), Comment: text.Draw(t, "comment"),
			ExpireTime: aTime().Draw(t, "expires"), RevokeTime: aTime().Draw(t, "revoked"),
			Limits: model.TokenLimits{
				Zone: aName().Draw(t, "zone"), Host: model.NamePattern(text.Draw(t, "host")),
				Types:   rapid.SliceOfN(rapid.Uint16Range(1, 0xffff), 0, 3).Draw(t, "types"),
				Actions: rapid.SliceOfN(text, 0, 3).Draw(t, "actions"),
			},
		}
		for _, a := range rapid.SliceOfN(anAddress(), 0, 3).Draw(t, "sources") {
			k.Limits.Sources = append(k.Limits.Sources, netip.PrefixFrom(a, a.BitLen()/2).Masked())
		}
		if rapid.Bool().Draw(t, "made by a token") {
			k.Parent = []byte(text.Draw(t, "parent") + "x")
		}
		gotToken, err := decodeToken(encodeToken(k), rev)
		same(t, k, gotToken, err)

		a := &model.AuditRecord{
			ID: "i", Time: time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "at")).UTC(), Revision: rev, Principal: text.Draw(t, "principal"),
			Source: "192.0.2.1", RequestID: "r", Action: "host.create", Zone: exampleOrg, Name: aName().Draw(t, "name"),
			Detail: text.Draw(t, "detail"), Before: text.Draw(t, "before"), After: text.Draw(t, "after"),
		}
		gotAudits, err := decodeAudits("i", &mvccpb.KeyValue{Value: encodeAudit(a), CreateRevision: rev, ModRevision: rev + 1})
		if len(gotAudits) != 1 {
			t.Fatalf("one audit record is read as %d", len(gotAudits))
		}
		same(t, a, gotAudits[0].AuditRecord, err)
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
	f.Add(encodeName(&model.NameData{Host: ofEndpoints}))
	f.Add(encodeCheck(&model.Check{Kind: model.CheckHTTPS, Path: "/", Statuses: []model.Statuses{{From: 200, To: 299}}, ServerName: "h", Interval: 10e9}))
	f.Add(encodeCheck(&model.Check{Kind: model.CheckDNS, Query: `a\.b.example.org.`, QueryType: 1, Sites: []string{"amsterdam"}}))
	f.Add(encodeWord(&model.Word{Say: model.SayDrain, Marker: "1", Reason: "r"}))
	f.Add(encodeVote(&model.Vote{Generation: 1, Term: 2, Verdict: model.Down, Reason: model.Refused}))
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
		for kind := model.CheckerKey; kind <= model.BeatKey; kind++ {
			if c := decodeChange(model.Key{Kind: kind}, 1, raw); c.Check != nil {
				if again, err := decodeCheck(encodeCheck(c.Check), 1); err != nil || !cmp.Equal(c.Check, again, cmpopts.EquateEmpty()) {
					t.Errorf("%+v is written and read as %+v, %v", c.Check, again, err)
				}
			}
		}
		decodeHostControl(raw, 1)
		decodeToken(raw, 1)
		decodeAudits("x", &mvccpb.KeyValue{Value: raw})
	})
}

// nameReader says of a value just what proto.Unmarshal does, or nothing.
func FuzzNameReader(f *testing.F) {
	f.Add(encodeName(addressed("192.0.2.1", 1)))
	f.Add(encodeName(&model.NameData{Host: &model.Host{TTL: 5, Wildcard: true, Endpoints: []model.Endpoint{{ID: "main", Generation: 1 << 60}, {ID: "other"}}}}))
	f.Add(encodeName(&model.NameData{Withdrawn: true}))
	f.Add(encodeName(&model.NameData{Host: ofEndpoints}))
	f.Add(encode(&storepb.Name{Schema: 2, Host: &storepb.Host{Policy: 1 << 31, CheckSites: []string{"", "a"}, Endpoints: []*storepb.Endpoint{{Weight: -1 << 31, Priority: 1 << 31}}}}))
	f.Add([]byte("\x12\x09\x1a\x07\x22\x02\xff\xfe\x22\x01a"))                        // a site that is no UTF-8, a site twice
	f.Add([]byte("\x12\x0e\x1a\x0c\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x0a")) // a large weight
	set := &storepb.RRset{Type: 1, Ttl: 60, Rdata: [][]byte{{192, 0, 2, 1}, {192, 0, 2, 2}}}
	more := &storepb.RRset{Type: 1 << 16, Rdata: [][]byte{{}}}
	f.Add(encode(&storepb.Name{Schema: 1, Rrsets: []*storepb.RRset{set, more, {}}, Host: &storepb.Host{}}))
	f.Add([]byte("\x12\x00\x12\x00\x78\x01\x78\xff\xff\xff\xff\xff\x01"))             // a host twice, a schema twice
	f.Add([]byte("\x0a\x02\x0b\x0c\x0a\x05\x08\x81\x80\x80\x10\x7d\x01\x02\x03\x04")) // groups, large numbers, other wire types
	f.Fuzz(func(t *testing.T, raw []byte) { readsAsProto(t, raw) })
}

// readsAsProto reports whether nameReader reads raw at all.
func readsAsProto(t interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}, raw []byte) (read bool) {
	t.Helper()
	for _, r := range []*nameReader{{}, {slab: 8}} {
		for range 3 { // what a reader gave before stays as it was
			got, schema, ok := r.name(raw)
			if !ok {
				continue
			}
			var p storepb.Name
			if err := proto.Unmarshal(raw, &p); err != nil || p.Schema != schema {
				t.Fatalf("schema %d, want %d; %v", schema, p.Schema, err)
			}
			p.Schema = 1
			want, err := unmarshalName(encode(&p))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); d != "" {
				t.Fatal(d)
			}
			read = true
		}
	}
	return read
}

// Whatever becomes of a value of any host: a few octets of it changed, taken out or put in.
func TestAnyHostIsReadAsProtoReadsIt(t *testing.T) {
	read, all := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		raw := encodeName(&model.NameData{RRsets: recordSets(t), Host: aHost(t)})
		if !readsAsProto(t, raw) {
			t.Fatal("what we write is not read by hand")
		}
		for range 50 {
			some := slices.Clone(raw)
			for range rapid.IntRange(1, 3).Draw(t, "changes") {
				at := rapid.IntRange(0, len(some)-1).Draw(t, "at")
				b := rapid.SampledFrom([]byte{0, 1, 2, 8, 0x0a, 0x12, 0x22, 0x30, 0x7f, 0x80, 0xff}).Draw(t, "octet")
				switch rapid.IntRange(0, 2).Draw(t, "how") {
				case 0:
					some[at] = b
				case 1:
					some = slices.Insert(some, at, b)
				default:
					if some = slices.Delete(some, at, at+1); len(some) == 0 {
						some = []byte{b}
					}
				}
			}
			if all++; readsAsProto(t, some) {
				read++
			}
		}
	})
	t.Logf("%d of %d read", read, all)
	if read < all/20 {
		t.Errorf("only %d of %d were read by hand", read, all)
	}
}
