package zone_test

import (
	"fmt"
	"testing"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/zone"
)

const sceneZone, sceneHost = "example.org.", "h.example.org."

// stage is what etcd holds, for views of it: changes by their keys.
type stage struct {
	t    *testing.T
	rev  int64
	live map[model.Key]model.Change
	view *zone.View // that has followed
}

// staged is a zone of incarnation 5 with a host, and what is said of it: see scene.
func staged(t *testing.T, text string) *stage {
	w := &stage{t: t, live: map[model.Key]model.Change{}, view: zone.Empty(0)}
	h, said := scene(text)
	changes := zoneChanges(t, sceneZone, 1)
	changes[0].Zone.Incarnation, changes[0].Zone.TTL = 5, 60
	changes = append(changes, model.Change{Key: nameKey(sceneHost), Name: &model.NameData{Host: h}})
	w.step(append(changes, remarks(said)...)...)
	return w
}

func nameKey(name model.Name) model.Key {
	return model.Key{Kind: model.NameKey, Zone: sceneZone, Generation: 1, Name: name}
}

// remarks is what is said, as changes.
func remarks(said *zone.Said) (changes []model.Change) {
	at := func(kind model.KeyKind, site, endpoint string) model.Key {
		return model.Key{Kind: kind, Zone: sceneZone, Name: sceneHost, Site: site, Endpoint: endpoint}
	}
	for _, c := range said.Checkers {
		changes = append(changes, model.Change{Key: model.Key{Kind: model.CheckerKey, Site: c.Site}, Checker: &c})
	}
	for site, word := range said.Sites {
		changes = append(changes, model.Change{Key: model.Key{Kind: model.SiteWordKey, Site: site}, Word: word})
	}
	if said.Host != nil {
		changes = append(changes, model.Change{Key: at(model.HostWordKey, "", ""), Word: said.Host})
	}
	for id, word := range said.Endpoints {
		changes = append(changes, model.Change{Key: at(model.EndpointWordKey, "", id), Word: word})
	}
	for id, over := range said.Overs {
		changes = append(changes, model.Change{Key: at(model.OverKey, "", id), Over: over})
	}
	for _, v := range said.Votes {
		changes = append(changes, model.Change{Key: at(model.VoteKey, v.Site, v.Endpoint), Vote: &v})
	}
	return changes
}

// step is one revision.
func (w *stage) step(changes ...model.Change) {
	w.rev++
	for i := range changes {
		c := &changes[i]
		c.ModRevision, c.Raw = w.rev, fmt.Appendf(nil, "%v at %d", c.Key, w.rev)
		w.live[c.Key] = *c
		if c.Deleted {
			delete(w.live, c.Key)
		}
	}
	w.view = w.view.Apply(w.rev, changes)
}

// say is a revision in which something is said; takeBack one in which it is taken back.
func (w *stage) say(text string) {
	_, said := scene(text)
	w.step(remarks(said)...)
}

func (w *stage) takeBack(text string) {
	_, said := scene(text)
	changes := remarks(said)
	for i, c := range changes {
		changes[i] = model.Change{Key: c.Key, Deleted: true}
	}
	w.step(changes...)
}

// expect holds the answer against that of the view that has followed, of one that has
// read the whole, and of one that has read what the first would write as a snapshot.
func (w *stage) expect(name string, qtype uint16, want string) {
	w.t.Helper()
	expect(w.t, w.view, name, qtype, want)
	var all, kept []model.Change
	for _, c := range w.live {
		all = append(all, c)
	}
	for c := range w.view.All() {
		was, ok := w.live[c.Key]
		if !ok || string(was.Raw) != string(c.Raw) || was.ModRevision != c.ModRevision {
			w.t.Errorf("%v of the view is not in etcd", c)
		}
		kept = append(kept, was)
	}
	for what, state := range map[string][]model.Change{"read whole": all, "of the snapshot": kept} {
		v, err := zone.Build(w.rev, nil, each(state))
		if err != nil {
			w.t.Fatal(err)
		}
		if got := says(v, name, qtype); got != want {
			w.t.Errorf("%s: %s %s\ngot  %s\nwant %s", what, name, dns.Type(qtype), got, want)
		}
	}
	if n, err := w.view.Compare(each(all)); n != 0 || err != nil {
		w.t.Errorf("compared with etcd there are %d differences, %v", n, err)
	}
}

const twoSites = "policy failover checked; a @s1 p0 4 6; b @s2 p1 4; checkers 3"

// hostIs is the answer A of the scene's host.
func hostIs(ttl int, addrs ...string) string {
	s := "NOERROR aa"
	for _, a := range addrs {
		s += fmt.Sprintf("; answer %s %d A %s", sceneHost, ttl, a)
	}
	return s
}

func nodata(ttl int) string { return fmt.Sprintf("NOERROR aa; authority example.org. %d SOA 7", ttl) }
