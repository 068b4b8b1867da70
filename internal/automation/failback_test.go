package automation

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"signpost/internal/model"
	"signpost/internal/zone"
)

// scene is a host with manual fail-back whose endpoints have the priorities 0, 1 and 2,
// in the words "a down, b over": down is what the one checker says, over that there is a
// mark, stale that there was one on the generation before, drain an operator's word.
func scene(text string) (*model.Host, *zone.Said) {
	h := &model.Host{Checked: true, Policy: model.Policy{Kind: model.PolicyFailover, ManualFailback: true}}
	said := &zone.Said{
		Incarnation: 1, Checkers: []model.Checker{{Site: "k", Term: 7}}, Overs: map[string]*model.Over{}, Endpoints: map[string]*model.Word{},
	}
	for i, id := range []string{"a", "b", "c"} {
		h.Endpoints = append(h.Endpoints, model.Endpoint{ID: id, Priority: uint32(i), Generation: 3, Addresses: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})}})
	}
	for part := range strings.SplitSeq(text, ", ") {
		words := strings.Fields(part)
		for _, w := range words[1:] {
			switch w {
			case "down":
				said.Votes = append(said.Votes, model.Vote{Site: "k", Term: 7, Generation: 3, Endpoint: words[0], Verdict: model.Down})
			case "over":
				said.Overs[words[0]] = &model.Over{Generation: 3}
			case "stale":
				said.Overs[words[0]] = &model.Over{Generation: 2}
			case "drain":
				said.Endpoints[words[0]] = &model.Word{Say: model.SayDrain, Incarnation: 1}
			case "same":
				h.Endpoint(words[0]).Priority = 0
			}
		}
	}
	return h, said
}

// The rows of the table above marks, and what follows from them.
func TestMarks(t *testing.T) {
	for _, c := range []struct{ row, scene, want string }{
		{"all are up", "a", "[] []"},
		{"not marked, less than p, down: marked", "a down", "[a] []"},
		{"two of them", "a down, b down", "[a b] []"},
		{"not marked, less than p, down by word: left so", "a drain", "[] []"},
		{"not marked, p or more, down: left so", "b down", "[] []"},
		{"not marked, as many as p, down: left so", "a down, b same", "[] []"},
		{"marked, less than p, up again: left so", "a over", "[] []"},
		{"marked, less than p, down: left so", "a over down", "[] []"},
		{"marked, p: it has taken over", "a over, b down, c down", "[] [a]"},
		{"marked, more than p: one before it has taken over", "b over", "[] [b]"},
		{"the next has taken over", "a over, b down", "[b] []"},
		{"a mark on the generation before is none", "a stale", "[] []"},
		{"nor does it keep from marking", "a stale down", "[a] []"},
		{"nothing is up", "a down, b down, c down", "[] []"},
		{"nothing is up and some are marked", "a down over, b down, c down", "[] []"},
		{"what is left was drained", "a down, b drain, c drain", "[] []"},
	} {
		t.Run(c.row, func(t *testing.T) {
			h, said := scene(c.scene)
			mark, unmark := marks(h, zone.Choose(h, said), said)
			if got := fmt.Sprint(mark, unmark); got != c.want {
				t.Errorf("%s: %s, want %s", c.scene, got, c.want)
			}
		})
	}
}
