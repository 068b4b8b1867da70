package monitor

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/internal/model"
)

var (
	www   = Host{"example.org.", "www.example.org."}
	check = model.Check{Kind: model.CheckTCP, Port: 443, Fall: 2, Rise: 2}
)

// desk is a book of the site north with a clock and what it gave to try.
type desk struct {
	*book
	t   *testing.T
	now time.Duration
	rev int64
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, rev: 100}
	d.book = newBook("north")
	d.book.load(whole{scene: newScene("north")}, 1)
	d.votesIn(1)
	d.take(model.Change{Key: model.Key{Kind: model.ZoneKey, Zone: www.Zone}, Zone: &model.Zone{Name: www.Zone, Generation: 7, Incarnation: 3}})
	return d
}

// host puts a host; an endpoint is ID@GENERATION=ADDRESS,...
func (d *desk) host(h Host, endpoints ...string) {
	d.t.Helper()
	host := &model.Host{Checked: true}
	for _, text := range endpoints {
		var gen uint64
		id, rest, _ := strings.Cut(text, "@")
		number, addrs, _ := strings.Cut(rest, "=")
		if _, err := fmt.Sscan(number, &gen); err != nil {
			d.t.Fatal(err)
		}
		e := model.Endpoint{ID: id, Site: id, Generation: gen}
		for a := range strings.SplitSeq(addrs, ",") {
			e.Addresses = append(e.Addresses, netip.MustParseAddr(a))
		}
		host.Endpoints = append(host.Endpoints, e)
	}
	d.take(model.Change{Key: model.Key{Kind: model.NameKey, Zone: h.Zone, Name: h.Name, Generation: 7}, Name: &model.NameData{Host: host}})
}

func (d *desk) check(h Host, c model.Check) {
	d.take(model.Change{Key: model.Key{Kind: model.CheckKey, Zone: h.Zone, Name: h.Name, Generation: 3}, Check: &c})
}

// tried is the targets that there are, sorted.
func (d *desk) tried() string {
	d.arrange(d.now)
	var out []string
	for _, t := range d.targets {
		a := t.addr.String()
		if !t.addr.IsValid() {
			a = "heartbeat"
		}
		out = append(out, fmt.Sprintf("%s@%d=%s", t.of.ID, t.of.generation, a))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// round lets every target be tried once, in the order they were put (what is told in a
// doubt depends on it); those at the addresses in bad fail.
func (d *desk) round(times int, bad ...string) {
	d.arrange(d.now)
	for range times {
		d.now += 5 * time.Second
		for _, id := range slices.Sorted(maps.Keys(d.targets)) {
			a := model.Attempt{Reason: model.Fine}
			if slices.Contains(bad, d.targets[id].addr.String()) {
				a.Reason = model.Refused
			}
			d.see(id, a, d.now)
		}
	}
}

// says is the votes that are due, sorted; they are then taken as written.
func (d *desk) says() string {
	d.arrange(d.now)
	d.rev++
	votes := d.due(1000, time.Time{})
	for i := range votes {
		votes[i].Vote.ModRevision = d.rev
	}
	d.said(votes)
	if left := d.due(1000, time.Time{}); len(left) != 0 {
		d.t.Errorf("still due when written: %v", left)
	}
	var out []string
	for _, v := range votes {
		out = append(out, fmt.Sprintf("%s@%d/%d=%v", v.Endpoint, v.Vote.Generation, v.Vote.Term, v.Vote.Verdict))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func (d *desk) wants(what, got, want string) {
	d.t.Helper()
	if got != want {
		d.t.Errorf("%s: %q, wanted %q", what, got, want)
	}
}

func (d *desk) set(k model.KeyKind, c model.Change) {
	c.Key.Kind, c.Key.Site = k, "north"
	d.take(c)
}

func TestWhatIsToBeTriedFollowsHostsAndChecks(t *testing.T) {
	d := newDesk(t)
	d.begin()
	d.host(www, "north@1=192.0.2.1,2001:db8::1", "south@2=192.0.2.2")
	d.wants("without a check", d.tried(), "")
	d.check(www, check)
	all := "north@1=192.0.2.1 north@1=2001:db8::1 south@2=192.0.2.2"
	d.wants("with one", d.tried(), all)
	first := len(d.targets)
	ids := d.last
	d.check(www, check)
	if d.tried(); d.last != ids {
		t.Error("the same check, put again, begins anew")
	}
	d.host(www, "north@1=192.0.2.1,2001:db8::1", "south@3=192.0.2.2")
	d.wants("a new generation", d.tried(), strings.Replace(all, "@2", "@3", 1))
	if d.last != ids+1 || len(d.targets) != first {
		t.Errorf("%d targets began anew with one endpoint's generation", d.last-ids)
	}
	elsewhere := check
	elsewhere.Sites = []string{"east", "south"}
	d.check(www, elsewhere)
	d.wants("for other sites", d.tried(), "")
	elsewhere.Sites = append(elsewhere.Sites, "north")
	d.check(www, elsewhere)
	d.wants("for this site, too", d.tried(), strings.Replace(all, "@2", "@3", 1))
	d.check(www, model.Check{Kind: model.CheckHeartbeat})
	d.wants("heartbeats", d.tried(), "north@1=heartbeat south@3=heartbeat")
	d.check(www, check)
	d.take(model.Change{Key: model.Key{Kind: model.NameKey, Zone: www.Zone, Name: www.Name, Generation: 7},
		Name: &model.NameData{Withdrawn: true, Host: &model.Host{Checked: true, Endpoints: []model.Endpoint{{ID: "a", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}}}}})
	d.wants("withdrawn", d.tried(), "")
	d.host(www, "north@4=192.0.2.1")
	d.wants("back", d.tried(), "north@4=192.0.2.1")
	zone := &model.Zone{Name: www.Zone, Generation: 8, Incarnation: 3}
	d.take(model.Change{Key: model.Key{Kind: model.ZoneKey, Zone: www.Zone}, Zone: zone})
	d.wants("another generation of the zone", d.tried(), "")
	zone.Generation, zone.Incarnation = 7, 4
	d.take(model.Change{Key: model.Key{Kind: model.ZoneKey, Zone: www.Zone}, Zone: zone})
	d.wants("another incarnation of the zone", d.tried(), "")
}

func TestVotesAreWrittenOnlyWhenTheMindChanges(t *testing.T) {
	d := newDesk(t)
	d.begin()
	d.host(www, "north@1=192.0.2.1", "south@2=192.0.2.2")
	d.check(www, check)
	d.wants("before the first round", d.says(), "")
	d.round(1)
	d.wants("in it", d.says(), "")
	if d.mayRegister() {
		t.Error("it may register before the first round is over")
	}
	d.round(1)
	if d.mayRegister() {
		t.Error("it may register before it has voted")
	}
	d.wants("after it", d.says(), "north@1/1=up south@2/1=up")
	if !d.mayRegister() {
		t.Error("it may not register though all is said")
	}
	d.set(model.CheckerKey, model.Change{Checker: &model.Checker{Site: "north", Term: 1}})
	if d.mayRegister() {
		t.Error("it may register twice")
	}
	d.round(5)
	d.wants("nothing new", d.says(), "")
	d.round(1, "192.0.2.1")
	d.wants("a failure", d.says(), "north@1/1=suspect")
	d.round(1, "192.0.2.1")
	d.wants("another", d.says(), "north@1/1=down")
	d.round(5, "192.0.2.1")
	d.wants("more of them", d.says(), "")
	d.host(www, "north@3=192.0.2.1", "south@2=192.0.2.2")
	d.wants("a new generation", d.says(), "")
	d.round(2)
	d.wants("that is well", d.says(), "north@3/1=up")
}

func TestVotesThatEtcdLostAreWrittenAgain(t *testing.T) {
	d := newDesk(t)
	d.begin()
	d.host(www, "north@1=192.0.2.1", "south@2=192.0.2.2")
	d.check(www, check)
	d.round(2, "192.0.2.1")
	d.wants("at first", d.says(), "north@1/1=down south@2/1=up")
	key := model.Key{Kind: model.VoteKey, Site: "north", Zone: www.Zone, Name: www.Name, Endpoint: "north"}
	d.take(model.Change{Key: key, ModRevision: 1000, Deleted: true})
	d.wants("one is gone", d.says(), "north@1/1=down")
	d.take(model.Change{Key: key, ModRevision: 50, Vote: &model.Vote{Generation: 1, Term: 1, Verdict: model.Up, ModRevision: 50}})
	d.wants("an older one is seen late", d.says(), "")
	d.take(model.Change{Key: key, ModRevision: 2000, Vote: &model.Vote{Generation: 1, Term: 1, Verdict: model.Up, ModRevision: 2000}})
	d.rev = 2000
	d.wants("somebody has put another", d.says(), "north@1/1=down")
	d.take(model.Change{Key: model.Key{Kind: model.VoteKey, Site: "south", Zone: www.Zone, Name: www.Name, Endpoint: "north"}, ModRevision: 3000,
		Vote: &model.Vote{Generation: 1, Term: 1, Verdict: model.Up, ModRevision: 3000}})
	d.wants("another site's", d.says(), "")
}

func TestARemovedCheckerVotesAnewInANewTermAndRegistersLast(t *testing.T) {
	d := newDesk(t)
	d.set(model.CheckerKey, model.Change{Checker: &model.Checker{Site: "north", Term: 77}})
	d.begin()
	d.votesIn(77)
	d.host(www, "north@1=192.0.2.1")
	d.check(www, check)
	d.round(2)
	d.wants("the term is kept over restarts", d.says(), "north@1/77=up")
	d.set(model.CheckerKey, model.Change{Deleted: true})
	d.arrange(d.now)
	if d.mayRegister() {
		t.Error("it may register in the term that was removed")
	}
	if d.wants("before there is a new term", d.says(), ""); !d.removed {
		t.Error("it does not want a new term")
	}
	d.votesIn(1)
	if d.mayRegister() {
		t.Error("it may register before it has voted in the new term")
	}
	d.wants("removed", d.says(), "north@1/1=up")
	if !d.mayRegister() {
		t.Error("it may not register again")
	}
}

func TestWhileFrozenNothingIsWritten(t *testing.T) {
	d := newDesk(t)
	d.begin()
	d.host(www, "north@1=192.0.2.1", "south@2=192.0.2.2")
	d.check(www, check)
	d.round(2)
	d.wants("before", d.says(), "north@1/1=up south@2/1=up")
	d.set(model.FreezeKey, model.Change{Freeze: &model.Freeze{}})
	d.round(2, "192.0.2.1")
	d.wants("frozen", d.says(), "")
	if d.mayRegister() {
		t.Error("it may register while frozen")
	}
	d.round(2, "192.0.2.2")
	d.set(model.FreezeKey, model.Change{Deleted: true})
	d.wants("thawed: what it thinks by then", d.says(), "south@2/1=down")
}

func TestACheckerInDoubtNeitherTellsNorRegisters(t *testing.T) {
	d := newDesk(t)
	d.begin()
	d.host(www, "north@1=192.0.2.1", "south@2=192.0.2.2", "east@3=192.0.2.3")
	d.check(www, check)
	d.round(2, "192.0.2.1", "192.0.2.2", "192.0.2.3")
	d.wants("all fail at once", d.says(), "")
	if d.mayRegister() {
		t.Error("it may register while it doubts itself")
	}
	d.round(2, "192.0.2.1")
	d.wants("only one did, as far as was seen since", d.says(), "east@3/1=up south@2/1=up")
	d.round(1, "192.0.2.1")
	d.wants("it has failed anew", d.says(), "north@1/1=down")
	if !d.mayRegister() {
		t.Error("it may not register without a doubt")
	}
}

// What comes later, or was down before this monitor began, is no reason for doubt until it
// was up; and one host's trouble on many sites is not the others'.
func TestWhatNeverWorkedCastsNoDoubt(t *testing.T) {
	d := newDesk(t)
	d.set(model.VoteKey, model.Change{Key: model.Key{Zone: www.Zone, Name: www.Name, Endpoint: "west"}, Vote: &model.Vote{Site: "north", Generation: 4, Term: 1, Verdict: model.Down}})
	d.begin()
	d.host(www, "north@1=192.0.2.1", "south@2=192.0.2.2", "west@4=192.0.2.4")
	d.check(www, check)
	d.round(2, "192.0.2.1", "192.0.2.4")
	d.wants("one was down before", d.says(), "north@1/1=down south@2/1=up")
	d.round(2)
	d.wants("all up", d.says(), "north@1/1=up west@4/1=up")
	bad := Host{www.Zone, "bad.example.org."}
	d.host(bad, "a@5=192.0.2.5", "b@6=192.0.2.6", "c@7=192.0.2.7", "d@8=192.0.2.8")
	d.check(bad, check)
	dead := []string{"192.0.2.5", "192.0.2.6", "192.0.2.7", "192.0.2.8"}
	d.round(2, dead...)
	d.wants("what never was up", d.says(), "a@5/1=down b@6/1=down c@7/1=down d@8/1=down")
	d.round(2)
	d.wants("then it was", d.says(), "a@5/1=up b@6/1=up c@7/1=up d@8/1=up")
	d.round(2, append(dead, "192.0.2.1")...)
	d.wants("all of one owner's", d.says(), "a@5/1=down b@6/1=down c@7/1=down d@8/1=down north@1/1=down")
}

// Before the first heartbeat is due there is nothing to say, nor to register with.
func TestHeartbeatsThatAreNotDueSayNothing(t *testing.T) {
	d := newDesk(t)
	d.begin()
	d.host(www, "north@1=192.0.2.1")
	d.check(www, model.Check{Kind: model.CheckHeartbeat, Fall: 1, Rise: 1})
	see := func(r model.Reason) {
		d.arrange(d.now)
		for id := range d.targets {
			d.see(id, model.Attempt{Reason: r}, d.now)
		}
	}
	for range 5 {
		see(model.CheckerInDifficulty)
	}
	if d.wants("none is due", d.says(), ""); d.mayRegister() {
		t.Error("it may register before it knows who is alive")
	}
	see(model.NoSignOfLife)
	if d.wants("none came", d.says(), "north@1/1=down"); !d.mayRegister() {
		t.Error("it may not register though it knows")
	}
}

func TestAddressesNewToAHostAreLimited(t *testing.T) {
	d := newDesk(t)
	d.begin()
	d.arrange(0)
	d.check(www, check)
	other := Host{www.Zone, "other.example.org."}
	d.check(other, check)
	for i := range 30 {
		d.host(www, fmt.Sprintf("a@%d=192.0.2.%d", i+1, i+1))
		if got, want := d.tried() != "", i < newAtOnce; got != want {
			t.Fatalf("address %d: tried %t, wanted %t", i+1, got, want)
		}
	}
	d.host(other, "a@1=192.0.2.40")
	d.wants("another host is not hurt", d.tried(), "a@1=192.0.2.40")
	d.host(www, "a@31=192.0.2.5")
	d.wants("one that it had", d.tried(), "a@1=192.0.2.40 a@31=192.0.2.5")
	d.host(www, "a@32=192.0.2.32")
	d.wants("a new one", d.tried(), "a@1=192.0.2.40")
	d.now += 4 * time.Minute
	d.retry()
	d.wants("some minutes later", d.tried(), "a@1=192.0.2.40 a@32=192.0.2.32")
}

func TestAddressesNewToAnOwnerAreLimited(t *testing.T) {
	d := newDesk(t)
	d.begin()
	d.arrange(0)
	owned := check
	for i := range 30 {
		h := Host{www.Zone, model.Name(fmt.Sprintf("h%d.example.org.", i))}
		owned.Owner = "one"
		if i == 25 {
			owned.Owner = "another"
		}
		d.check(h, owned)
		before := len(d.targets)
		d.host(h, fmt.Sprintf("a@%d=192.0.2.%d", i+1, i+1))
		d.arrange(d.now)
		if got, want := len(d.targets) > before, i < newAtOnce || i == 25; got != want {
			t.Errorf("host %d: tried %t, wanted %t", i, got, want)
		}
	}
	if len(d.held) != 9 {
		t.Errorf("%d hosts are held", len(d.held))
	}
}

func TestWhatIsThereAtTheBeginIsNotNew(t *testing.T) {
	d := newDesk(t)
	d.check(www, check)
	var all []string
	for i := range 16 {
		all = append(all, fmt.Sprintf("e%d@%d=192.0.2.%d,198.51.100.%d", i, i+1, i+1, i+1))
	}
	d.host(www, all...)
	d.begin()
	d.tried()
	if len(d.targets) != 32 || len(d.held) != 0 {
		t.Errorf("%d targets, %d hosts held", len(d.targets), len(d.held))
	}
}
