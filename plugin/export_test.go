package signpost

import (
	"time"

	"signpost/internal/model"
	"signpost/internal/zone"
)

// Show makes every running directive answer from v, as if etcd had said so.
func Show(v *zone.View) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	for _, r := range shared.replicas {
		r.publish(v, time.Now(), 1, true)
	}
}

// Replicas is how many replicas run.
func Replicas() int {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	return len(shared.replicas)
}

// Over is a directive for all names that answers from v and follows nothing.
func Over(v *zone.View) *Signpost {
	s := &Signpost{zones: []model.Name{model.Root}, reader: &reader{}}
	s.reader.view.Store(v)
	return s
}
