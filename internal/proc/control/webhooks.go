package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/encoding/protojson"

	"signpost/controlapi"
	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/webhook"
	pb "signpost/proto/signpost/v1"
)

const (
	tellEvery  = 200 * time.Millisecond // how far a receiver was told is written, when it was told something
	tellIdle   = time.Minute            // likewise, when it was not
	followRest = time.Second            // between two tries to follow, about
)

// newWebhooks makes the hooks of the configuration ready.
func (c Config) newWebhooks(log *slog.Logger, reg prometheus.Registerer) ([]*webhook.Hook, error) {
	m, err := webhook.NewMetrics(reg)
	if err != nil {
		return nil, err
	}
	var out []*webhook.Hook
	for _, w := range c.Webhooks {
		h, err := webhook.Open(w, log, m)
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}

// teller tells one receiver what becomes of endpoints, whenever it is this control service
// that is to.
type teller struct {
	hook    *webhook.Hook
	store   *store.Store
	service *controlapi.Service
	log     *slog.Logger
}

func (t *teller) run(ctx context.Context) {
	warned := false
	for ctx.Err() == nil {
		held, err := t.store.TakeHook(ctx, t.hook.Name(), func(err error) {
			if !warned {
				warned = true
				t.log.Warn("it cannot be seen who tells the receiver of a webhook", "webhook", t.hook.Name(), "error", err)
			}
		})
		if err != nil {
			return // ctx's
		}
		warned = false
		t.hook.Carries(true)
		t.tell(held)
		held.Release()
		t.hook.Carries(false)
	}
}

// tell follows and sends until the hold ends. Who holds it next goes on from the oldest
// message that was not taken, so that one may be sent twice, with the same id.
func (t *teller) tell(held *store.Hook) {
	ctx := held.Context()
	t.log.Info("this control service tells the receiver of a webhook", "webhook", t.hook.Name(), "after", held.At.Revision)
	out := t.hook.Outbox(func(rev int64) webhook.Message {
		return t.message(store.NewsPosition{Revision: rev}, t.service.ManyStandOtherwise())
	})
	var upTo atomic.Pointer[store.NewsPosition] // what was followed
	upTo.Store(&held.At)
	var running sync.WaitGroup
	running.Go(func() { out.Run(ctx) })
	running.Go(func() { t.follow(ctx, held.At, out, &upTo) })
	last, wrote := held.At, time.Now()
	write := func(ctx context.Context) {
		at := *upTo.Load()
		at.Revision = out.Through(at.Revision)
		if at == last {
			return
		}
		if err := held.Told(ctx, at); err != nil {
			t.log.Debug("how far a receiver was told is not written", "webhook", t.hook.Name(), "error", err)
			return
		}
		last, wrote = at, time.Now()
	}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(tellEvery):
			if out.Sent() || time.Since(wrote) >= tellIdle || last.Revision == 0 {
				write(ctx)
			}
		}
	}
	running.Wait()
	write(context.WithoutCancel(ctx))
}

// follow puts what comes about into the outbox.
func (t *teller) follow(ctx context.Context, at store.NewsPosition, out *webhook.Outbox, upTo *atomic.Pointer[store.NewsPosition]) {
	missed := false // something that cannot be told any more
	for ctx.Err() == nil {
		err := error(nil)
		if at.Revision == 0 {
			at.Revision, err = t.store.Revision(ctx)
		}
		if err == nil {
			err = t.service.FollowHealth(ctx, &at, t.hook.Zones(), func(rev int64, events []*pb.Event) error {
				now := store.NewsPosition{Revision: rev, Cluster: at.Cluster}
				if missed {
					missed = false
					events = append([]*pb.Event{t.service.ManyStandOtherwise()}, events...)
				}
				for _, e := range events {
					out.Add(t.message(now, e))
				}
				upTo.Store(&now)
				return nil
			})
		}
		switch kind := model.KindOf(err); {
		case ctx.Err() != nil:
			return
		case kind == model.Compacted || kind == model.Aborted:
			missed, at = true, store.NewsPosition{}
			t.log.Warn("what became of endpoints meanwhile is not known; the receiver of a webhook is told so", "webhook", t.hook.Name(), "error", err)
		default:
			t.log.Debug("following for a webhook", "webhook", t.hook.Name(), "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(followRest/2 + rand.N(followRest)):
		}
	}
}

// message is what a receiver is sent of an event, and no secret in it. Its id follows from
// what it is of, so that all control services give it the same.
func (t *teller) message(at store.NewsPosition, e *pb.Event) webhook.Message {
	data, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(e)
	if err != nil {
		t.log.Error("an event is no JSON", "error", err) // it comes from etcd, where only UTF-8 is
	}
	of := e.GetFqdn()
	sum := sha256.Sum256(fmt.Appendf(nil, "%x %d %s %s %s", at.Cluster, at.Revision, t.hook.Name(), of, e.GetEndpointChange().GetEndpoint()))
	body, err := json.Marshal(struct {
		Type      string          `json:"type"`
		Timestamp string          `json:"timestamp"`
		Revision  string          `json:"revision"`
		Data      json.RawMessage `json:"data"`
	}{"health", e.GetTime().AsTime().UTC().Format(time.RFC3339), strconv.FormatInt(at.Revision, 10), data})
	if err != nil {
		t.log.Error("an event is no JSON", "error", err)
	}
	return webhook.Message{ID: "evt_" + hex.EncodeToString(sum[:16]), Order: of, Revision: at.Revision, Body: body}
}
