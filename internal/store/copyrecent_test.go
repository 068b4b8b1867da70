package store

import (
	"fmt"
	"slices"
	"testing"

	"signpost/internal/model"
)

// What has changed since a revision is known from memory, what is gone too, as long as it
// is not too much; settings of a zone concern nobody.
func TestWhatHasChangedSinceARevision(t *testing.T) {
	etcd, direct := etcdAndStore(t)
	createZone(t, direct, exampleOrg)
	s := copying(t, etcd.Endpoint())
	untilCopied(t, s)
	since := func(rev int64) string {
		t.Helper()
		tx, err := s.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got, known := tx.ChangedSince(rev)
		var names []string
		for _, h := range got.Hosts {
			names = append(names, string(h.Name))
		}
		slices.Sort(names)
		return fmt.Sprint(known, names, got.Sites, got.Checkers, got.Freeze, got.Zones)
	}
	update := func(do func(tx *Tx, z *model.Zone)) int64 {
		t.Helper()
		res, err := direct.Update(t.Context(), func(tx *Tx) error {
			z, err := tx.Zone(exampleOrg)
			if err != nil {
				return err
			}
			if _, err := tx.Datas(z, "a.example.org.", "b.example.org."); err != nil {
				return err
			}
			if _, err := tx.HostWord(z, "b.example.org."); err != nil {
				return err
			}
			if _, err := tx.SiteWord("north"); err != nil {
				return err
			}
			do(tx, z)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return res.Revision
	}
	word := &model.Word{Say: model.SayUp}
	host := &model.NameData{Host: &model.Host{}}
	first := update(func(tx *Tx, z *model.Zone) { tx.PutName(z, "a.example.org.", host) })
	second := update(func(tx *Tx, z *model.Zone) {
		tx.PutName(z, "b.example.org.", host)
		tx.PutHostWord(z, "b.example.org.", word)
	})
	third := update(func(tx *Tx, z *model.Zone) { tx.PutHostWord(z, "b.example.org.", nil) })
	fourth := update(func(tx *Tx, z *model.Zone) { now := *z; now.TTL = 77; tx.PutZone(&now) })
	fifth := update(func(tx *Tx, _ *model.Zone) { tx.PutSiteWord("north", word) })
	for rev, want := range map[int64]string{
		first - 1: "true [a.example.org. b.example.org.] [north] false false []", first: "true [b.example.org.] [north] false false []",
		second: "true [b.example.org.] [north] false false []", third: "true [] [north] false false []", fourth: "true [] [north] false false []",
		fifth: "true [] [] false false []", 1: "false [] [] false false []",
	} {
		if got := since(rev); got != want && (rev != 1 || got[:5] != "false") {
			t.Errorf("since %d: %s, want %s", rev, got, want)
		}
	}
	k := s.copy.Load()
	for i := range mostRecent {
		k.recent.note(changedKey{rev: fifth + int64(i)/2, key: s.keys.freeze()})
	}
	if got := since(first); got[:5] != "false" {
		t.Errorf("too much is remembered: %s", got)
	}
	if got := since(fifth + mostRecent/2 - 2); got != "true [] [] false true []" {
		t.Errorf("the last is forgotten: %s", got)
	}
}
