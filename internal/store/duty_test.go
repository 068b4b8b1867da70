package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

func standBy(t *testing.T, s *Store, site string) *Duty {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	t.Cleanup(cancel)
	d, err := s.StandBy(ctx, site, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Release)
	return d
}

// checkOf is the mod revision of a host's check.
func checkOf(t *testing.T, s *Store, z *model.Zone, name model.Name) (rev int64) {
	t.Helper()
	if err := s.Read(t.Context(), func(tx *Tx) error {
		c, err := tx.Check(z, name)
		if c != nil {
			rev = c.ModRevision
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return rev
}

func ballot(z *model.Zone, name model.Name, id string, check int64, v model.Verdict) Ballot {
	return Ballot{Zone: z.Name, Name: name, Endpoint: id, Incarnation: z.Incarnation, Check: check, Vote: model.Vote{Generation: 1, Verdict: v, Reason: model.Refused}}
}

func votesOf(t *testing.T, s *Store, z *model.Zone, name model.Name) (out map[string][]*model.Vote) {
	t.Helper()
	if err := s.Read(t.Context(), func(tx *Tx) (err error) {
		out, err = tx.Votes(z, name)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// One checker a site: a second one stands by until the first one's sign of life is gone,
// and then goes on with the same term.
func TestOneCheckerASite(t *testing.T) {
	s := freshStore(t)
	first := standBy(t, s, "amsterdam")
	if err := first.Register(t.Context(), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	waits, taken := make(chan *model.CheckerLife, 100), make(chan *Duty)
	go func() {
		d, err := s.StandBy(t.Context(), "amsterdam", func(l *model.CheckerLife, err error) {
			if err == nil {
				waits <- l
			}
		})
		if err != nil {
			t.Error(err)
		}
		taken <- d
	}()
	if l := <-waits; l == nil || l.Holder != first.life.Holder {
		t.Errorf("it waits for %+v, want %s", l, first.life.Holder)
	}
	select {
	case <-taken:
		t.Fatal("there are two")
	case <-waits:
	}
	beside := standBy(t, s, "bologna") // of another site
	first.Release()
	second := <-taken
	defer second.Release()
	if second.Term() != first.Term() || beside.Term() == first.Term() {
		t.Errorf("terms %d, then %d; elsewhere %d", first.Term(), second.Term(), beside.Term())
	}
	before := revision(t, s)
	if err := second.Register(t.Context(), time.Unix(2, 0)); err != nil || revision(t, s) != before {
		t.Errorf("registering again: %v, revision %d after %d", err, revision(t, s), before)
	}
	if err := first.Say(t.Context(), true, 5); model.KindOf(err) != model.Aborted {
		t.Errorf("the first shows a sign of life: %v", err)
	}
	if err := second.Say(t.Context(), true, 5); err != nil {
		t.Error(err)
	}
	if l, err := s.checkerLife(t.Context(), "amsterdam"); err != nil || !l.Doubt || l.Targets != 5 || l.Holder != second.life.Holder {
		t.Errorf("%+v, %v", l, err)
	}
}

// A checker whose lease is gone writes nothing more, and learns of it.
func TestACheckerThatLostItsSiteWritesNothing(t *testing.T) {
	s := freshStore(t)
	z := createZone(t, s, exampleOrg)
	setEndpoints(t, s, www, "a")
	check := checkOf(t, s, z, www)
	d := standBy(t, s, "amsterdam")
	if _, err := s.client.Revoke(t.Context(), d.lease); err != nil {
		t.Fatal(err)
	}
	before := revision(t, s)
	_, err := d.Vote(t.Context(), []Ballot{ballot(z, www, "a", check, model.Down)})
	for what, err := range map[string]error{"vote": err, "register": d.Register(t.Context(), time.Unix(1, 0)), "say": d.Say(t.Context(), true, 1)} {
		if model.KindOf(err) != model.Aborted || err == nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if now := revision(t, s); now != before {
		t.Errorf("it wrote something: revision %d, was %d", now, before)
	}
	select {
	case <-d.Context().Done():
		if !errors.Is(context.Cause(d.Context()), errDutyLost) {
			t.Error(context.Cause(d.Context()))
		}
	case <-time.After(2 * dutyFor):
		t.Error("it was not told")
	}
}

// A checker that an operator removed has a new term, and nothing that it said before
// counts again.
func TestARemovedCheckerHasANewTerm(t *testing.T) {
	s := freshStore(t)
	d := standBy(t, s, "amsterdam")
	if err := d.Register(t.Context(), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	was := d.Term()
	if anew, err := d.NewTerm(t.Context()); anew || err != nil || d.Term() != was {
		t.Errorf("a new term though the old one is registered: %v, %v", anew, err)
	}
	must(t)(s.Update(t.Context(), func(tx *Tx) error { tx.RemoveChecker("amsterdam"); return nil }))
	if anew, err := d.NewTerm(t.Context()); !anew || err != nil || d.Term() == was {
		t.Errorf("term %d after %d: %v, %v", d.Term(), was, anew, err)
	}
	if err := d.Register(t.Context(), time.Unix(1, 0)); err != nil {
		t.Error(err)
	}
	d.Release()
	if next := standBy(t, s, "amsterdam"); next.Term() != d.Term() {
		t.Errorf("after a restart the term is %d, was %d", next.Term(), d.Term())
	}
}

// With the freeze switch on no vote is written; when it goes off they are.
func TestFrozenVotesStay(t *testing.T) {
	s := freshStore(t)
	z := createZone(t, s, exampleOrg)
	setEndpoints(t, s, www, "a")
	check := checkOf(t, s, z, www)
	d := standBy(t, s, "amsterdam")
	if err := d.Register(t.Context(), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	vote := func(v model.Verdict) error {
		stale, err := d.Vote(t.Context(), []Ballot{ballot(z, www, "a", check, v)})
		if len(stale) > 0 {
			t.Errorf("stale: %v", stale)
		}
		return err
	}
	freeze := func(f *model.Freeze) {
		must(t)(s.Update(t.Context(), func(tx *Tx) error { tx.PutFreeze(f); return nil }))
	}
	if err := vote(model.Up); err != nil {
		t.Fatal(err)
	}
	freeze(&model.Freeze{})
	before := revision(t, s)
	if err := vote(model.Down); model.KindOf(err) != model.Precondition || revision(t, s) != before {
		t.Errorf("%v, revision %d after %d", err, revision(t, s), before)
	}
	freeze(nil)
	if err := vote(model.Down); err != nil {
		t.Error(err)
	}
	if v := votesOf(t, s, z, www)["a"]; len(v) != 1 || v[0].Verdict != model.Down || v[0].Term != d.Term() || v[0].Reason != model.Refused {
		t.Errorf("%+v", v)
	}
}

// A vote that rests on a check that has changed is not written; those beside it are.
func TestAVoteRestsOnItsCheck(t *testing.T) {
	s := freshStore(t)
	z := createZone(t, s, exampleOrg)
	setEndpoints(t, s, www, "a")
	setEndpoints(t, s, "gone.example.org.", "a")
	setEndpoints(t, s, "other.example.org.", "a")
	check, other, gone := checkOf(t, s, z, www), checkOf(t, s, z, "other.example.org."), checkOf(t, s, z, "gone.example.org.")
	d := standBy(t, s, "amsterdam")
	if err := d.Register(t.Context(), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	must(t)(s.Update(t.Context(), func(tx *Tx) error {
		tx.PutCheck(z, www, &model.Check{Kind: model.CheckTCP, Port: 81})
		return nil
	}))
	setEndpoints(t, s, "gone.example.org.")
	anew := *z
	anew.Incarnation++
	old := ballot(&anew, "other.example.org.", "old", other, model.Down)
	stale, err := d.Vote(t.Context(), []Ballot{
		ballot(z, www, "a", check, model.Down), ballot(z, "other.example.org.", "a", other, model.Down), ballot(z, "gone.example.org.", "a", gone, model.Down), old,
	})
	if err != nil || len(stale) != 3 || stale[0].Name != www || stale[1].Name != "gone.example.org." || stale[2].Endpoint != "old" {
		t.Errorf("stale: %+v, %v", stale, err)
	}
	if v := votesOf(t, s, z, www); len(v) != 0 {
		t.Errorf("on a check that has changed: %+v", v)
	}
	if v := votesOf(t, s, z, "other.example.org."); len(v) != 1 {
		t.Errorf("beside it: %+v", v)
	}
	if _, err := d.Vote(t.Context(), []Ballot{ballot(z, www, "a", check, model.Down+1)}); model.KindOf(err) != model.Invalid {
		t.Errorf("no verdict: %v", err)
	}
}

// Many votes are written in as few transactions as etcd takes, with a mark for each zone
// that they are about in each of them.
func TestManyVotesMarkTheirZones(t *testing.T) {
	s := freshStore(t)
	d := standBy(t, s, "amsterdam")
	var ballots []Ballot
	for i := range 40 {
		z := createZone(t, s, model.Name(fmt.Sprintf("z%d.", i)))
		n := 1
		if i < 5 {
			n = 70
		}
		for j := range n {
			ballots = append(ballots, ballot(z, model.Name(fmt.Sprintf("h%d.z%d.", j, i)), "a", 0, model.Up))
		}
	}
	twice := ballots[0]
	twice.Vote.Verdict = model.Suspect
	ballots = append(ballots, twice)
	before := revision(t, s)
	if stale, err := d.Vote(t.Context(), ballots); len(stale) > 0 || err != nil {
		t.Fatal(stale, err)
	}
	if n := revision(t, s) - before; n != 4 {
		t.Errorf("%d transactions for %d votes, want 4", n, len(ballots))
	}
	resp, err := s.client.Get(t.Context(), s.keys.votes("amsterdam"), clientv3.WithPrefix())
	if err != nil || len(resp.Kvs) != len(ballots)-1 {
		t.Fatalf("%d votes, %v; want %d", len(resp.Kvs), err, len(ballots)-1)
	}
	for _, kv := range resp.Kvs {
		key, _, err := s.keys.parse(string(kv.Key))
		if err != nil {
			t.Fatal(err)
		}
		if mark, err := s.client.Get(t.Context(), s.keys.rev(key.Zone)); err != nil || len(mark.Kvs) != 1 || mark.Kvs[0].ModRevision < kv.ModRevision {
			t.Errorf("%s of revision %d has no mark: %v, %v", kv.Key, kv.ModRevision, mark, err)
		}
		if v, err := decodeVote(key.Site, key.Endpoint, kv.Value, 1); err != nil || (v.Verdict == model.Suspect) != (key.Name == twice.Name && key.Zone == twice.Zone) {
			t.Errorf("%s: %+v, %v", kv.Key, v, err)
		}
	}
}

// What a monitor does it can do with MonitorRights, and with those it can do nothing else.
func TestAMonitorNeedsItsRightsAndNoMore(t *testing.T) {
	server, root := guardedEtcd(t)
	control := as(t, server, "control", "control's password")
	initialize(t, control, NewMasterKey())
	z := createZone(t, control, exampleOrg)
	setEndpoints(t, control, www, "a")
	must(t)(control.Update(t.Context(), func(tx *Tx) error { tx.PutSiteWord("bologna", &model.Word{Say: model.SayDown}); return nil }))
	check := checkOf(t, control, z, www)
	grant(t, root, "monitor", MonitorRights(DefaultPrefix, "amsterdam"))

	s := as(t, server, "monitor", "monitor's password")
	sink := newChecksSink()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.FollowChecks(ctx, sink, quick) }()
	t.Cleanup(func() { cancel(); <-done })
	sink.await(t, "the check", func() bool { return sink.state["check/org.example./"+fmt.Sprint(z.Incarnation)+"/www."] != "" })

	d := standBy(t, s, "amsterdam")
	if stale, err := d.Vote(t.Context(), []Ballot{ballot(z, www, "a", check, model.Down)}); err != nil || len(stale) > 0 {
		t.Error(stale, err)
	}
	if err := errors.Join(d.Register(t.Context(), time.Unix(1, 0)), d.Say(t.Context(), false, 1)); err != nil {
		t.Error(err)
	}
	sink.await(t, "its own vote", func() bool { return sink.state["dns/vote/amsterdam/org.example./www./a"] != "" })
	sink.await(t, "its own sign of life", func() bool { return sink.state["live/checker/amsterdam"] != "" })
	must(t)(control.Update(t.Context(), func(tx *Tx) error { tx.RemoveChecker("amsterdam"); return nil }))
	if anew, err := d.NewTerm(t.Context()); !anew || err != nil {
		t.Error(anew, err)
	}
	d.Release()
	if l, err := s.checkerLife(t.Context(), "amsterdam"); l != nil || err != nil {
		t.Errorf("after its release: %+v, %v", l, err)
	}
	standBy(t, s, "amsterdam").Release()

	k := s.keys
	client := s.client
	put := func(key string) clientv3.Op { return clientv3.OpPut(key, "x") }
	for _, key := range []string{
		k.votes("bologna") + "x", k.votes("amsterdam2") + "x", k.checker("bologna"), k.life("bologna"), k.zone(exampleOrg), k.name(exampleOrg, z.Generation, www),
		k.freeze(), k.siteWord("amsterdam"), k.hostWord(exampleOrg, www), k.endpointWord(exampleOrg, www, "a"), k.over(exampleOrg, www, "a"), k.accept(exampleOrg), k.schema(),
		k.check(exampleOrg, z.Incarnation, www), k.beat(exampleOrg, www, "a"), k.marker("1"), k.masterKey(), k.host(*z, www), k.audit("1"), k.controls() + "x", "/elsewhere",
	} {
		for what, op := range map[string]clientv3.Op{
			"a put": put(key), "a deletion": clientv3.OpDelete(key), "a put in a transaction": clientv3.OpTxn(nil, []clientv3.Op{put(key)}, nil),
			"a nested put": clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpTxn(nil, []clientv3.Op{put(key)}, nil)}, nil),
		} {
			if _, err := client.Do(t.Context(), op); !Refused(err) {
				t.Errorf("%s of %s: %v, want it refused", what, key, err)
			}
		}
	}
	for _, key := range []string{k.masterKey(), k.host(*z, www), k.audits(), k.tokens(), "/elsewhere"} {
		for what, op := range map[string]clientv3.Op{
			"a read": clientv3.OpGet(key), "a nested read": clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpGet(key)}, nil)}, nil),
			"a compare": clientv3.OpTxn([]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", 0)}, nil, nil),
		} {
			if _, err := client.Do(t.Context(), op); !Refused(err) {
				t.Errorf("%s of %s: %v, want it refused", what, key, err)
			}
		}
	}
	if _, err := s.StandBy(t.Context(), "bologna", nil); !Refused(err) {
		t.Errorf("it takes another site: %v", err)
	}
}

// grant makes a user who has these rights.
func grant(t *testing.T, root *clientv3.Client, user string, rights []Right) {
	t.Helper()
	_, err1 := root.RoleAdd(t.Context(), user)
	var err2 error
	for _, r := range rights {
		how, end := clientv3.PermissionType(clientv3.PermRead), ""
		if r.Write {
			how = clientv3.PermissionType(clientv3.PermWrite)
			if r.Read {
				how = clientv3.PermissionType(clientv3.PermReadWrite)
			}
		}
		if r.Below {
			end = clientv3.GetPrefixRangeEnd(r.Key)
		}
		_, err := root.RoleGrantPermission(t.Context(), user, r.Key, end, how)
		err2 = errors.Join(err2, err)
	}
	_, err3 := root.UserAdd(t.Context(), user, user+"'s password")
	_, err4 := root.UserGrantRole(t.Context(), user, user)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
}

func sortedKeys(m map[string]string, prefix string) (out []string) {
	for k := range m {
		if strings.HasPrefix(k, prefix) {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}
