package zone_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"signpost/internal/model"
	"signpost/internal/zone"
)

// scene reads a host and what is said of it, parts with "; " between:
//
//	policy all|failover|weighted|manual [min=N] [max=N] [ttl=N] [suspect=N] [checked[=SITE,...]]
//	       [fallback=ADDRESS]            manual is failover with manual fail-back
//	ID [@SITE] [pN] [wN] [4] [6]         an endpoint with an address of these families
//	checkers N                           registered at k1 to kN, in term 7
//	votes ID LETTERS                     of k1 and so on: u, s, d or "." for none
//	stale ID LETTERS                     the same of the endpoint's generation before
//	former ID LETTERS                    the same in the checkers' term before
//	word ID|host|@SITE SAYING            up, down, drain, auto
//	old ID|host SAYING                   of the zone's incarnation before
//	over ID, staleover ID                passed over, of this generation or the one before
func scene(text string) (*model.Host, *zone.Said) {
	h := &model.Host{}
	said := &zone.Said{
		Incarnation: 5, Sites: map[string]*model.Word{}, Endpoints: map[string]*model.Word{}, Overs: map[string]*model.Over{},
	}
	for part := range strings.SplitSeq(text, "; ") {
		f := strings.Fields(part)
		switch f[0] {
		case "policy":
			readPolicy(h, f[1:])
		case "checkers":
			for i := range number(f[1]) {
				said.Checkers = append(said.Checkers, model.Checker{Site: fmt.Sprint("k", i+1), Term: 7})
			}
		case "votes", "stale", "former":
			vote := model.Vote{Endpoint: f[1], Generation: 3, Term: 7}
			vote.Generation -= map[string]uint64{"stale": 1}[f[0]]
			vote.Term -= map[string]uint64{"former": 1}[f[0]]
			for i, letter := range f[2] {
				vote.Site, vote.Verdict = fmt.Sprint("k", i+1), map[rune]model.Verdict{'u': model.Up, 's': model.Suspect, 'd': model.Down}[letter]
				if letter != '.' {
					said.Votes = append(said.Votes, vote)
				}
			}
		case "word", "old":
			w := &model.Word{Incarnation: 5, Say: map[string]model.Saying{"up": model.SayUp, "down": model.SayDown, "drain": model.SayDrain}[f[2]]}
			w.Incarnation -= map[string]uint64{"old": 1}[f[0]]
			switch site, isSite := strings.CutPrefix(f[1], "@"); {
			case isSite:
				w.Incarnation, said.Sites[site] = 0, w
			case f[1] == "host":
				said.Host = w
			default:
				said.Endpoints[f[1]] = w
			}
		case "over", "staleover":
			said.Overs[f[1]] = &model.Over{Generation: map[string]uint64{"over": 3, "staleover": 2}[f[0]]}
		default:
			h.Endpoints = append(h.Endpoints, readEndpoint(f, len(h.Endpoints)+1))
		}
	}
	return h, said
}

func readPolicy(h *model.Host, words []string) {
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "all":
		case "failover", "manual":
			h.Policy.Kind, h.Policy.ManualFailback = model.PolicyFailover, name == "manual"
		case "weighted":
			h.Policy.Kind = model.PolicyWeighted
		case "min":
			h.Policy.MinHealthy = uint32(number(value))
		case "max":
			h.Policy.MaxAnswers = uint32(number(value))
		case "ttl":
			h.TTL = uint32(number(value))
		case "suspect":
			h.Policy.SuspectTTL = uint32(number(value))
		case "checked":
			h.Checked = true
			if value != "" {
				h.CheckSites = strings.Split(value, ",")
			}
		case "fallback":
			h.Policy.Fallback = []netip.Addr{netip.MustParseAddr(value)}
		default:
			panic(word)
		}
	}
}

// readEndpoint reads an endpoint; its addresses end in its place among the host's.
func readEndpoint(words []string, place int) model.Endpoint {
	e := model.Endpoint{ID: words[0], Generation: 3}
	for _, w := range words[1:] {
		switch {
		case w == "4":
			e.Addresses = append(e.Addresses, netip.MustParseAddr(fmt.Sprint("192.0.2.", place)))
		case w == "6":
			e.Addresses = append(e.Addresses, netip.MustParseAddr(fmt.Sprint("2001:db8::", place)))
		case w[0] == '@':
			e.Site = w[1:]
		case w[0] == 'p':
			e.Priority = uint32(number(w[1:]))
		case w == "w0":
			e.Weight = model.NoWeight
		case w[0] == 'w':
			e.Weight = int32(number(w[1:]))
		default:
			panic(w)
		}
	}
	return e
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}

// tells writes a choice in one line: how each endpoint stands, an asterisk at those that
// are answered, then where the answer comes from if not from the policy, the addresses
// and the TTL in a zone whose own is 60.
func tells(c zone.Choice) string {
	var b strings.Builder
	for _, s := range c.Endpoints {
		fmt.Fprintf(&b, "%s %s", s.ID, s.State)
		if s.PassedOver {
			b.WriteString(" over")
		}
		if s.Answered {
			b.WriteString("*")
		}
		b.WriteString(", ")
	}
	b.WriteString([]string{"", "fail open ", "fallback ", "nothing "}[c.Source])
	if c.Draw > 0 {
		fmt.Fprintf(&b, "%d of ", c.Draw)
	}
	for _, a := range c.Addresses {
		b.WriteString(a.String() + " ")
	}
	return b.String() + "ttl " + fmt.Sprint(c.TTL(60))
}

type choosing struct{ name, scene, want string }

func tryRows(t *testing.T, rows []choosing) {
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if got := tells(zone.Choose(scene(row.scene))); got != row.want {
				t.Errorf("%s\ngot  %s\nwant %s", row.scene, got, row.want)
			}
		})
	}
}

// The rows of the table above stand.
func TestIsAnEndpointUp(t *testing.T) {
	const two = "policy all checked; a @s1 4; b @s2 4; checkers 3; "
	tryRows(t, []choosing{
		{"nobody has ever voted", two + "votes b ...", "a up*, b up*, 192.0.2.1 192.0.2.2 ttl 30"},
		{"no check, so votes do not count", "policy all; a 4; b 4; checkers 1; votes a d", "a up*, b up*, 192.0.2.1 192.0.2.2 ttl 60"},
		{"no checker is registered", "policy all checked; a 4; b 4; checkers 0; votes a ddd", "a up*, b up*, 192.0.2.1 192.0.2.2 ttl 30"},
		{"one checker's word decides when it is alone", "policy all checked; a 4; b 4; checkers 1; votes a d", "a down, b up*, 192.0.2.2 ttl 30"},
		{"one checker alone is suspicious", "policy all checked; a 4; b 4; checkers 1; votes a s", "a suspect*, b up*, 192.0.2.1 192.0.2.2 ttl 5"},
		{"with two both must agree", "policy all checked; a 4; b 4; checkers 2; votes a du", "a suspect*, b up*, 192.0.2.1 192.0.2.2 ttl 5"},
		{"two of two agree", "policy all checked; a 4; b 4; checkers 2; votes a dd", "a down, b up*, 192.0.2.2 ttl 30"},
		{"one of three says down", two + "votes a duu", "a suspect*, b up*, 192.0.2.1 192.0.2.2 ttl 5"},
		{"two of three say down", two + "votes a ddu", "a down, b up*, 192.0.2.2 ttl 30"},
		{"suspect is not down", two + "votes a dss", "a suspect*, b up*, 192.0.2.1 192.0.2.2 ttl 5"},
		{"half of four is not more than half", "policy all checked; a 4; b 4; checkers 4; votes a dduu", "a suspect*, b up*, 192.0.2.1 192.0.2.2 ttl 5"},
		{"one of four is fewer than half", "policy all checked; a 4; b 4; checkers 4; votes a duuu", "a up*, b up*, 192.0.2.1 192.0.2.2 ttl 30"},
		{"two of five are half rounded down", "policy all checked; a 4; b 4; checkers 5; votes a dsuuu", "a suspect*, b up*, 192.0.2.1 192.0.2.2 ttl 5"},
		{"a silent checker counts among those asked", two + "votes a d..", "a suspect*, b up*, 192.0.2.1 192.0.2.2 ttl 5"},
		{"votes about another generation do not count", two + "stale a ddd", "a up*, b up*, 192.0.2.1 192.0.2.2 ttl 30"},
		{"votes of another term do not count", two + "former a ddd", "a up*, b up*, 192.0.2.1 192.0.2.2 ttl 30"},
		{"votes of a checker that is not registered do not count", "policy all checked; a 4; b 4; checkers 2; votes a uudd", "a up*, b up*, 192.0.2.1 192.0.2.2 ttl 30"},
		{"votes of a site that the check does not name do not count", "policy all checked=k1; a 4; b 4; checkers 3; votes a udd", "a up*, b up*, 192.0.2.1 192.0.2.2 ttl 30"},
		{"the one site that the check names decides", "policy all checked=k2; a 4; b 4; checkers 3; votes a udu", "a down, b up*, 192.0.2.2 ttl 30"},
		{"the check names a site without a checker", "policy all checked=k9; a 4; b 4; checkers 3; votes a ddd", "a up*, b up*, 192.0.2.1 192.0.2.2 ttl 30"},
		{"drained by a word on the endpoint", two + "word a drain", "a drained, b up*, 192.0.2.2 ttl 30"},
		{"put down by a word on the endpoint", two + "word a down; votes a uuu", "a down, b up*, 192.0.2.2 ttl 30"},
		{"put up by a word on the endpoint", two + "word a up; votes a ddd", "a up*, b up*, 192.0.2.1 192.0.2.2 ttl 30"},
		{"drained by a word on the site", two + "word @s1 drain", "a drained, b up*, 192.0.2.2 ttl 30"},
		{"put up by a word on the site", two + "word @s1 up; votes a ddd", "a up*, b up*, 192.0.2.1 192.0.2.2 ttl 30"},
		{"a word on the site of nobody", two + "word @s3 drain", "a up*, b up*, 192.0.2.1 192.0.2.2 ttl 30"},
		{"a word on the host", two + "word host drain", "a drained, b drained, nothing ttl 30"},
		{"the endpoint's word goes before the host's", two + "word a up; word host drain", "a up*, b drained, 192.0.2.1 ttl 30"},
		{"the host's word goes before the site's", two + "word host up; word @s1 drain", "a up*, b up*, 192.0.2.1 192.0.2.2 ttl 30"},
		{"the endpoint's word goes before the site's", two + "word a up; word @s1 drain", "a up*, b up*, 192.0.2.1 192.0.2.2 ttl 30"},
		{"auto lets the next level speak", two + "word a auto; word @s1 drain", "a drained, b up*, 192.0.2.2 ttl 30"},
		{"a word on an endpoint of the incarnation before", two + "old a drain", "a up*, b up*, 192.0.2.1 192.0.2.2 ttl 30"},
		{"a word on a host of the incarnation before", two + "old host drain; word @s1 drain", "a drained, b up*, 192.0.2.2 ttl 30"},
		{"without addresses", "policy all; a; b 4", "a no addresses, b up*, 192.0.2.2 ttl 60"},
		{"without addresses put up", "policy failover; a p0; b p1 4; word a up", "a no addresses, b up*, 192.0.2.2 ttl 60"},
		{"without addresses put down", "policy all; a; b 4; word a down", "a down, b up*, 192.0.2.2 ttl 60"},
	})
}

// The rows of the tables above Choose.
func TestWhichAddressesAreAnswered(t *testing.T) {
	const three = " checked; a @s1 p0 4; b @s2 p1 4; c @s3 p1 4; checkers 1; "
	tryRows(t, []choosing{
		{"all that are up", "policy all" + three + "votes b d", "a up*, b down, c up*, 192.0.2.1 192.0.2.3 ttl 30"},
		{"failover to the first", "policy failover" + three + "votes b .", "a up*, b up, c up, 192.0.2.1 ttl 30"},
		{"failover when the first is down", "policy failover" + three + "votes a d", "a down, b up*, c up*, 192.0.2.2 192.0.2.3 ttl 30"},
		{"failover when the first is drained", "policy failover" + three + "word a drain", "a drained, b up*, c up*, 192.0.2.2 192.0.2.3 ttl 30"},
		{"failover keeps a suspect", "policy failover" + three + "votes a s", "a suspect*, b up, c up, 192.0.2.1 ttl 5"},
		{"a suspect that is not answered", "policy failover" + three + "votes b s", "a up*, b suspect, c up, 192.0.2.1 ttl 30"},
		{"fail open", "policy failover" + three + "votes a d; votes b d; votes c d", "a down*, b down*, c down*, fail open 192.0.2.1 192.0.2.2 192.0.2.3 ttl 5"},
		{"fail open without what an operator took", "policy all" + three + "votes a d; word b down; word c drain", "a down*, b down, c drained, fail open 192.0.2.1 ttl 5"},
		{"fewer than min_healthy", "policy all min=2" + three + "votes a d; votes b d", "a down*, b down*, c up*, fail open 192.0.2.1 192.0.2.2 192.0.2.3 ttl 5"},
		{"as many as min_healthy", "policy all min=2" + three + "votes a d", "a down, b up*, c up*, 192.0.2.2 192.0.2.3 ttl 30"},
		{"min_healthy counts those that failover does not answer", "policy failover min=2" + three + "votes a d", "a down, b up*, c up*, 192.0.2.2 192.0.2.3 ttl 30"},
		{"min_healthy of more than there are", "policy failover min=9" + three + "votes a u", "a up*, b up*, c up*, fail open 192.0.2.1 192.0.2.2 192.0.2.3 ttl 30"},
		{"fallback", "policy all fallback=192.0.2.9" + three + "votes a d; votes b d; votes c d", "a down, b down, c down, fallback 192.0.2.9 ttl 30"},
		{"fallback when an operator took everything", "policy all fallback=192.0.2.9" + three + "word host drain", "a drained, b drained, c drained, fallback 192.0.2.9 ttl 30"},
		{"no fallback as long as enough are up", "policy all fallback=192.0.2.9" + three + "votes a d; votes b d", "a down, b down, c up*, 192.0.2.3 ttl 30"},
		{"nothing when an operator took everything", "policy all" + three + "word host down", "a down, b down, c down, nothing ttl 30"},
		{"nothing when there is nothing", "policy all", "nothing ttl 60"},
		{"passed over", "policy manual" + three + "over a", "a up over, b up*, c up*, 192.0.2.2 192.0.2.3 ttl 30"},
		{"passed over and alone", "policy manual" + three + "over a; votes b d; votes c d", "a up over*, b down, c down, 192.0.2.1 ttl 30"},
		{"all passed over", "policy manual" + three + "over a; over b; over c", "a up over*, b up over, c up over, 192.0.2.1 ttl 30"},
		{"passed over and down", "policy manual" + three + "over a; votes a d; votes b d; votes c d", "a down*, b down*, c down*, fail open 192.0.2.1 192.0.2.2 192.0.2.3 ttl 5"},
		{"passed over in the generation before", "policy manual" + three + "staleover a", "a up*, b up, c up, 192.0.2.1 ttl 30"},
		{"passed over and put up", "policy manual" + three + "over a; word a up", "a up*, b up, c up, 192.0.2.1 ttl 30"},
		{"passed over with automatic fail-back", "policy failover" + three + "over a", "a up*, b up, c up, 192.0.2.1 ttl 30"},
		{"passed over without a check", "policy manual; a p0 4; b p1 4; over a", "a up*, b up, 192.0.2.1 ttl 60"},
		{"weighted", "policy weighted max=2" + three + "votes b d", "a up*, b down, c up*, 2 of 192.0.2.1 192.0.2.3 ttl 30"},
		{"weighted draws one", "policy weighted; a 4; b 4", "a up*, b up*, 1 of 192.0.2.1 192.0.2.2 ttl 60"},
		{"weight 0 when another has one", "policy weighted; a w0 4; b w5 4", "a up, b up*, 1 of 192.0.2.2 ttl 60"},
		{"weight 0 when all that are up have it", "policy weighted checked; a w0 4; b w5 4; checkers 1; votes b d", "a up*, b down, 1 of 192.0.2.1 ttl 30"},
		{"weighted that fails open draws nothing", "policy weighted checked; a w0 4; b w5 4; checkers 1; votes a d; votes b d", "a down*, b down*, fail open 192.0.2.1 192.0.2.2 ttl 5"},
		{"the families are chosen together", "policy failover; a p0 4; b p1 4 6", "a up*, b up, 192.0.2.1 ttl 60"},
		{"the dead is not answered for a family that only it has", "policy failover checked; a p0 4 6; b p1 4; checkers 1; votes a d", "a down, b up*, 192.0.2.2 ttl 30"},
		{"one endpoint for each family", "policy all; a 4; b 6", "a up*, b up*, 192.0.2.1 2001:db8::2 ttl 60"},
		{"the host's own TTL", "policy all ttl=120" + three + "votes a u", "a up*, b up*, c up*, 192.0.2.1 192.0.2.2 192.0.2.3 ttl 120"},
		{"the host's own TTL while suspect", "policy failover ttl=120 suspect=20" + three + "votes a s", "a suspect*, b up, c up, 192.0.2.1 ttl 20"},
		{"a suspect_ttl over the host's own TTL", "policy failover ttl=10 suspect=20" + three + "votes a s", "a suspect*, b up, c up, 192.0.2.1 ttl 10"},
	})
}
