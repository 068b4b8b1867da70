package control

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"signpost/controlapi"
)

const leasesEvery = time.Minute

// endLeases does what leases of hosts come to, about once in each span.
func endLeases(ctx context.Context, s *controlapi.Service, every time.Duration, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(every/2 + rand.N(every)):
		}
		withdrawn, freed, err := s.EndLeases(ctx)
		if err != nil && ctx.Err() == nil {
			log.Warn("leases", "withdrawn", withdrawn, "freed", freed, "error", err)
		} else if withdrawn+freed > 0 {
			log.Info("leases", "withdrawn", withdrawn, "freed", freed)
		}
	}
}
