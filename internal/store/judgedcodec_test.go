package store

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

// ofEndpoints is a host that has all that a host can have.
var ofEndpoints = &model.Host{
	TTL: 30, Checked: true, CheckSites: []string{"amsterdam", "bologna"},
	Policy: model.Policy{
		Kind: model.PolicyFailover, MinHealthy: 2, Fallback: []netip.Addr{netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9")},
		ManualFailback: true, MaxAnswers: 3, SuspectTTL: 7,
	},
	Endpoints: []model.Endpoint{
		{ID: "a", Site: "amsterdam", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Weight: model.NoWeight, Generation: 1},
		{ID: "b", Site: "bologna", Addresses: []netip.Addr{netip.MustParseAddr("2001:db8::1")}, Priority: 10, Weight: 5, Generation: 1 << 60},
		{ID: model.MainEndpoint, Generation: 3},
	},
}

func aHost(t *rapid.T) *model.Host {
	site := rapid.SampledFrom([]string{"", "amsterdam", "bologna"})
	number := rapid.Uint32()
	h := &model.Host{TTL: rapid.Uint32Range(0, 1000).Draw(t, "host ttl"), Wildcard: rapid.Bool().Draw(t, "wildcard")}
	if rapid.Bool().Draw(t, "policy") {
		h.Checked = rapid.Bool().Draw(t, "checked")
		h.CheckSites = rapid.SliceOfN(rapid.StringN(0, 5, -1), 0, 3).Draw(t, "check sites")
		h.Policy = model.Policy{
			Kind: model.PolicyKind(rapid.IntRange(0, 2).Draw(t, "policy")), MinHealthy: number.Draw(t, "min healthy"),
			Fallback:       rapid.SliceOfN(anAddress(), 0, 2).Draw(t, "fallback"),
			ManualFailback: rapid.Bool().Draw(t, "failback"), MaxAnswers: number.Draw(t, "max answers"), SuspectTTL: rapid.Uint32Range(0, 100).Draw(t, "suspect"),
		}
	}
	for _, id := range []string{"a", "b", model.MainEndpoint, "n/ü"}[rapid.IntRange(0, 3).Draw(t, "endpoints"):] {
		e := model.Endpoint{ID: id, Generation: rapid.Uint64().Draw(t, "endpoint"), Addresses: rapid.SliceOfN(anAddress(), 0, 3).Draw(t, "addresses")}
		if id != model.MainEndpoint || rapid.Bool().Draw(t, "more of main") {
			e.Site = site.Draw(t, "site")
			e.Weight = rapid.Int32Range(model.NoWeight, model.MostWeight).Draw(t, "weight")
			e.Priority = rapid.Uint32Range(0, model.MostPriority).Draw(t, "priority")
		}
		h.Endpoints = append(h.Endpoints, e)
	}
	return h
}

func TestWhatIsSaidOfEndpointsIsReadAsItWasWritten(t *testing.T) {
	const rev = 7
	rapid.Check(t, func(t *rapid.T) {
		u64, text, at := rapid.Uint64(), rapid.String(), aTime()
		c := &model.Checker{Site: "amsterdam", Term: u64.Draw(t, "term"), RegisterTime: at.Draw(t, "time"), ModRevision: rev}
		gotChecker, err := decodeChecker(c.Site, encodeChecker(c), rev)
		same(t, c, gotChecker, err)

		v := &model.Vote{
			Site: "amsterdam", Endpoint: "a", Generation: u64.Draw(t, "generation"), Term: c.Term, Verdict: model.Verdict(rapid.IntRange(1, 3).Draw(t, "verdict")),
			Reason: rapid.SampledFrom(model.Reasons()).Draw(t, "reason"), Time: at.Draw(t, "time"), ModRevision: rev,
		}
		gotVote, err := decodeVote(v.Site, v.Endpoint, encodeVote(v), rev)
		same(t, v, gotVote, err)

		w := &model.Word{
			Say: model.Saying(rapid.IntRange(1, 3).Draw(t, "say")), Reason: text.Draw(t, "reason"), By: text.Draw(t, "by"), Self: rapid.Bool().Draw(t, "self"),
			Time: at.Draw(t, "time"), ExpireTime: at.Draw(t, "until"), Marker: text.Draw(t, "marker"), Incarnation: u64.Draw(t, "incarnation"), ModRevision: rev,
		}
		gotWord, err := decodeWord(encodeWord(w), rev)
		same(t, w, gotWord, err)

		o := &model.Over{Generation: u64.Draw(t, "generation"), Time: at.Draw(t, "time"), ModRevision: rev}
		gotOver, err := decodeOver(encodeOver(o), rev)
		same(t, o, gotOver, err)

		f := &model.Freeze{Reason: text.Draw(t, "reason"), By: text.Draw(t, "by"), Time: at.Draw(t, "time"), ModRevision: rev}
		gotFreeze, err := decodeFreeze(encodeFreeze(f), rev)
		same(t, f, gotFreeze, err)

		l := &model.CheckerLife{Holder: text.Draw(t, "holder"), StartTime: at.Draw(t, "time"), Doubt: rapid.Bool().Draw(t, "doubt"), Targets: rapid.Uint32().Draw(t, "targets"), ModRevision: rev}
		gotLife, err := decodeLife(encodeLife(l), rev)
		same(t, l, gotLife, err)

		b := &model.Beat{Generation: u64.Draw(t, "generation"), ModRevision: rev}
		gotBeat, err := decodeBeat(encodeBeat(b.Generation), rev)
		same(t, b, gotBeat, err)
	})
}

func TestAnyCheckIsReadAsItWasWritten(t *testing.T) {
	for _, c := range []model.Check{
		{Kind: model.CheckTCP, Port: 5432},
		{Kind: model.CheckHTTP, Port: 8080, Path: "/healthz?x=1", Host: "www.example.org:81", Statuses: []model.Statuses{{From: 200, To: 299}, {From: 429, To: 429}}, Text: "fine"},
		{Kind: model.CheckHTTPS, AnyCertificate: true, ServerName: "other.example.org"},
		{Kind: model.CheckGRPC, Port: 65535, TLS: true, Service: "a.B", Host: "h"},
		{Kind: model.CheckDNS, Query: `a\.b.example.org.`, QueryType: 1, Rcode: 3},
		{Kind: model.CheckHeartbeat, Interval: 300 * time.Second, Timeout: 10 * time.Second, Fall: 10, Rise: 1, Sites: []string{"amsterdam", "bologna"}, Owner: "3f"},
		{Kind: model.CheckTCP, Port: 1, Interval: time.Second, Timeout: 100 * time.Millisecond},
	} {
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		c.ModRevision = 7
		got, err := decodeCheck(encodeCheck(&c), 7)
		rapid.Check(t, func(t *rapid.T) { same(t, &c, got, err) })
	}
}

func TestUnsoundWordsOfOthersAreBad(t *testing.T) {
	for what, err := range map[string]error{
		"a verdict of later":     second(decodeVote("a", "e", encode(&storepb.Vote{Schema: 1, Verdict: 4}), 1)),
		"a reason of later":      second(decodeVote("a", "e", encode(&storepb.Vote{Schema: 1, Verdict: 1, Reason: 1000}), 1)),
		"a word of later":        second(decodeWord(encode(&storepb.Word{Schema: 1, Say: 4}), 1)),
		"a word that says none":  second(decodeWord(encode(&storepb.Word{Schema: 1}), 1)),
		"half a range":           second(decodeCheck(encode(&storepb.Check{Schema: 2, Kind: 1, Statuses: []uint32{200}}), 1)),
		"a check without a port": second(decodeCheck(encode(&storepb.Check{Schema: 2}), 1)),
		"a port out of range":    second(decodeCheck(encode(&storepb.Check{Schema: 2, Port: 1<<16 | 80}), 1)),
		"a kind of later":        second(decodeCheck(encode(&storepb.Check{Schema: 2, Kind: 99}), 1)),
		"a large interval":       second(decodeCheck(encode(&storepb.Check{Schema: 2, Port: 1, IntervalMs: 1 << 60}), 1)),
		"a policy of later":      second(decodeName(encode(&storepb.Name{Schema: 2, Host: &storepb.Host{Policy: 3}}), 1)),
		"an endpoint without id": second(decodeName(encode(&storepb.Name{Schema: 2, Host: &storepb.Host{Endpoints: []*storepb.Endpoint{{}}}}), 1)),
		"an endpoint twice":      second(decodeName(encode(&storepb.Name{Schema: 2, Host: &storepb.Host{Endpoints: []*storepb.Endpoint{{Id: "a"}, {Id: "a"}}}}), 1)),
		"a fallback of 3 octets": second(decodeName(encode(&storepb.Name{Schema: 2, Host: &storepb.Host{Fallback: [][]byte{{1, 2, 3}}}}), 1)),
		"a weight out of range":  second(decodeName(encode(&storepb.Name{Schema: 2, Host: &storepb.Host{Endpoints: []*storepb.Endpoint{{Id: "a", Weight: -2}}}}), 1)),
	} {
		if err == nil {
			t.Errorf("%s is read", what)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// A reader of the first schema must not take a host for half of what it is, and nobody
// who knows only that may write it back.
func TestValuesSayWhichSchemaTheyNeed(t *testing.T) {
	schema := func(h *model.Host) uint32 {
		_, n, ok := new(nameReader).name(encodeName(&model.NameData{Host: h}))
		if !ok {
			t.Errorf("%+v is not read by hand", h)
		}
		return n
	}
	if n := schema(&model.Host{TTL: 5, Wildcard: true, Endpoints: []model.Endpoint{{ID: model.MainEndpoint, Generation: 7}}}); n != 1 {
		t.Errorf("a host with plain addresses is of schema %d", n)
	}
	one := func(e model.Endpoint) *model.Host { return &model.Host{Endpoints: []model.Endpoint{e}} }
	for _, h := range []*model.Host{
		ofEndpoints, one(model.Endpoint{ID: "a"}), one(model.Endpoint{ID: "main", Site: "a"}), one(model.Endpoint{ID: "main", Priority: 1}),
		one(model.Endpoint{ID: "main", Weight: model.NoWeight}), {Checked: true}, {CheckSites: []string{"a"}},
		{Policy: model.Policy{Kind: model.PolicyWeighted}}, {Policy: model.Policy{MinHealthy: 1}}, {Policy: model.Policy{Fallback: ofEndpoints.Policy.Fallback}},
		{Policy: model.Policy{ManualFailback: true}}, {Policy: model.Policy{MaxAnswers: 1}}, {Policy: model.Policy{SuspectTTL: 1}},
	} {
		if n := schema(h); n != 2 {
			t.Errorf("%+v is of schema %d, want 2", h, n)
		}
	}
}
