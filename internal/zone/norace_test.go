//go:build !race

package zone_test

import "time"

// mostForAll is how much processor time a step for 100,000 names may take: 1 s is promised
// on the clock, and half of it is what it takes; the rest is room for slow machines.
const mostForAll = 1500 * time.Millisecond
