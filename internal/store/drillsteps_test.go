package store

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
	"pgregory.net/rapid"

	"signpost/internal/model"
)

var zones = []model.Name{exampleOrg, "example.net."}

// draws is some changes of different keys, of few, with few values, so that
// histories that part often make the same ones.
func (d *drill) draws(rt *rapid.T) (ops []clientv3.Op) {
	k := d.direct.keys
	for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, 7), 1, 4, rapid.ID).Draw(rt, "names") {
		key := k.name(zones[i%2], 1, model.Name(fmt.Sprintf("h%d.", i))+zones[i%2])
		switch rapid.IntRange(0, 5).Draw(rt, "what") {
		case 0, 1:
			ops = append(ops, clientv3.OpDelete(key))
		case 2:
			ops = append(ops, clientv3.OpPut(key, "garbage"))
		case 3:
			ops = append(ops, clientv3.OpPut(k.zone("example.net."), "garbage"))
			return ops
		default:
			ops = append(ops, clientv3.OpPut(key, string(encodeName(addressed("192.0.2.1", 1)))))
		}
	}
	return ops
}

func (d *drill) marked(rt *rapid.T) []clientv3.Op {
	z := d.direct.keys.rev(rapid.SampledFrom(zones).Draw(rt, "zone"))
	return append(d.draws(rt), clientv3.OpPut(z, newMark()))
}

func (d *drill) change(rt *rapid.T) { d.commit(rt, true, d.marked(rt)...) }

func (d *drill) burst(rt *rapid.T) {
	for range rapid.IntRange(2, 30).Draw(rt, "many") {
		d.change(rt)
	}
}

// around is what somebody does with etcdctl.
func (d *drill) around(rt *rapid.T) { d.commit(rt, false, d.draws(rt)...) }

// elsewhere is a change of what is not followed: of nobody or of the copy only.
func (d *drill) elsewhere(rt *rapid.T) {
	k := d.direct.keys
	key := rapid.SampledFrom([]string{k.audit("1"), k.root + "ctl/thing", k.request("p", "1"), k.dns() + "later/x", k.dns() + "zone/not a name"}).Draw(rt, "key")
	d.commit(rt, false, clientv3.OpPut(key, rapid.SampledFrom([]string{"1", "2"}).Draw(rt, "value")))
}

func (d *drill) compact(rt *rapid.T) {
	head := d.now().head().rev
	if head <= d.compacted {
		rt.Skip("nothing to compact")
	}
	rev := rapid.Int64Range(d.compacted+1, head).Draw(rt, "revision")
	if head-d.compacted > 3 && rapid.Bool().Draw(rt, "all") {
		rev = head
	}
	if _, err := d.direct.client.Compact(context.Background(), rev); err != nil {
		rt.Fatal(err)
	}
	d.compacted = rev
}

func (d *drill) line(rt *rapid.T) {
	l := d.lines[rapid.IntRange(0, len(d.lines)-1).Draw(rt, "line")]
	switch rapid.SampledFrom([]string{"well", "frozen", "cut", "cut for a moment"}).Draw(rt, "is") {
	case "well":
		l.set(false, false)
	case "frozen":
		l.set(true, false)
	case "cut":
		l.set(false, true)
	default:
		l.set(false, true)
		l.set(false, false)
	}
}
