package certificates

import (
	"context"
	"strings"
	"time"

	"signpost/controlapi/visibility"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// awaitServed waits until every name server of a zone that can be asked serves it as of a
// revision; 0: as it is now. Errors: Unavailable when one does not in time, Precondition
// when none can be asked.
func (s *Service) awaitServed(ctx context.Context, zone *model.Zone, rev int64) error {
	wait := s.authority.Wait
	if wait == 0 {
		wait = challengeWait
	}
	asking, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var q visibility.Question
	var servers []visibility.Server
	if err := s.Store.Read(ctx, func(tx *store.Tx) (err error) {
		q, servers, err = s.NameServers.About(tx, zone.Name)
		return err
	}); err != nil {
		return err
	}
	if rev > 0 {
		q.Serial = q.Base + uint32(rev)
	}
	began := time.Now()
	asked := 0
	var behindNow []string
	for _, v := range visibility.Ask(asking, servers, q, true) {
		switch v.State {
		case visibility.Visible:
			asked++
		case visibility.Behind:
			asked++
			behindNow = append(behindNow, v.Server+" ("+detailOr(v)+")")
		}
	}
	op := func(k model.Kind) *model.Error { return model.E(k, "serve challenge in", zone.Name.Text()) }
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case asked == 0:
		return op(model.Precondition).Because("none of the zone's name servers can be asked whether it serves it").
			Hint("those who run this service give the setting name-servers")
	case len(behindNow) > 0:
		return op(model.Unavailable).Because("after " + time.Since(began).Round(100*time.Millisecond).String() + " not served by " + strings.Join(behindNow, ", ")).
			Hint("try again when it is; signpost status shows it")
	}
	return nil
}

func detailOr(v *pb.Visibility) string {
	if v.GetDetail() == "" {
		return "it serves an older state"
	}
	return v.GetDetail()
}
