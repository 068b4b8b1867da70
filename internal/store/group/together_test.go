package group

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"pgregory.net/rapid"
)

// TestTogetherIsAsOneAtATime: random changes that share commits give what the same
// changes give one at a time, in the order of their revisions; when only one commit is
// under way at a time, in the order in which they wait.
func TestTogetherIsAsOneAtATime(t *testing.T) {
	client := etcdClient(t)
	trial := 0
	rapid.Check(t, func(r *rapid.T) {
		trial++
		key := rapid.StringMatching(`[a-f]`)
		shared := rapid.SampledFrom([]string{"rev/x", "rev/y"})
		start := rapid.SliceOfDistinct(key, rapid.ID[string]).Draw(r, "there")
		drafts := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) draft {
			return draft{
				keys:    rapid.SliceOfNDistinct(rapid.OneOf(key, shared), 0, 3, rapid.ID[string]).Draw(r, "compares"),
				stale:   rapid.IntRange(0, 9).Draw(r, "stale") == 0,
				from:    key.Draw(r, "from"),
				to:      rapid.OneOf(rapid.Just(""), key).Draw(r, "to"),
				puts:    rapid.SliceOfNDistinct(key, 0, 3, rapid.ID[string]).Draw(r, "puts"),
				deletes: rapid.SliceOfNDistinct(key, 0, 2, rapid.ID[string]).Draw(r, "deletes"),
				shared:  rapid.SliceOfNDistinct(shared, 0, 2, rapid.ID[string]).Draw(r, "shared"),
				note:    rapid.Bool().Draw(r, "note"),
			}
		}), 2, 12).Draw(r, "changes")

		zoned := rapid.SampledFrom([]string{"all", "all", "all, which has changed", "none"}).Draw(r, "compare the zone")
		for i := range drafts {
			drafts[i].zone = zoned
		}
		if zoned == "all, which has changed" && rapid.Bool().Draw(r, "but the last") {
			drafts[len(drafts)-1].zone = "all"
		}
		places := rapid.SampledFrom([]int{1, mostFlying}).Draw(r, "places")

		together, alone := world{t, client, fmt.Sprintf("%d/together/", trial)}, world{t, client, fmt.Sprintf("%d/alone/", trial)}
		c, release := queued(t, clientv3.RetryKVClient(client))
		c.shared, c.places = together.isShared, places
		if rapid.Bool().Draw(r, "each by itself") {
			c.caution = 1000
		}
		got := commitAll(t, c, release, together.changes(start, drafts))

		order := make([]int, len(got))
		for i := range order {
			order[i] = i
		}
		if places > 1 {
			// Where nothing was written the revision is that of the commit before.
			idle := func(i int) int {
				if got[i].Made && drafts[i].writes() {
					return 0
				}
				return 1
			}
			slices.SortStableFunc(order, func(a, b int) int {
				return cmp.Or(cmp.Compare(got[a].Revision, got[b].Revision), idle(a)-idle(b))
			})
		}
		changes := alone.changes(start, drafts)
		put := map[string]bool{}
		for _, i := range order {
			if got[i].err != nil {
				r.Fatalf("change %d: %v", i, got[i].err)
			}
			if !got[i].Made && drafts[i].comparesShared() {
				continue // a shared key is also put with changes that are not made
			}
			resp, err := changes[i].plain(client.Txn(t.Context())).Commit()
			if err != nil {
				r.Fatal(err)
			}
			if resp.Succeeded != got[i].Made {
				r.Errorf("change %d %+v: %+v, one at a time made %v", i, drafts[i], got[i], resp.Succeeded)
			}
			for _, s := range drafts[i].shared {
				put[s] = put[s] || resp.Succeeded
			}
		}
		one, all := values(t, client, alone.prefix), values(t, client, together.prefix)
		if of, made := notes(one), notes(all); !slices.Equal(of, made) {
			r.Errorf("the notes of %v were put, one at a time of %v", made, of)
		}
		for _, s := range []string{"rev/x", "rev/y"} {
			if _, there := all[s]; put[s] && !there {
				r.Errorf("%s was not put with a change that was made", s)
			}
			delete(one, s)
			delete(all, s)
		}
		if !maps.Equal(one, all) {
			r.Errorf("together %v, one at a time %v, in the order %d", all, one, order)
		}
	})
}

// notes takes what joins out of values, and says whose it is.
func notes(values map[string]string) (of []string) {
	for key, value := range values {
		if strings.HasPrefix(key, "~note/") {
			of = append(of, strings.Split(strings.TrimSuffix(value, ";"), ";")...)
			delete(values, key)
		}
	}
	slices.Sort(of)
	return of
}

// writes reports whether the change gives etcd a revision when it is made: one that only
// deletes may find nothing to delete, so that those put a key of their own.
func (d draft) writes() bool {
	return d.note || len(d.puts)+len(d.deletes)+len(d.shared) > 0
}

func (d draft) comparesShared() bool {
	return slices.ContainsFunc(d.keys, func(k string) bool { return isShared(k) })
}

// draft is a change before it is known where it is made.
type draft struct {
	keys, puts, deletes, shared []string
	zone                        string
	stale, note                 bool
	from, to                    string
}

// world is a place in etcd.
type world struct {
	t      *testing.T
	client *clientv3.Client
	prefix string
}

func (w world) isShared(key string) bool { return isShared(key[min(len(w.prefix), len(key)):]) }

// changes decides all drafts on the state in which only the keys in start are there.
func (w world) changes(start []string, drafts []draft) []Change {
	w.t.Helper()
	mods := map[string]int64{}
	resp, err := w.client.Put(w.t.Context(), w.prefix+"~", "the zone")
	if err != nil {
		w.t.Fatal(err)
	}
	zone := resp.Header.Revision
	for _, k := range start {
		if err == nil {
			resp, err = w.client.Put(w.t.Context(), w.prefix+k, "at first")
			mods[k] = resp.Header.Revision
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
	out := make([]Change, len(drafts))
	for i, d := range drafts {
		switch d.zone {
		case "all":
			out[i].If = append(out[i].If, Compare{Key: w.prefix + "~", Mod: zone})
		case "all, which has changed":
			out[i].If = append(out[i].If, Compare{Key: w.prefix + "~", Mod: zone - 1})
		}
		for _, k := range d.keys {
			mod := mods[k]
			if d.stale {
				mod += 1 << 40 // which no change here will reach
			}
			out[i].If = append(out[i].If, Compare{Key: w.prefix + k, Mod: mod})
		}
		if d.from < d.to {
			out[i].If = append(out[i].If, Compare{Key: w.prefix + d.from, End: w.prefix + d.to, Mod: resp.Header.Revision + 1})
		}
		for _, k := range d.puts {
			out[i].Then = append(out[i].Then, Write{Key: w.prefix + k, Value: fmt.Appendf(nil, "by %d", i)})
		}
		for _, k := range d.deletes {
			if !slices.Contains(d.puts, k) {
				out[i].Then = append(out[i].Then, Write{Key: w.prefix + k, Delete: true})
			}
		}
		for _, k := range d.shared {
			out[i].Then = append(out[i].Then, Write{Key: w.prefix + k})
		}
		if d.note {
			out[i].Then = append(out[i].Then, Write{Key: fmt.Sprintf("%s~note/%02d", w.prefix, i), Value: fmt.Appendf(nil, "%d;", i), Joins: true})
		}
		if len(d.deletes) > 0 {
			out[i].Then = append(out[i].Then, Write{Key: fmt.Sprintf("%s~by/%d", w.prefix, i), Value: []byte("it was made")})
		}
	}
	return out
}
