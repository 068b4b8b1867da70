package monitor

import (
	"fmt"
	"testing"
	"time"

	"signpost/internal/model"
)

// What waits because it is new is not tried all at once when the checker begins anew.
func TestABeginIsNoWayAroundTheLimit(t *testing.T) {
	d := newDesk(t)
	owned := check
	for i := range 30 {
		var all []string
		for j := range 16 {
			all = append(all, fmt.Sprintf("e%d@%d=192.0.%d.%d,198.51.%d.%d", j, j+1, i, j+1, i, j+1))
		}
		h := Host{www.Zone, model.Name(fmt.Sprintf("h%d.example.org.", i))}
		owned.Owner = "one"
		if i >= 28 {
			owned.Owner = "another"
		}
		d.check(h, owned)
		d.host(h, all...)
	}
	for range 2 { // a second begin is as the first
		d.begin()
		d.tried()
		of := map[string]int{}
		for _, target := range d.targets {
			of[target.of.owner]++
		}
		if of["one"] < mostAtBegin || of["one"] > mostAtBegin+newAtOnce || of["another"] != 64 {
			t.Errorf("%v are tried", of)
		}
		d.rest()
	}
}

// Nobody keeps a checker from registering with a check whose first round takes an hour.
func TestSlowChecksAreNotAwaited(t *testing.T) {
	d := newDesk(t)
	slow := check
	slow.Interval, slow.Timeout, slow.Fall = 5*time.Minute, time.Second, 10
	other := Host{www.Zone, "other.example.org."}
	d.check(www, check)
	d.host(www, "a@1=192.0.2.1")
	d.check(other, slow)
	d.host(other, "b@1=192.0.2.2")
	d.begin()
	d.arrange(d.now)
	if len(d.targets) != 2 || len(d.awaited) != 1 || d.mayRegister() {
		t.Fatalf("%d targets, %d awaited, may register: %t", len(d.targets), len(d.awaited), d.mayRegister())
	}
	d.round(4)
	if said := d.says(); said == "" || !d.mayRegister() {
		t.Errorf("says %q, may register: %t", said, d.mayRegister())
	}
}
