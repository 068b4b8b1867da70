//go:build race

package zone_test

import "time"

// mostForAll is how much processor time a step for 100,000 names may take with the race
// detector.
const mostForAll = 10 * time.Second
