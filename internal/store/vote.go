package store

import (
	"context"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// Register has what the checker of the site says count, if it does not yet: for whoever
// has voted on all that there is to check. Errors: Aborted when the Duty is lost, and when
// the freeze switch is on: one more to be counted may change answers.
func (d *Duty) Register(ctx context.Context, now time.Time) error {
	key := d.s.keys.checker(d.site)
	c, err := d.registered(ctx)
	if err != nil {
		return err
	}
	term := d.Term()
	if c != nil && c.Term != term {
		return model.E(model.Aborted, "register checker", d.site).Because("another one is registered there").Hint("take the site anew")
	}
	if c != nil {
		return nil
	}
	value := encodeChecker(&model.Checker{Term: term, RegisterTime: now})
	absent := func(key string) clientv3.Cmp { return clientv3.Compare(clientv3.CreateRevision(key), "=", 0) }
	return d.commit(ctx, "register checker", []clientv3.Cmp{absent(key), absent(d.s.keys.freeze())},
		opPut(key, value), clientv3.OpPut(d.s.keys.revAll(), newMark()))
}

func (d *Duty) registered(ctx context.Context) (*model.Checker, error) {
	resp, err := d.s.get(ctx, callTimeout, d.s.keys.checker(d.site))
	if err != nil || len(resp.Kvs) == 0 {
		return nil, err
	}
	return decodeChecker(d.site, resp.Kvs[0].Value, resp.Kvs[0].ModRevision)
}

// NewTerm is for a checker that an operator has removed: nothing that it said before
// counts again. It reports whether the term is new, which it is not as long as the old
// one is registered.
func (d *Duty) NewTerm(ctx context.Context) (bool, error) {
	resp, err := d.s.get(ctx, callTimeout, d.s.keys.checker(d.site))
	if err != nil || len(resp.Kvs) > 0 {
		return false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.term = newTerm(resp.Header.Revision)
	return true, nil
}

// Ballot is a vote about an endpoint, and the check that it rests on.
type Ballot struct {
	Zone, Name  model.Name
	Endpoint    string
	Incarnation uint64     // of the zone, as the key of the check says it
	Check       int64      // the check's mod revision
	Vote        model.Vote // its Site and Term are the Duty's, whatever it says
}

// Vote writes votes, many at a time. Those of which the check is no more what they rest
// on it does not write, and gives: they are to be judged anew. A vote about a generation
// of an endpoint that is no more may be written, and does not count. Of two about one
// endpoint the last is written. After an error some may have been written, which does no
// harm when they are written again. Without one each ballot is given the revision of
// the first transaction: its vote has that or a later one.
//
// Errors: Precondition when the freeze switch is on, Aborted when the Duty is lost,
// Invalid for a verdict or reason that there is not, Unavailable.
func (d *Duty) Vote(ctx context.Context, ballots []Ballot) (stale []Ballot, err error) {
	term, first := d.Term(), int64(0)
	for some := range voteChunks(ballots) {
		at, not, err := d.vote(ctx, term, some)
		stale = append(stale, not...)
		if err != nil {
			return stale, err
		}
		if first == 0 {
			first = at
		}
	}
	for i := range ballots {
		ballots[i].Vote.ModRevision = first
	}
	return stale, nil
}

// voteChunks gives ballots so many at a time as fit in one transaction with the marks of
// their zones.
func voteChunks(ballots []Ballot) func(yield func([]Ballot) bool) {
	last := map[Ballot]int{}
	of := func(b Ballot) Ballot { return Ballot{Zone: b.Zone, Name: b.Name, Endpoint: b.Endpoint} }
	for i, b := range ballots {
		last[of(b)] = i
	}
	var all []Ballot
	for i, b := range ballots {
		if last[of(b)] == i {
			all = append(all, b)
		}
	}
	slices.SortStableFunc(all, func(a, b Ballot) int { return strings.Compare(string(a.Zone), string(b.Zone)) })
	return func(yield func([]Ballot) bool) {
		from, zones := 0, 0
		for i := range all {
			if i == from || all[i].Zone != all[i-1].Zone {
				zones++
			}
			// One more is for what is nested in each of them.
			if i-from+1+zones+1 > maxOps || i-from == chunk {
				if !yield(all[from:i]) {
					return
				}
				from, zones = i, 1
			}
		}
		if from < len(all) {
			yield(all[from:])
		}
	}
}

func (d *Duty) vote(ctx context.Context, term uint64, ballots []Ballot) (rev int64, stale []Ballot, err error) {
	k := d.s.keys
	ops := make([]clientv3.Op, 0, maxOps)
	for i := range ballots {
		b := &ballots[i]
		if !b.Vote.Verdict.Known() || !b.Vote.Reason.Known() {
			return 0, nil, model.E(model.Invalid, "vote on", b.Name.Text()).In("verdict").Because("it is none")
		}
		v := b.Vote
		v.Term = term
		same := clientv3.Compare(clientv3.ModRevision(k.check(b.Zone, b.Incarnation, b.Name)), "=", b.Check)
		ops = append(ops, clientv3.OpTxn([]clientv3.Cmp{same}, []clientv3.Op{opPut(k.vote(d.site, b.Zone, b.Name, b.Endpoint), encodeVote(&v))}, nil))
	}
	for i := range ballots {
		if i == 0 || ballots[i].Zone != ballots[i-1].Zone {
			ops = append(ops, clientv3.OpPut(k.rev(ballots[i].Zone), newMark()))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	thawed := clientv3.Compare(clientv3.CreateRevision(k.freeze()), "=", 0)
	resp, err := d.s.client.Txn(ctx).If(d.mine(), thawed).Then(ops...).Else(clientv3.OpGet(k.freeze(), clientv3.WithKeysOnly())).Commit()
	switch {
	case err != nil:
		return 0, nil, translate(err, "vote of", d.site)
	case !resp.Succeeded && len(resp.Responses[0].GetResponseRange().GetKvs()) > 0:
		return 0, nil, errFrozen
	case !resp.Succeeded:
		return 0, nil, d.lost()
	}
	for i := range ballots {
		if !resp.Responses[i].GetResponseTxn().GetSucceeded() {
			stale = append(stale, ballots[i])
		}
	}
	return resp.Header.Revision, stale, nil
}

var errFrozen = model.E(model.Precondition, "vote", "").Because("the freeze switch is on").Hint("it is for an operator to turn off: signpost freeze off")

// opPut is clientv3.OpPut, which would copy the value twice.
func opPut(key string, value []byte) clientv3.Op {
	op := clientv3.OpPut(key, "")
	op.WithValueBytes(value)
	return op
}
