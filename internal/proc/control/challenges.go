package control

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"signpost/controlapi"
)

const challengesEvery = 30 * time.Second

// sweepChallenges takes away what orders of certificates have left in zones, about once in
// each span.
func sweepChallenges(ctx context.Context, s *controlapi.Service, every time.Duration, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(every/2 + rand.N(every)):
		}
		taken, err := s.SweepChallenges(ctx)
		if err != nil && ctx.Err() == nil {
			log.Warn("challenges of certificates", "taken", taken, "error", err)
		} else if taken > 0 {
			log.Info("challenges of certificates that orders have left were taken away", "taken", taken)
		}
	}
}
