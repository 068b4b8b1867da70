package rounds

import (
	"container/heap"
	"slices"
	"time"

	"golang.org/x/time/rate"
)

// put lets a target join the turn of its key, or begins one at some time within its first
// interval.
func (r *Rounds[ID]) put(target Target[ID], now time.Time) {
	t := r.byKey[target.Key]
	if target.Key == "" || t == nil {
		t = &turn[ID]{Target: target, place: -1, since: map[ID]uint64{},
			at: now.Add(time.Duration(float64(target.Every) * r.Float64()))}
		heap.Push(&r.due, t)
		if target.Key != "" {
			r.byKey[target.Key] = t
		}
		b := r.budgets[target.Owner]
		if b == nil {
			b = &budget{Limiter: rate.NewLimiter(rate.Limit(r.Budget), max(1, int(r.Budget)))}
			r.budgets[target.Owner] = b
		}
		b.turns++
	}
	t.ids = append(t.ids, target.ID)
	t.since[target.ID] = r.number
	r.byID[target.ID] = t
}

// drop takes a target out of its turn, which ends with its last.
func (r *Rounds[ID]) drop(id ID) {
	t := r.byID[id]
	if t == nil {
		return
	}
	delete(r.byID, id)
	delete(t.since, id)
	t.ids = slices.DeleteFunc(t.ids, func(other ID) bool { return other == id })
	if len(t.ids) > 0 {
		return
	}
	t.gone = true
	if !t.flying {
		heap.Remove(&r.due, t.place)
	}
	if t.Key != "" {
		delete(r.byKey, t.Key)
	}
	if b := r.budgets[t.Owner]; b.turns == 1 {
		delete(r.budgets, t.Owner)
	} else {
		b.turns--
	}
}

// queue is the turns that wait, the next first.
type queue[ID comparable] []*turn[ID]

func (q queue[ID]) Len() int           { return len(q) }
func (q queue[ID]) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q queue[ID]) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push and Pop are heap's.
func (q *queue[ID]) Push(x any) {
	t := x.(*turn[ID])
	t.place = len(*q)
	*q = append(*q, t)
}

func (q *queue[ID]) Pop() any {
	old := *q
	t := old[len(old)-1]
	old[len(old)-1], t.place = nil, -1
	*q = old[:len(old)-1]
	return t
}
