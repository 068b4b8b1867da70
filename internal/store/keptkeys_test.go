package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"pgregory.net/rapid"

	"signpost/internal/model"
)

// What is kept under a folder and a rest is in the order of whole keys, found by whole
// keys, and never changed by what is done to a later copy.
func TestKeptKeysAreAMapInTheOrderOfKeys(t *testing.T) {
	const root = "/signpost/v1/"
	rapid.Check(t, func(t *rapid.T) {
		aKey := rapid.StringMatching(`(dns/over/)?(a|b|a\.|b-)(/?(a|b|\.|-)){0,4}/?`)
		now, want := newKeptKeys(root), map[string]string{}
		type copied struct {
			keys *keptKeys
			want map[string]string
		}
		var copies []copied
		for range rapid.IntRange(0, 40).Draw(t, "changes") {
			now = now.clone()
			key := root + aKey.Draw(t, "key")
			if rapid.Bool().Draw(t, "remove") {
				now.remove(key)
				delete(want, key)
			} else {
				mod := rapid.Int64Range(0, 1<<60).Draw(t, "mod")
				value := rapid.StringN(0, 10, 20).Draw(t, "value")
				now.put(&mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), ModRevision: mod})
				want[key] = fmt.Sprintf("%d %q", mod, value)
			}
			copies = append(copies, copied{now, maps.Clone(want)})
		}
		from, to := root+aKey.Draw(t, "from"), root+aKey.Draw(t, "to")
		for _, c := range copies {
			var wantKeys, got []string
			for key, value := range c.want {
				if h := c.keys.find(key); fmt.Sprintf("%d %q", h.mod, h.value) != value {
					t.Fatalf("%s is %v, want %s", key, h, value)
				}
				if from <= key && key < to {
					wantKeys = append(wantKeys, key)
				}
			}
			c.keys.between(from, to, func(kv *mvccpb.KeyValue) bool {
				got = append(got, string(kv.Key))
				return true
			})
			if slices.Sort(wantKeys); !slices.Equal(got, wantKeys) {
				t.Fatalf("between %s and %s are %s, want %s", from, to, got, wantKeys)
			}
			if h := c.keys.find(root + "none"); h.there() || h.value != nil {
				t.Fatalf("found %v", h)
			}
		}
	})
}

// Hosts with endpoints have no folders of their own: these are never taken out.
func TestHostsHaveNoFoldersOfTheirOwn(t *testing.T) {
	k := newKeys("/signpost")
	kept := newKeptKeys(k.root)
	for i := range 1000 {
		n := model.Name(fmt.Sprintf("h%d.example.org.", i))
		for _, key := range []string{
			k.vote("amsterdam", exampleOrg, n, "a"), k.vote("bologna", exampleOrg, n, "a"), k.over(exampleOrg, n, "a"), k.endpointWord(exampleOrg, n, "a"),
			k.hostWord(exampleOrg, n), k.check(exampleOrg, 1, n), k.name(exampleOrg, 1, n), k.siteWord("amsterdam"), k.checker("amsterdam"), k.freeze(),
		} {
			kept.put(&mvccpb.KeyValue{Key: []byte(key), ModRevision: 1})
			if !kept.find(key).there() {
				t.Fatalf("%s is not found", key)
			}
		}
	}
	if n := len(kept.dirs.numbers); n > 12 {
		t.Errorf("%d folders: %q", n, *kept.dirs.texts.Load())
	}
}

func TestPairsAreComparedAsOneText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ab/]{0,4}`)
		a1, a2, b1, b2 := text.Draw(t, "a1"), text.Draw(t, "a2"), text.Draw(t, "b1"), text.Draw(t, "b2")
		if got, want := comparePairs(a1, a2, b1, b2), strings.Compare(a1+a2, b1+b2); got != want {
			t.Fatalf("%q+%q and %q+%q: %d, want %d", a1, a2, b1, b2, got, want)
		}
	})
}
