package store

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store/localetcd"
)

// Sweeping takes what is said of what is no more, and by whom is no more, and nothing
// that counts or may come to count.
func TestSweepTakesOnlyWhatDoesNotCount(t *testing.T) {
	s := copying(t, localetcd.New(t).Endpoint())
	z := createZone(t, s, exampleOrg)
	setEndpoints(t, s, www, "a")
	setEndpoints(t, s, "gone.example.org.", "a")
	d := standBy(t, s, "bologna") // it runs and has not registered
	k := s.keys
	vote := func(gen, term uint64) []byte {
		return encodeVote(&model.Vote{Generation: gen, Term: term, Verdict: model.Up})
	}
	word := func(inc uint64) []byte { return encodeWord(&model.Word{Say: model.SayUp, Incarnation: inc}) }
	over := func(gen uint64) []byte { return encodeOver(&model.Over{Generation: gen}) }
	const gone, away model.Name = "gone.example.org.", "example.net."
	stays := map[string][]byte{
		k.checker("amsterdam"):                    encodeChecker(&model.Checker{Term: 7}),
		k.vote("amsterdam", exampleOrg, www, "a"): vote(1, 7),
		k.vote("bologna", exampleOrg, www, "a"):   vote(1, d.Term()),
		k.hostWord(exampleOrg, www):               word(z.Incarnation),
		k.endpointWord(exampleOrg, www, "a"):      word(z.Incarnation),
		k.over(exampleOrg, www, "a"):              over(1),
		k.siteWord("nowhere"):                     word(0),
		k.freeze():                                encodeFreeze(&model.Freeze{}),
		k.check(exampleOrg, z.Incarnation, www):   encodeCheck(&model.Check{Port: 80}),
	}
	goes := map[string][]byte{
		k.vote("cracow", exampleOrg, www, "a"):           vote(1, 7), // nobody is there
		k.vote("amsterdam", exampleOrg, gone, "a"):       vote(1, 7),
		k.vote("amsterdam", exampleOrg, www, "b"):        vote(1, 7),
		k.vote("amsterdam", away, "h.example.net.", "a"): vote(1, 7),
		k.hostWord(exampleOrg, gone):                     word(z.Incarnation),
		k.hostWord(away, "h.example.net."):               word(1),
		k.endpointWord(exampleOrg, www, "b"):             word(z.Incarnation),
		k.endpointWord(exampleOrg, gone, "a"):            word(z.Incarnation),
		k.over(exampleOrg, www, "b"):                     over(1),
		k.over(exampleOrg, gone, "a"):                    over(1),
		k.check(exampleOrg, z.Incarnation, gone):         encodeCheck(&model.Check{Port: 80}),
		k.check(exampleOrg, z.Incarnation+1, www):        encodeCheck(&model.Check{Port: 80}),
		k.check(away, 1, "h.example.net."):               encodeCheck(&model.Check{Port: 80}),
	}
	setEndpoints(t, s, "two.example.org.", "a", "b")                               // for what is old of an endpoint that is there
	stays[k.endpointWord(exampleOrg, "two.example.org.", "b")] = []byte("garbage") // perhaps of a later version
	goes[k.vote("amsterdam", exampleOrg, "two.example.org.", "a")] = vote(2, 7)
	goes[k.vote("amsterdam", exampleOrg, "two.example.org.", "b")] = vote(1, 6)
	goes[k.over(exampleOrg, "two.example.org.", "a")] = over(2)
	goes[k.endpointWord(exampleOrg, "two.example.org.", "a")] = word(z.Incarnation + 1)
	for i := range 250 { // more than a chunk
		goes[k.vote("cracow", exampleOrg, model.Name(fmt.Sprintf("n%d.example.org.", i)), "a")] = vote(1, 7)
	}
	if _, err := s.client.Delete(t.Context(), k.name(exampleOrg, z.Generation, gone)); err != nil {
		t.Fatal(err)
	}
	for _, all := range []map[string][]byte{stays, goes} {
		for key, value := range all {
			if _, err := s.client.Put(t.Context(), key, string(value)); err != nil {
				t.Fatal(err)
			}
		}
	}
	n, err := s.Sweep(t.Context(), time.Unix(1, 0))
	if err != nil || n < len(goes) {
		t.Errorf("swept %d, %v; want %d at least", n, err, len(goes))
	}
	resp, err := s.client.Get(t.Context(), k.root, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, kv := range resp.Kvs {
		there[string(kv.Key)] = true
	}
	for _, key := range slices.Sorted(maps.Keys(stays)) {
		if !there[key] {
			t.Errorf("%s was taken", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(goes)) {
		if there[key] {
			t.Errorf("%s was left", key)
		}
	}
	d.Release()
	if n, err := s.Sweep(t.Context(), time.Unix(1, 0)); n != 1 || err != nil {
		t.Errorf("when the checker that never registered is gone: swept %d, %v; want its vote", n, err)
	}
}
