package signpost

import (
	"fmt"

	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/zone"
)

// journal writes down that following began, broke and came back, once each,
// however often it is tried in between.
type journal struct {
	cluster   string // of which etcd; "": it has no name
	following bool
	lost      bool
	last      map[string]string   // the last message of each kind of bad value
	held      map[model.Name]bool // zones that the guard keeps as they were
}

// of begins what is written down.
func (j *journal) of() string {
	if j.cluster == "" {
		return ""
	}
	return "cluster " + j.cluster + ": "
}

// well notes that v is etcd's state.
func (j *journal) well(v *zone.View) {
	switch {
	case v == nil:
		return
	case !j.following:
		log.Infof("%sfollowing etcd at revision %d: %d names", j.of(), v.Revision(), v.Names())
	case j.lost:
		log.Infof("%sfollowing etcd again, at revision %d", j.of(), v.Revision())
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
		log.Errorf("%sa value in etcd cannot be used, its last good one is kept: %v", j.of(), err)
	case store.TroubleRestored:
		log.Warningf("%setcd is not what it was, reading everything again: %v", j.of(), err)
	case store.TroubleDiffers:
		log.Errorf("%swhat is answered was not what is in etcd, reading everything again: %v", j.of(), err)
	default:
		if j.lost {
			return
		}
		j.lost = true
		if v == nil {
			log.Warningf("%setcd cannot be followed, answering SERVFAIL until it can (%s: %v)", j.of(), what, err)
		} else {
			log.Warningf("%setcd cannot be followed, answering from memory, revision %d (%s: %v)", j.of(), v.Revision(), what, err)
		}
	}
}

// guard notes which zones the guard has begun to hold in v, and which it has let go.
func (j *journal) guard(v *zone.View) {
	if len(v.Held())+len(j.held) == 0 {
		return
	}
	held := map[model.Name]bool{}
	for _, h := range v.Held() {
		if held[h.Zone] = true; j.held[h.Zone] {
			continue
		}
		now := fmt.Sprintf("%d names are left of %d", h.Left, h.Names)
		if h.Gone {
			now = "there is no such zone any more"
		}
		log.Errorf("%szone %s is kept as it was at revision %d: in etcd %s, and nobody has said that this is meant; mend etcd, or agree with: signpost zone accept %s", j.of(),
			h.Zone, h.Since, now, h.Zone.Text())
	}
	for name := range j.held {
		if !held[name] {
			log.Infof("%szone %s is no longer kept as it was: answering what is in etcd", j.of(), name)
		}
	}
	j.held = held
}
