package store

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

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
