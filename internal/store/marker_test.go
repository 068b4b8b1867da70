package store

import (
	"testing"
	"time"

	"signpost/internal/model"
	"signpost/internal/store/localetcd"
)

// A timed word ends when its marker does, and not before; one that replaced it stays.
func TestATimedWordEndsWithItsMarker(t *testing.T) {
	s := copying(t, localetcd.New(t).Endpoint())
	z := createZone(t, s, exampleOrg)
	setEndpoints(t, s, www, "a", "b")
	marker := func() string {
		t.Helper()
		id, err := s.Marker(t.Context(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	ids := []string{marker(), marker(), marker(), marker()}
	word := func(id string) *model.Word { return &model.Word{Say: model.SayDrain, Marker: id} }
	must(t)(s.Update(t.Context(), func(tx *Tx) error {
		tx.PutEndpointWord(z, www, "a", word(ids[0]))
		tx.PutEndpointWord(z, www, "b", word(ids[1]))
		tx.PutHostWord(z, www, word(ids[2]))
		tx.PutSiteWord("amsterdam", word(ids[3]))
		tx.PutSiteWord("bologna", &model.Word{Say: model.SayDown})
		tx.PutFreeze(&model.Freeze{})
		return nil
	}))
	ended := func() (out []WordOn) {
		t.Helper()
		if err := s.Read(t.Context(), func(tx *Tx) (err error) {
			out, err = tx.EndedWords()
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	remove := func(w WordOn) (did bool) {
		t.Helper()
		must(t)(s.Update(t.Context(), func(tx *Tx) (err error) {
			did, err = tx.EndWord(w)
			return err
		}))
		return did
	}
	if got := ended(); len(got) != 0 {
		t.Errorf("ended before their time: %+v", got)
	}
	for _, i := range []int{0, 1, 3} {
		s.EndMarker(t.Context(), ids[i])
	}
	got := ended()
	if len(got) != 3 || got[0].On.Kind != model.EndpointWordKey || got[0].On.Endpoint != "a" || got[2].On.Site != "amsterdam" {
		t.Fatalf("ended: %+v", got)
	}
	must(t)(s.Update(t.Context(), func(tx *Tx) error { // said again meanwhile
		tx.PutEndpointWord(z, www, "b", word(ids[2]))
		return nil
	}))
	for i, want := range []bool{true, false, true} {
		if did := remove(got[i]); did != want {
			t.Errorf("word %+v: removed %v, want %v", got[i].On, did, want)
		}
	}
	if err := s.Read(t.Context(), func(tx *Tx) error {
		j, err := tx.Judged(z, www)
		if len(j.EndpointWords) != 1 || j.EndpointWords["b"] == nil || j.HostWord == nil || len(j.SiteWords) != 1 {
			t.Errorf("left: %+v", j)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	early := WordOn{On: model.Key{Kind: model.HostWordKey, Zone: exampleOrg, Name: www}}
	if err := s.Read(t.Context(), func(tx *Tx) (err error) { early.Word, err = tx.HostWord(z, www); return err }); err != nil {
		t.Fatal(err)
	}
	if remove(early) {
		t.Error("a word was removed before its time")
	}
}

// etcd's own clock ends a marker.
func TestAMarkerEndsByItself(t *testing.T) {
	s := freshStore(t)
	id, err := s.Marker(t.Context(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var there bool
		if err := s.Read(t.Context(), func(tx *Tx) error {
			kvs, err := tx.get(s.keys.marker(id))
			there = err == nil && kvs[0].there()
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if !there {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not end")
		}
	}
}
