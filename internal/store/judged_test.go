package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store/localetcd"
)

// What an operator's change relies on is compared: nothing of it is newer.
func TestWhatSaysThatEndpointsAreUpIsCompared(t *testing.T) {
	for name, s := range map[string]*Store{"etcd": freshStore(t), "copy": copying(t, localetcd.New(t).Endpoint())} {
		t.Run(name, func(t *testing.T) {
			z := createZone(t, s, exampleOrg)
			setEndpoints(t, s, www, "a", "b")
			said(t, s, www, "b")
			setEndpoints(t, s, "other.example.org.", "a")
			put := func(key string, value []byte) {
				if _, err := s.client.Put(t.Context(), key, string(value)); err != nil {
					t.Error(err)
				}
			}
			update := func(do func(tx *Tx)) {
				must(t)(s.Update(t.Context(), func(tx *Tx) error { do(tx); return nil }))
			}
			register := func(site string) {
				if _, err := s.client.Txn(t.Context()).Then(opPut(s.keys.checker(site), encodeChecker(&model.Checker{Term: 1})), clientv3.OpPut(s.keys.revAll(), newMark())).Commit(); err != nil {
					t.Error(err)
				}
			}
			register("amsterdam")
			vote := encodeVote(&model.Vote{Generation: 1, Term: 1, Verdict: model.Down, Reason: model.Refused})
			for i, tt := range []struct {
				name  string
				other func()
				want  int
			}{
				{"nothing", func() {}, 1},
				{"a vote of a registered checker", func() { put(s.keys.vote("amsterdam", exampleOrg, www, "a"), vote) }, 2},
				{"a vote of another", func() { put(s.keys.vote("nowhere", exampleOrg, www, "a"), vote) }, 1},
				{"a vote on another host", func() { put(s.keys.vote("amsterdam", exampleOrg, "other.example.org.", "a"), vote) }, 1},
				{"a vote on one below", func() { put(s.keys.vote("amsterdam", exampleOrg, "x.www.example.org.", "a"), vote) }, 1},
				{"a word on an endpoint", func() { update(func(tx *Tx) { tx.PutEndpointWord(z, www, "a", &model.Word{Say: model.SayUp}) }) }, 2},
				{"a word on an endpoint taken back", func() { update(func(tx *Tx) { tx.PutEndpointWord(z, www, "a", nil) }) }, 2},
				{"a word on the host taken back", func() { update(func(tx *Tx) { tx.PutHostWord(z, www, nil) }) }, 2},
				{"a mark taken away", func() { update(func(tx *Tx) { tx.PutOver(z, www, "b", nil) }) }, 2},
				{"a word on a site", func() { update(func(tx *Tx) { tx.PutSiteWord("amsterdam", &model.Word{Say: model.SayDrain}) }) }, 2},
				{"a word on a site taken back", func() { update(func(tx *Tx) { tx.PutSiteWord("amsterdam", nil) }) }, 2},
				{"a checker more", func() { register("bologna") }, 2},
				{"a checker less", func() { update(func(tx *Tx) { tx.RemoveChecker("bologna") }) }, 2},
				{"the freeze switch", func() { update(func(tx *Tx) { tx.PutFreeze(&model.Freeze{Reason: "tests"}) }) }, 2},
				{"the freeze switch off", func() { update(func(tx *Tx) { tx.PutFreeze(nil) }) }, 2},
			} {
				if _, err := s.caughtUp(t.Context()); err != nil { // the first decision is on what is so now
					t.Fatal(err)
				}
				got := meanwhile(t, s, func(tx *Tx) error {
					if _, err := tx.Judged(z, www); err != nil {
						return err
					}
					tx.PutHostWord(z, model.Name(fmt.Sprintf("t%d.example.org.", i)), &model.Word{Say: model.SayUp})
					return nil
				}, tt.other)
				if got != tt.want {
					t.Errorf("%s: decided %d times, want %d", tt.name, got, tt.want)
				}
			}
		})
	}
}

// Two drains of the last two endpoints that are offered cannot pass each other.
func TestTwoDrainsCannotPassEachOther(t *testing.T) {
	e := localetcd.New(t).Endpoint()
	services := []*Store{copying(t, e), copying(t, e)}
	createZone(t, services[0], exampleOrg)
	errLast := errors.New("it is the last")
	for round := range 40 {
		host := model.Name(fmt.Sprintf("h%d.example.org.", round))
		setEndpoints(t, services[0], host, "a", "b", "c", "d")
		var drained atomic.Int32
		var both sync.WaitGroup
		for i, id := range []string{"a", "b", "c", "d"} {
			both.Go(func() {
				_, err := services[i%2].Update(t.Context(), func(tx *Tx) error {
					z, err := tx.Zone(exampleOrg)
					if err != nil {
						return err
					}
					j, err := tx.Judged(z, host)
					if err != nil {
						return err
					}
					if len(j.EndpointWords) == 3 {
						return errLast
					}
					tx.Alone()
					tx.PutEndpointWord(z, host, id, &model.Word{Say: model.SayDrain})
					return nil
				})
				switch {
				case err == nil:
					drained.Add(1)
				case !errors.Is(err, errLast):
					t.Error(err)
				}
			})
		}
		both.Wait()
		if n := drained.Load(); n != 3 {
			t.Fatalf("round %d: %d of 4 were drained", round, n)
		}
	}
}

func TestWhatIsPutIsRead(t *testing.T) {
	s := copying(t, localetcd.New(t).Endpoint())
	z := createZone(t, s, exampleOrg)
	setEndpoints(t, s, www, "a", "n/ü")
	said(t, s, www, "a", "n/ü")
	at := time.Unix(7, 0).UTC()
	must(t)(s.Update(t.Context(), func(tx *Tx) error {
		tx.PutSiteWord("amsterdam", &model.Word{Say: model.SayDrain, Reason: "power", Time: at})
		tx.PutFreeze(&model.Freeze{Reason: "a bad day", By: "test/ada", Time: at})
		return nil
	}))
	for _, site := range []string{"bologna", "amsterdam"} {
		if _, err := s.client.Put(t.Context(), s.keys.checker(site), string(encodeChecker(&model.Checker{Term: 3}))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Read(t.Context(), func(tx *Tx) error {
		j, err := tx.Judged(z, www)
		if err != nil {
			return err
		}
		ids := func(n int, ids []string) bool {
			return n == 2 && slices.Equal(slices.Sorted(slices.Values(ids)), []string{"a", "n/ü"})
		}
		if !ids(len(j.EndpointWords), slices.Collect(maps.Keys(j.EndpointWords))) || !ids(len(j.Overs), slices.Collect(maps.Keys(j.Overs))) || !ids(len(j.Votes), slices.Collect(maps.Keys(j.Votes))) {
			t.Errorf("read %+v", j)
		}
		if len(j.Checkers) != 2 || j.Checkers[0].Site != "amsterdam" || j.Checkers[1].Term != 3 {
			t.Errorf("checkers %+v", j.Checkers)
		}
		if v := j.Votes["a"]; len(v) != 2 || v[0].Site != "amsterdam" || v[1].Site != "bologna" || v[0].Reason != model.Refused {
			t.Errorf("votes %+v: want those of registered checkers", v)
		}
		if w := j.SiteWords["amsterdam"]; w == nil || w.Reason != "power" || !w.Time.Equal(at) || len(j.SiteWords) != 1 {
			t.Errorf("words on sites %+v", j.SiteWords)
		}
		if j.Freeze == nil || j.Freeze.By != "test/ada" || j.HostWord == nil || j.HostWord.Say != model.SayUp || j.HostWord.Incarnation != z.Incarnation {
			t.Errorf("%+v, %+v", j.Freeze, j.HostWord)
		}
		w, err := tx.SiteWord("amsterdam")
		if w == nil || w.Say != model.SayDrain {
			t.Errorf("%+v", w)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// What is said of all zones moves the serials of all, and what is said of one host those
// of its zone only.
func TestWordsMoveTheSerialsOfThoseTheyAreAbout(t *testing.T) {
	s := freshStore(t)
	z := createZone(t, s, exampleOrg)
	createZone(t, s, "example.net.")
	revs := func() (out [2]int64) {
		if err := s.Read(t.Context(), func(tx *Tx) (err error) {
			for i, n := range []model.Name{exampleOrg, "example.net."} {
				if err == nil {
					out[i], err = tx.ZoneRevision(n)
				}
			}
			return err
		}); err != nil {
			t.Error(err)
		}
		return out
	}
	for what, tt := range map[string]struct {
		do    func(tx *Tx)
		moved [2]bool
	}{
		"site word":     {func(tx *Tx) { tx.PutSiteWord("amsterdam", &model.Word{Say: model.SayDown}) }, [2]bool{true, true}},
		"freeze":        {func(tx *Tx) { tx.PutFreeze(&model.Freeze{}) }, [2]bool{true, true}},
		"endpoint word": {func(tx *Tx) { tx.PutEndpointWord(z, www, "a", &model.Word{Say: model.SayDown}) }, [2]bool{true, false}},
		"host word":     {func(tx *Tx) { tx.PutHostWord(z, www, &model.Word{Say: model.SayDown}) }, [2]bool{true, false}},
		"over":          {func(tx *Tx) { tx.PutOver(z, www, "a", &model.Over{}) }, [2]bool{true, false}},
		"no checker":    {func(tx *Tx) { tx.RemoveChecker("nowhere") }, [2]bool{false, false}},
		"check":         {func(tx *Tx) { tx.PutCheck(z, www, &model.Check{Kind: model.CheckTCP, Port: 1}) }, [2]bool{false, false}},
	} {
		before := revs()
		must(t)(s.Update(t.Context(), func(tx *Tx) error { tt.do(tx); return nil }))
		after := revs()
		if got := [2]bool{after[0] > before[0], after[1] > before[1]}; got != tt.moved {
			t.Errorf("%s moved %v, want %v", what, got, tt.moved)
		}
	}
}

func TestEndpointSecretsDoNotChangeHands(t *testing.T) {
	s := freshStore(t)
	z := createZone(t, s, exampleOrg)
	setEndpoints(t, s, www, "a")
	set := func(do func(h *model.HostControl)) *model.HostControl {
		var next model.HostControl
		must(t)(s.Update(t.Context(), func(tx *Tx) error {
			path, err := tx.Path(z, www)
			if err == nil {
				next = *path[0].Host
				do(&next)
				tx.PutHost(z, www, path[0].Host, &next)
			}
			return err
		}))
		if err := s.Read(t.Context(), func(tx *Tx) error {
			path, err := tx.Path(z, www)
			if err == nil {
				next = *path[0].Host
			}
			return err
		}); err != nil {
			t.Error(err)
		}
		return &next
	}
	secret := model.EndpointSecret{ID: "a", Hash: []byte("hash"), CreateTime: time.Unix(1, 0).UTC()}
	if h := set(func(h *model.HostControl) { h.Secrets = []model.EndpointSecret{secret} }); len(h.Secrets) != 1 {
		t.Errorf("kept %+v", h.Secrets)
	}
	if h := set(func(h *model.HostControl) { h.Comment = "mine" }); len(h.Secrets) != 1 {
		t.Errorf("kept %+v after another change", h.Secrets)
	}
	if h := set(func(h *model.HostControl) { h.Owner = "test/bob" }); len(h.Secrets) != 0 || h.Owner != "test/bob" {
		t.Errorf("%+v: the new owner has the old one's secrets", h)
	}
}
