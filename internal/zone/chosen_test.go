package zone_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/zone"
)

func TestVotesChangeTheAnswer(t *testing.T) {
	w := staged(t, twoSites)
	w.expect(sceneHost, dns.TypeA, hostIs(30, "192.0.2.1"))
	w.expect(sceneHost, dns.TypeAAAA, "NOERROR aa; answer h.example.org. 30 AAAA 2001:db8::1")
	w.expect(sceneHost, dns.TypeTXT, nodata(30))
	w.say("votes a d")
	w.expect(sceneHost, dns.TypeA, hostIs(5, "192.0.2.1"))
	w.expect(sceneHost, dns.TypeTXT, nodata(5))
	w.say("votes a .d")
	w.expect(sceneHost, dns.TypeA, hostIs(30, "192.0.2.2"))
	w.expect(sceneHost, dns.TypeAAAA, nodata(30))
	w.say("votes b dd")
	w.expect(sceneHost, dns.TypeA, hostIs(5, "192.0.2.1", "192.0.2.2"))
	w.say("votes b uu")
	w.say("votes a uu")
	w.expect(sceneHost, dns.TypeA, hostIs(30, "192.0.2.1"))
}

func TestHostsThatAreChosenAmongAreCounted(t *testing.T) {
	w := staged(t, twoSites)
	want := func(chosen, open int) {
		t.Helper()
		if w.view.Chosen() != chosen || w.view.FailOpen() != open {
			t.Errorf("%d are chosen among, %d fail open, want %d and %d", w.view.Chosen(), w.view.FailOpen(), chosen, open)
		}
	}
	want(1, 0)
	w.say("votes a dd")
	want(1, 0)
	w.say("votes b dd")
	want(1, 1)
	w.say("votes b uu")
	want(1, 0)
	w.say("votes b dd")
	w.step(model.Change{Key: nameKey(sceneHost), Deleted: true})
	want(0, 0)
}

// The serial moves when answers may have: with the key that a vote is put with.
func TestTheSerialMovesWithAVote(t *testing.T) {
	w := staged(t, twoSites)
	_, said := scene("votes a dd")
	w.step(append(remarks(said), revOf(0))...)
	if got := w.view.Zone(sceneZone).Serial(); got != 8 {
		t.Errorf("the serial is %d, want 8", got)
	}
	w.expect(sceneHost, dns.TypeA, hostIs(30, "192.0.2.2"))
}

// A change of the host itself goes by what is said already, and a vote of a generation
// that is gone counts no more.
func TestAChangeOfAHostGoesByWhatIsSaid(t *testing.T) {
	w := staged(t, twoSites)
	w.say("votes a dd")
	h, _ := scene(twoSites)
	h.TTL = 20
	w.step(model.Change{Key: nameKey(sceneHost), Name: &model.NameData{Host: h}})
	w.expect(sceneHost, dns.TypeA, hostIs(20, "192.0.2.2"))
	moved, _ := scene(twoSites)
	moved.Endpoints[0].Generation++
	w.step(model.Change{Key: nameKey(sceneHost), Name: &model.NameData{Host: moved}})
	w.expect(sceneHost, dns.TypeA, hostIs(30, "192.0.2.1"))
	w.step(model.Change{Key: nameKey(sceneHost), Deleted: true})
	w.expect(sceneHost, dns.TypeA, "NXDOMAIN aa; authority example.org. 30 SOA 7")
	w.step(model.Change{Key: nameKey(sceneHost), Name: &model.NameData{Host: h}})
	w.expect(sceneHost, dns.TypeA, hostIs(20, "192.0.2.2"))
}

// Votes and words are there before the host is, as when a zone is restored.
func TestWhatIsSaidOfNobody(t *testing.T) {
	w := staged(t, twoSites)
	w.step(model.Change{Key: nameKey(sceneHost), Deleted: true})
	w.say("votes a dd; word b drain; word host up")
	w.expect(sceneHost, dns.TypeA, "NXDOMAIN aa; authority example.org. 30 SOA 7")
	h, _ := scene(twoSites)
	w.step(model.Change{Key: nameKey(sceneHost), Name: &model.NameData{Host: h}})
	w.expect(sceneHost, dns.TypeA, hostIs(30, "192.0.2.1")) // the host's word puts a up
}

func TestWordsOnAHostOfPlainAddresses(t *testing.T) {
	w := staged(t, "policy all; main 4 6")
	before := entriesOf(w.view)
	w.expect(sceneHost, dns.TypeA, hostIs(60, "192.0.2.1"))
	w.say("old host drain")
	w.expect(sceneHost, dns.TypeA, hostIs(60, "192.0.2.1"))
	for _, word := range []string{"word host drain", "word main down"} {
		w.say(word)
		w.expect(sceneHost, dns.TypeA, nodata(30))
		w.expect(sceneHost, dns.TypeAAAA, nodata(30))
		w.step(model.Change{Key: nameKey("other.example.org."), Name: &model.NameData{}})
		w.expect(sceneHost, dns.TypeA, nodata(30))
		w.takeBack(word)
		w.expect(sceneHost, dns.TypeA, hostIs(60, "192.0.2.1"))
		w.expect(sceneHost, dns.TypeAAAA, "NOERROR aa; answer h.example.org. 60 AAAA 2001:db8::1")
	}
	w.step(model.Change{Key: nameKey("other.example.org."), Deleted: true})
	if after := entriesOf(w.view); !slices.Equal(before, after) {
		t.Errorf("when the words are gone the records are\n%q, and were\n%q", after, before)
	}
}

// Addresses that somebody has put beside a host with etcdctl are not the host's: a word on
// the host does not take them away, whether it comes later or is read with them.
func TestAddressesBesideAHostAreNotTheHosts(t *testing.T) {
	w := staged(t, "policy all; main 4")
	h, _ := scene("policy all; main 4")
	w.step(model.Change{Key: nameKey(sceneHost), Name: &model.NameData{Host: h, RRsets: []model.RRset{rrset(dns.TypeA, "192.0.2.77")}}})
	w.say("word host drain")
	if got := says(w.view, string(sceneHost), dns.TypeA); got != "NOERROR aa; answer h.example.org. 60 A 192.0.2.77" {
		t.Errorf("a drained host has %s, want what is stored beside it", got)
	}
}

func entriesOf(v *zone.View) []string { return recordsOf(v.Zone(sceneZone)) }

func TestWordsOnNamesWithoutAHost(t *testing.T) {
	w := staged(t, "policy all; main 4")
	w.step(model.Change{Key: nameKey(sceneHost), Name: &model.NameData{RRsets: []model.RRset{rrset(dns.TypeA, "192.0.2.7")}}})
	w.say("word host drain")
	w.expect(sceneHost, dns.TypeA, hostIs(60, "192.0.2.7"))
}

// A word of another incarnation than the zone's does not count, also when the zone comes
// after the word.
func TestAWordOfTheZoneBefore(t *testing.T) {
	for text, ttl := range map[string]int{"policy all; main 4": 60, twoSites: 30} {
		w := staged(t, text)
		w.say("old host drain")
		w.expect(sceneHost, dns.TypeA, hostIs(ttl, "192.0.2.1"))
		changes := zoneChanges(t, sceneZone, 1)
		changes[0].Zone.Incarnation = 4
		w.step(changes[0])
		w.expect(sceneHost, dns.TypeA, nodata(30))
	}
}

func TestSitesAndCheckers(t *testing.T) {
	w := staged(t, twoSites)
	w.say("word @s1 drain")
	w.expect(sceneHost, dns.TypeA, hostIs(30, "192.0.2.2"))
	w.takeBack("word @s1 drain")
	w.expect(sceneHost, dns.TypeA, hostIs(30, "192.0.2.1"))
	w.say("votes a d")
	w.step(model.Change{Key: model.Key{Kind: model.CheckerKey, Site: "k3"}, Deleted: true})
	w.expect(sceneHost, dns.TypeA, hostIs(5, "192.0.2.1"))
	w.step(model.Change{Key: model.Key{Kind: model.CheckerKey, Site: "k2"}, Deleted: true})
	w.expect(sceneHost, dns.TypeA, hostIs(30, "192.0.2.2")) // one is left, and says down
	w.step(model.Change{Key: model.Key{Kind: model.CheckerKey, Site: "k1"}, Checker: &model.Checker{Site: "k1", Term: 8}})
	w.expect(sceneHost, dns.TypeA, hostIs(30, "192.0.2.1")) // registered again: its vote is of the term before
	w.step(model.Change{Key: model.Key{Kind: model.FreezeKey}, Freeze: &model.Freeze{}})
	w.expect(sceneHost, dns.TypeA, hostIs(30, "192.0.2.1"))
}

// A new checker that registers changes nothing, and neither does one that is dead.
func TestANewCheckerChangesNothing(t *testing.T) {
	w := staged(t, "policy failover checked; a p0 4; b p1 4; checkers 3; votes a ddd")
	w.say("checkers 4")
	w.expect(sceneHost, dns.TypeA, hostIs(30, "192.0.2.2"))
	w.say("checkers 5")
	w.expect(sceneHost, dns.TypeA, hostIs(30, "192.0.2.2"))
}

func TestWildcardsOfHostsGiveWhatIsChosen(t *testing.T) {
	w := staged(t, twoSites)
	h, _ := scene(twoSites)
	h.Wildcard = true
	w.step(model.Change{Key: nameKey(sceneHost), Name: &model.NameData{Host: h}})
	w.expect("x."+sceneHost, dns.TypeA, "NOERROR aa; answer x.h.example.org. 30 A 192.0.2.1")
	w.say("votes a ds")
	w.expect("x."+sceneHost, dns.TypeA, "NOERROR aa; answer x.h.example.org. 5 A 192.0.2.1")
	w.expect("x."+sceneHost, dns.TypeTXT, nodata(5))
	w.say("votes a dd")
	w.expect("x."+sceneHost, dns.TypeA, "NOERROR aa; answer x.h.example.org. 30 A 192.0.2.2")
	w.expect("x."+sceneHost, dns.TypeAAAA, nodata(30))
}

func TestAWithdrawnHostStaysWithdrawn(t *testing.T) {
	for _, text := range []string{"policy all; main 4", twoSites} {
		w := staged(t, text)
		h, _ := scene(text)
		w.step(model.Change{Key: nameKey(sceneHost), Name: &model.NameData{Host: h, Withdrawn: true}})
		w.say("word host up; votes a uuu; word main up")
		w.expect(sceneHost, dns.TypeA, nodata(30))
	}
}

// A name that cannot be read keeps its last good value, and that is chosen from.
func TestAHostThatCannotBeReadIsChosenFromItsLastGoodValue(t *testing.T) {
	w := staged(t, twoSites)
	w.view = w.view.Apply(2, []model.Change{{Key: nameKey(sceneHost), ModRevision: 2, Bad: errors.New("garbage")}})
	w.rev = 2
	w.view = w.view.Apply(3, remarks(func() *zone.Said { _, s := scene("votes a dd"); return s }()))
	expect(t, w.view, sceneHost, dns.TypeA, hostIs(30, "192.0.2.2"))
	_, said := scene(twoSites)
	all := remarks(said)
	for k, c := range w.live {
		if k.Kind < model.CheckerKey && k != nameKey(sceneHost) {
			all = append(all, c)
		}
	}
	all = append(all, model.Change{Key: nameKey(sceneHost), ModRevision: 2, Bad: errors.New("garbage")})
	again, err := zone.Build(4, w.view, each(all))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, again, sceneHost, dns.TypeA, hostIs(30, "192.0.2.1"))
	for how, v := range map[string]*zone.View{"followed": w.view, "read whole": again} {
		if v.BadValues() != 1 || v.Chosen() != 1 {
			t.Errorf("%s: %d bad values, %d hosts chosen among, want 1 and 1", how, v.BadValues(), v.Chosen())
		}
	}
}

// What is said and cannot be read keeps its last good value; without one it is not said.
func TestRemarksThatCannotBeRead(t *testing.T) {
	w := staged(t, twoSites+"; votes a dd; word @s2 drain")
	var garbage []model.Change
	for k := range w.live {
		if k.Kind >= model.CheckerKey {
			garbage = append(garbage, model.Change{Key: k, ModRevision: 2, Bad: errors.New("garbage")})
		}
	}
	_, said := scene("votes b ddd; word a drain; word @s3 drain")
	for _, c := range remarks(said) {
		garbage = append(garbage, model.Change{Key: c.Key, ModRevision: 2, Bad: errors.New("garbage")})
	}
	v := w.view.Apply(2, garbage)
	all := garbage
	for k, c := range w.live {
		if k.Kind < model.CheckerKey {
			all = append(all, c)
		}
	}
	again, err := zone.Build(2, w.view, each(all))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []*zone.View{v, again} {
		expect(t, v, sceneHost, dns.TypeA, hostIs(5, "192.0.2.1")) // fails open: a looks down and b's site is drained
		if v.BadValues() != len(garbage) {
			t.Errorf("%d bad values, want %d", v.BadValues(), len(garbage))
		}
	}
}

// What is said is by name and endpoint: an import's switch to another generation of the
// zone leaves it where it is.
func TestVotesOutliveAnImport(t *testing.T) {
	w := staged(t, twoSites+"; votes a dd")
	h, _ := scene(twoSites)
	h.TTL = 90
	next := nameKey(sceneHost)
	next.Generation = 2
	w.step(model.Change{Key: next, Name: &model.NameData{Host: h}})
	expect(t, w.view, sceneHost, dns.TypeA, hostIs(30, "192.0.2.2"))
	w.say("votes b s")
	value := *w.live[model.Key{Kind: model.ZoneKey, Zone: sceneZone}].Zone
	value.Generation = 2
	w.step(model.Change{Key: model.Key{Kind: model.ZoneKey, Zone: sceneZone}, Zone: &value})
	w.expect(sceneHost, dns.TypeA, hostIs(5, "192.0.2.2"))
}

// The mass-change guard is about names: in a zone that it holds it is still chosen.
func TestInAHeldZoneItIsStillChosen(t *testing.T) {
	w := staged(t, twoSites)
	w.step(model.Change{Key: model.Key{Kind: model.ZoneKey, Zone: sceneZone}, Deleted: true})
	if len(w.view.Held()) != 1 {
		t.Fatal("the zone is not held")
	}
	w.say("votes a dd")
	expect(t, w.view, sceneHost, dns.TypeA, hostIs(30, "192.0.2.2"))
	w.say("votes a us")
	expect(t, w.view, sceneHost, dns.TypeA, hostIs(5, "192.0.2.1"))
	w.say("votes a ud; word @s1 drain")
	expect(t, w.view, sceneHost, dns.TypeA, hostIs(30, "192.0.2.2"))
	var all []model.Change
	for _, c := range w.live {
		if c.Key.Kind != model.SiteWordKey {
			all = append(all, c)
		}
	}
	again, err := zone.Build(w.rev+1, w.view, each(all))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, again, sceneHost, dns.TypeA, hostIs(5, "192.0.2.1"))
}

// Promise 5: every replica gives the same answer: five that have heard the same in other
// orders and steps.
func TestFiveReplicasAnswerTheSame(t *testing.T) {
	w := staged(t, "policy weighted max=2 checked; a @s1 w3 4 6; b @s2 w2 4; c @s3 4 6; d @s3 w9 4; checkers 3; votes a dds; votes b sdu; votes c ddd; word d drain; word @s2 up")
	keys := []model.Change{}
	for _, c := range w.live {
		keys = append(keys, c)
	}
	for replica := range 5 {
		v := zone.Empty(0)
		for i := 0; i < len(keys); i += replica + 1 {
			v = v.Apply(1, keys[i:min(len(keys), i+replica+1)])
		}
		keys = append(keys[3:], keys[:3]...)
		for draw := range uint64(100) {
			for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeTXT} {
				if got, want := saysDrawn(v, sceneHost, qtype, draw), saysDrawn(w.view, sceneHost, qtype, draw); got != want {
					t.Fatalf("draw %d of replica %d\ngot  %s\nwant %s", draw, replica, got, want)
				}
			}
		}
	}
}
