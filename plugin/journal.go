package signpost

import (
	"signpost/internal/store"
	"signpost/internal/zone"
)

// journal writes down that following began, broke and came back, once each,
// however often it is tried in between.
type journal struct {
	following bool
	lost      bool
	last      map[string]string // the last message of each kind of bad value
}

// well notes that v is etcd's state.
func (j *journal) well(v *zone.View) {
	switch {
	case v == nil:
		return
	case !j.following:
		log.Infof("following etcd at revision %d: %d names", v.Revision(), v.Names())
	case j.lost:
		log.Infof("following etcd again, at revision %d", v.Revision())
	}
	j.following, j.lost = true, false
}

// trouble notes what went wrong while v is what we have.
func (j *journal) trouble(what string, err error, v *zone.View) {
	switch what {
	case store.TroubleValue, store.TroubleSchema:
		if j.last[what] == err.Error() {
			return
		}
		if j.last == nil {
			j.last = map[string]string{}
		}
		j.last[what] = err.Error()
		log.Errorf("a value in etcd cannot be used, its last good one is kept: %v", err)
	case store.TroubleRestored:
		log.Warningf("etcd is not what it was, reading everything again: %v", err)
	default:
		if j.lost {
			return
		}
		j.lost = true
		if v == nil {
			log.Warningf("etcd cannot be followed, answering SERVFAIL until it can (%s: %v)", what, err)
		} else {
			log.Warningf("etcd cannot be followed, answering from memory, revision %d (%s: %v)", v.Revision(), what, err)
		}
	}
}
