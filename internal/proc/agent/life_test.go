//go:build linux

package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"signpost/internal/agent/local/netnstest"
	"signpost/internal/proc/control/controltest"
	pb "signpost/proto/signpost/v1"
)

// pair is a host with the endpoints a, which an agent is to be, and b.
func pair(t *testing.T) (s *controltest.Services, secret string, args []string) {
	t.Helper()
	s = controltest.Start(t, 1)
	s.Host(host)
	s.Endpoint(host, "b", "192.0.2.200")
	return s, s.Endpoint(host, "a", "192.0.2.100"), []string{"--host=" + host, "--endpoint=a", "--server=" + s.URLs()[0]}
}

func with(args []string, more ...string) []string { return append(slices.Clone(args), more...) }

// On SIGTERM the endpoint is drained, then the agent waits, then it withdraws its
// addresses; at the next start it takes its own drain back once its address is told.
func TestItDrainsItselfAndComesBack(t *testing.T) {
	s, secret, args := pair(t)
	args = with(args, "--address-command=echo 192.0.2.1", "--drain", "--drain-time=1s")
	state := func() string { return s.State(host, "a").GetState() }
	has := func() string { return strings.Join(s.State(host, "a").GetAddresses(), " ") }
	r := run(t, secret, with(args, "--remove-on-exit")...)
	until(t, "at the start", "192.0.2.1", has)
	r.stop()
	until(t, "told to stop", "drained", state)
	if got := has(); got != "192.0.2.1" {
		t.Errorf("drained, and its addresses are %q at once", got)
	}
	if w := s.State(host, "a").GetWord(); !w.GetSelf() || w.GetReason() != "the machine stops" {
		t.Errorf("%v", w)
	}
	r.end()
	if got := has(); got != "" {
		t.Errorf("withdrawn, and %q is there", got)
	}
	r = run(t, secret, args...)
	until(t, "the next start", "up", state)
	if got := has(); got != "192.0.2.1" {
		t.Errorf("it is up with the addresses %q", got)
	}
	r.end()
	if state() != "drained" || has() != "192.0.2.1" {
		t.Errorf("without --remove-on-exit: %s, %q", state(), has())
	}
}

func TestAnOperatorsDrainIsNotTakenBackAndTheLastEndpointNotDrained(t *testing.T) {
	s, secret, args := pair(t)
	say := func(id, word string) {
		t.Helper()
		if _, err := s.Endpoints.SetEndpointWord(s.Ctx, &pb.SetEndpointWordRequest{Fqdn: host, Id: id, Say: word}); err != nil {
			t.Fatal(err)
		}
	}
	say("a", "drain")
	r := run(t, secret, with(args, "--address-command=echo 192.0.2.1", "--drain", "--drain-time=1h")...)
	until(t, "its say", "yes", func() string {
		if strings.Contains(r.text(), "not drained") {
			return "yes"
		}
		return ""
	})
	if w := s.State(host, "a").GetWord(); w.GetSay() != "drain" || w.GetSelf() {
		t.Errorf("the operator's word is %v", w)
	}
	say("a", "auto")
	say("b", "drain")
	begun := time.Now()
	r.end()
	if w := s.State(host, "a").GetWord(); w != nil || time.Since(begun) > patience || !strings.Contains(r.text(), "cannot drain this machine") {
		t.Errorf("after %s: %v\n%s", time.Since(begun), w, r.text())
	}
}

func TestItBeatsIfTheCheckIsOfHeartbeats(t *testing.T) {
	s, secret, args := pair(t)
	r := run(t, secret, with(args, "--addresses=none")...)
	until(t, "without a check", "yes", func() string {
		if strings.Contains(r.text(), "the host has no heartbeat check") {
			return "yes"
		}
		return ""
	})
	r.end()
	if n := s.Beats(); n != 0 {
		t.Errorf("%d heartbeats without a check", n)
	}
	if _, err := s.Health.SetCheck(s.Ctx, &pb.SetCheckRequest{Fqdn: host, Kind: "heartbeat", Interval: durationpb.New(time.Second)}); err != nil {
		t.Fatal(err)
	}
	several := func(than int64) func() string {
		return func() string {
			if s.Beats() >= than {
				return "several"
			}
			return ""
		}
	}
	r = run(t, secret, with(args, "--addresses=none")...)
	until(t, "as the check wants them", "several", several(3))
	r.end()
	before := s.Beats()
	r = run(t, secret, with(args, "--addresses=none", "--heartbeat=off", "--drain", "--drain-time=0s")...)
	until(t, "off", "yes", func() string {
		if strings.Contains(r.text(), "not drained") {
			return "yes"
		}
		return ""
	})
	r.end()
	if n := s.Beats(); n != before {
		t.Errorf("off: %d heartbeats more", n-before)
	}
}

// While the health command fails there are no heartbeats, and the endpoint is drained if
// that is wanted; the command gets no secret.
func TestAMachineThatIsNotWellIsDrained(t *testing.T) {
	s, secret, args := pair(t)
	if _, err := s.Health.SetCheck(s.Ctx, &pb.SetCheckRequest{Fqdn: host, Kind: "heartbeat", Interval: durationpb.New(time.Second)}); err != nil {
		t.Fatal(err)
	}
	t.Setenv(secretVariable, "must not be seen")
	sick := filepath.Join(t.TempDir(), "sick")
	r := run(t, secret, with(args, "--addresses=none", "--health-command=test ! -e "+sick+" && test -z \"$"+secretVariable+"\"",
		"--health-interval=1s", "--health-count=2", "--drain-unwell")...)
	state := func() string { return s.State(host, "a").GetState() }
	until(t, "well", "yes", func() string {
		if s.Beats() > 0 {
			return "yes"
		}
		return ""
	})
	write(t, sick, "", 0o600)
	until(t, "not well", "drained", state)
	before := s.Beats()
	if err := os.Remove(sick); err != nil {
		t.Fatal(err)
	}
	until(t, "well again", "up", state)
	r.end()
	if n := strings.Count(r.text(), "msg=well"); n != 2 {
		t.Errorf("it says %d times that it is well", n)
	}
	if n := s.Beats(); n < before {
		t.Error("heartbeats went backwards")
	}
}

// The address is the one that the control service sees.
func TestTheControlServiceSaysTheAddress(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	s := controltest.Start(t, 1)
	secret := s.Host(host)
	args := []string{"--host=" + host, "--server=" + s.URLs()[0], "--addresses=server", "--poll=1s"}
	r := run(t, secret, args...)
	until(t, "on loopback", "not reached", func() string {
		if strings.Contains(r.text(), "sees 127.0.0.1, which others do not reach") {
			return "not reached"
		}
		return ""
	})
	r.end()
	netnstest.IP(t, "addr add 192.0.2.1/32 dev lo")
	netnstest.IP(t, "route replace local 127.0.0.1 dev lo proto kernel scope host src 192.0.2.1 table local")
	run(t, secret, args...)
	until(t, "from elsewhere", "192.0.2.1", func() string { return s.Addresses(host) })
}
