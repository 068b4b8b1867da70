package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"signpost/internal/store"
)

const (
	lookEvery     = time.Minute
	uncompacted   = 2 * time.Hour // is too long: production compacts every few minutes
	fullAtPercent = 80
	warnEvery     = time.Hour
)

// upkeep watches what etcd needs from those who run it: compaction, without which it
// keeps every version of every key, and room in its database.
type upkeep struct {
	log                  *slog.Logger
	size, inUse, quota   *prometheus.GaugeVec
	compacted            int64                     // the last compaction's revision
	seen                 atomic.Pointer[time.Time] // when it was seen; clocks are set, so it is kept as read
	warnedOld, warnedBig time.Time
	toldRefused          bool
}

// newUpkeep starts counting at now: what was before is not known.
func newUpkeep(reg prometheus.Registerer, log *slog.Logger, now time.Time) *upkeep {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"endpoint"})
	}
	u := &upkeep{
		log:   log,
		size:  gauge("signpost_etcd_database_bytes", "Size of an etcd member's database; at its quota etcd takes no more."),
		inUse: gauge("signpost_etcd_database_in_use_bytes", "What of an etcd member's database would be left by defragmenting it."),
		quota: gauge("signpost_etcd_database_quota_bytes", "The most that an etcd member's database may have."),
	}
	u.seen.Store(&now)
	reg.MustRegister(u.size, u.inUse, u.quota, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "signpost_etcd_compaction_age_seconds",
		Help: "How long ago etcd was seen to have compacted, or to have nothing to compact; since the start if never.",
	}, func() float64 { return time.Since(*u.seen.Load()).Seconds() }))
	return u
}

// run looks each minute, a little off, so that many do not ask all at once.
func (u *upkeep) run(ctx context.Context, st *store.Store) {
	for {
		by, err := st.Members(ctx)
		u.members(by, time.Now())
		h, errHistory := st.History(ctx)
		if errHistory == nil {
			u.history(h, time.Now())
		}
		if err := errors.Join(err, errHistory); err != nil && ctx.Err() == nil {
			u.unanswered(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookEvery - lookEvery/4 + rand.N(lookEvery/2)):
		}
	}
}

// unanswered notes what etcd did not say. That it may not say it to us is told once: it
// stays so until somebody changes it.
func (u *upkeep) unanswered(err error) {
	if store.Refused(err) && !u.toldRefused {
		u.toldRefused = true
		u.log.Warn("etcd does not let us look at its databases and history, so nobody is warned here when they grow: check our user and its role", "error", err)
		return
	}
	u.log.Debug("etcd does not say how it is", "error", err)
}

// members takes what each member says of its database.
func (u *upkeep) members(by map[string]store.Status, now time.Time) {
	u.size.Reset() // a member that says nothing has no size
	u.inUse.Reset()
	u.quota.Reset()
	for endpoint, st := range by {
		u.size.WithLabelValues(endpoint).Set(float64(st.Bytes))
		u.inUse.WithLabelValues(endpoint).Set(float64(st.InUse))
		u.quota.WithLabelValues(endpoint).Set(float64(st.QuotaBytes))
		if st.QuotaBytes > 0 && st.Bytes >= st.QuotaBytes/100*fullAtPercent && now.Sub(u.warnedBig) >= warnEvery {
			u.warnedBig = now
			u.log.Warn("etcd's database is nearly full; at its quota changes are refused: compact and defragment, or raise the quota",
				"endpoint", endpoint, "bytes", st.Bytes, "in_use", st.InUse, "quota", st.QuotaBytes,
				"used", fmt.Sprintf("%d%%", st.Bytes*100/st.QuotaBytes))
		}
	}
}

// history takes how far back etcd's goes. In a quiet etcd there is nothing to
// compact, and that is as good.
func (u *upkeep) history(h store.History, now time.Time) {
	if h.Compacted != u.compacted || h.Compacted >= h.Revision {
		u.compacted = h.Compacted
		u.seen.Store(&now)
	}
	age := now.Sub(*u.seen.Load())
	if age >= uncompacted && now.Sub(u.warnedOld) >= warnEvery {
		u.warnedOld = now
		u.log.Warn("etcd was not compacted for long and fills up: set --auto-compaction-mode=periodic --auto-compaction-retention=1h",
			"for", age.Round(time.Minute).String(), "revision", h.Revision, "compacted", h.Compacted)
	}
}
