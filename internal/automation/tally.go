package automation

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/zone"
)

// tally counts how endpoints stand, of hosts that have more than plain addresses.
type tally struct {
	hosts    map[store.HostAt][]stood
	counts   map[zone.State]int
	stands   *prometheus.GaugeVec
	changes  *prometheus.CounterVec
	words    *prometheus.GaugeVec
	silence  *prometheus.GaugeVec
	lastSeen map[string]time.Time // checkers, by site
	names    map[string]string    // ids and sites of endpoints
}

// stood is how an endpoint stood when it was looked at last.
type stood struct {
	id, site string
	state    zone.State
}

var states = []zone.State{zone.Up, zone.Suspect, zone.Down, zone.Drained, zone.Bare}

func newTally() *tally {
	t := &tally{
		hosts: map[store.HostAt][]stood{}, counts: map[zone.State]int{}, lastSeen: map[string]time.Time{}, names: map[string]string{},
		stands: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "signpost_endpoints", Help: "Endpoints of hosts that have more than plain addresses, by how they stand: up, suspect, down, drained, no addresses.",
		}, []string{"state"}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_endpoint_state_changes_total", Help: "Endpoints that this control service has seen come to stand otherwise, by how they stand since; it looks twice a second.",
		}, []string{"state"}),
		words: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "signpost_words", Help: "Words of operators that stand, by what they are on: endpoint, host, site.",
		}, []string{"on"}),
		silence: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "signpost_checker_silence_seconds", Help: "How long this control service has seen no sign of life of a registered checker; 0 while there is one.",
		}, []string{"site"}),
	}
	for _, s := range states {
		t.changes.WithLabelValues(s.String())
	}
	return t
}

func (t *tally) collectors() []prometheus.Collector {
	return []prometheus.Collector{t.stands, t.changes, t.words, t.silence}
}

// set takes how the endpoints of a host stand; nil: it has none, or plain addresses only.
func (t *tally) set(at store.HostAt, now []zone.Standing, h *model.Host) {
	before := t.hosts[at]
	for _, b := range before {
		t.counts[b.state]--
		for i := range now {
			if now[i].ID == b.id && now[i].State != b.state {
				t.changes.WithLabelValues(now[i].State.String()).Inc()
			}
		}
	}
	delete(t.hosts, at)
	if len(now) == 0 {
		return
	}
	stands := make([]stood, len(now))
	for i := range now {
		stands[i] = stood{t.one(now[i].ID), t.one(h.Endpoints[i].Site), now[i].State}
		t.counts[now[i].State]++
	}
	t.hosts[at] = stands
}

// one is a string of which one is kept, however many endpoints have it.
func (t *tally) one(s string) string {
	if len(t.names) > mostNames {
		t.names = map[string]string{}
	}
	kept, ok := t.names[s]
	if !ok {
		kept = strings.Clone(s)
		t.names[kept] = kept
	}
	return kept
}

// mostNames is how many different ids and sites are kept apart.
const mostNames = 10000

func (t *tally) show() {
	for _, s := range states {
		t.stands.WithLabelValues(s.String()).Set(float64(t.counts[s]))
	}
}

// counted reports whether the endpoints of a host are counted.
func counted(h *model.Host) bool {
	if h == nil {
		return false
	}
	for i := range h.Endpoints {
		if e := &h.Endpoints[i]; e.ID != model.MainEndpoint || e.Site != "" {
			return true
		}
	}
	return h.Checked && len(h.Endpoints) > 0
}

// checkers shows how long registered checkers have given no sign of life.
func (t *tally) checkers(all []model.Checker, lives map[string]*model.CheckerLife, now time.Time) {
	seen := map[string]time.Time{}
	t.silence.Reset()
	for _, k := range all {
		last, known := t.lastSeen[k.Site]
		if lives[k.Site] != nil || !known {
			last = now
		}
		seen[k.Site] = last
		t.silence.WithLabelValues(k.Site).Set(now.Sub(last).Seconds())
	}
	t.lastSeen = seen
}

// said shows how many words stand.
func (t *tally) said(tx *store.Tx) error {
	on := map[model.KeyKind]int{}
	for c, err := range tx.EachSaid() {
		if err != nil {
			return err
		}
		if c.Key.Kind == model.VoteKey || c.Key.Kind == model.CheckerKey {
			break // words come first
		}
		on[c.Key.Kind]++
	}
	for kind, name := range map[model.KeyKind]string{model.EndpointWordKey: "endpoint", model.HostWordKey: "host", model.SiteWordKey: "site"} {
		t.words.WithLabelValues(name).Set(float64(on[kind]))
	}
	return nil
}
