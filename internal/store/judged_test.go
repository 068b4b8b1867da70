package store

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store/localetcd"
)

const www model.Name = "www.example.org."

// withEndpoints has a host with these endpoints, of generation 1, and a check.
func withEndpoints(tx *Tx, name model.Name, ids ...string) error {
	z, err := tx.Zone(exampleOrg)
	if err != nil {
		return err
	}
	path, err := tx.Path(z, name)
	if err != nil {
		return err
	}
	h := &model.Host{Checked: true}
	for i, id := range ids {
		h.Endpoints = append(h.Endpoints, model.Endpoint{ID: id, Generation: 1, Addresses: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})}})
	}
	data := &model.NameData{Host: h}
	if len(ids) == 0 {
		data = nil
	}
	tx.PutName(z, name, data)
	switch {
	case data == nil:
		tx.PutHost(z, name, path[0].Host, nil)
	case path[0].Host == nil:
		tx.PutHost(z, name, nil, &model.HostControl{Owner: "test/ada"})
		tx.PutCheck(z, name, &model.Check{Kind: model.CheckTCP, Port: 80})
	}
	return nil
}

func setEndpoints(t *testing.T, s *Store, name model.Name, ids ...string) Result {
	t.Helper()
	res, err := s.Update(t.Context(), func(tx *Tx) error { return withEndpoints(tx, name, ids...) })
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// said says something of a host and all its endpoints in every way there is.
func said(t *testing.T, s *Store, name model.Name, ids ...string) {
	t.Helper()
	must(t)(s.Update(t.Context(), func(tx *Tx) error {
		z, err := tx.Zone(exampleOrg)
		if err != nil {
			return err
		}
		tx.PutHostWord(z, name, &model.Word{Say: model.SayUp})
		for _, id := range ids {
			tx.PutEndpointWord(z, name, id, &model.Word{Say: model.SayDrain, Reason: "tests", By: "test/ada"})
			tx.PutOver(z, name, id, &model.Over{Generation: 1})
		}
		return nil
	}))
	for _, site := range []string{"amsterdam", "bologna", "cracow"} {
		for _, id := range ids {
			if _, err := s.client.Put(t.Context(), s.keys.vote(site, exampleOrg, name, id), string(encodeVote(&model.Vote{Generation: 1, Verdict: model.Down, Reason: model.Refused}))); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// left is the keys about endpoints, without votes.
func left(t *testing.T, s *Store) (keys []string) {
	t.Helper()
	resp, err := s.client.Get(t.Context(), s.keys.root, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range resp.Kvs {
		key := strings.TrimPrefix(string(kv.Key), s.keys.root)
		for _, of := range []string{"dns/admin/", "dns/over/", "check/"} {
			if strings.HasPrefix(key, of) {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// Removing a host or an endpoint removes what operators and the check say of it in the
// same revision; the most that a host can have fits in one transaction.
func TestWhatIsSaidOfAHostGoesWithIt(t *testing.T) {
	for name, s := range map[string]*Store{"etcd": freshStore(t), "copy": copying(t, localetcd.New(t).Endpoint())} {
		t.Run(name, func(t *testing.T) {
			createZone(t, s, exampleOrg)
			var ids []string
			for i := range 16 {
				ids = append(ids, fmt.Sprintf("e%02d", i))
			}
			setEndpoints(t, s, www, ids...)
			said(t, s, www, ids...)
			if got := left(t, s); len(got) != 1+1+16+16 {
				t.Fatalf("there is %q", got)
			}
			setEndpoints(t, s, www, ids[1:]...)
			if got := left(t, s); len(got) != 1+1+15+15 || slices.ContainsFunc(got, func(k string) bool { return strings.HasSuffix(k, "/e00") }) {
				t.Errorf("without %s there is %q", ids[0], got)
			}
			setEndpoints(t, s, www)
			if got := left(t, s); len(got) != 0 {
				t.Errorf("without the host there is %q", got)
			}
		})
	}
}

// A word that comes while its endpoint is removed does not stay behind.
func TestAWordDoesNotOutliveItsHost(t *testing.T) {
	s := copying(t, localetcd.New(t).Endpoint())
	createZone(t, s, exampleOrg)
	setEndpoints(t, s, www, "a")
	if _, err := s.caughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := meanwhile(t, s, func(tx *Tx) error { return withEndpoints(tx, www) }, func() { said(t, s, www, "a") })
	if got := left(t, s); n != 2 || len(got) != 0 {
		t.Errorf("decided %d times; there is %q", n, got)
	}
}

// What an import left, which takes hosts away without a look at what is said of them,
// does not count for the next host of that name.
func TestANewHostStartsWithNothingSaidOfIt(t *testing.T) {
	for name, s := range map[string]*Store{"etcd": freshStore(t), "copy": copying(t, localetcd.New(t).Endpoint())} {
		t.Run(name, func(t *testing.T) {
			z := createZone(t, s, exampleOrg)
			setEndpoints(t, s, www, "a", "b")
			said(t, s, www, "a", "b")
			if _, err := s.client.Delete(t.Context(), s.keys.name(exampleOrg, z.Generation, www)); err != nil {
				t.Fatal(err)
			}
			must(t)(s.Update(t.Context(), func(tx *Tx) error {
				if err := withEndpoints(tx, www, "b"); err != nil {
					return err
				}
				tx.PutEndpointWord(z, www, "b", &model.Word{Say: model.SayDown}) // its own
				tx.PutCheck(z, www, &model.Check{Kind: model.CheckTCP, Port: 81})
				return nil
			}))
			want := []string{"check/org.example./" + fmt.Sprint(z.Incarnation) + "/www.", "dns/admin/endpoint/org.example./www./b"}
			if got := left(t, s); !slices.Equal(got, want) {
				t.Errorf("there is %q, want %q", got, want)
			}
			if err := s.Read(t.Context(), func(tx *Tx) error {
				c, err1 := tx.Check(z, www)
				w, err2 := tx.EndpointWords(z, www)
				if c == nil || c.Port != 81 || w["b"] == nil || w["b"].Say != model.SayDown {
					t.Errorf("the new host has %+v, %+v", c, w)
				}
				return errors.Join(err1, err2)
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

// A word of another incarnation of the zone does not count.
func TestWordsAreOfTheirIncarnation(t *testing.T) {
	s := freshStore(t)
	z := createZone(t, s, exampleOrg)
	setEndpoints(t, s, www, "a")
	said(t, s, www, "a")
	next := *z
	next.Incarnation++
	for _, tt := range []struct {
		z    *model.Zone
		want int
	}{{z, 2}, {&next, 0}} {
		if err := s.Read(t.Context(), func(tx *Tx) error {
			h, err1 := tx.HostWord(tt.z, www)
			e, err2 := tx.EndpointWords(tt.z, www)
			n := len(e)
			if h != nil {
				n++
			}
			if n != tt.want {
				t.Errorf("incarnation %d: %+v, %+v; want %d words", tt.z.Incarnation, h, e, tt.want)
			}
			return errors.Join(err1, err2)
		}); err != nil {
			t.Error(err)
		}
	}
}

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
