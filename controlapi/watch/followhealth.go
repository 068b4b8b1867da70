package watch

import (
	"context"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// FollowHealth calls next for every revision after at at which endpoints have come to
// stand otherwise, once and in order, with the events of the kind health that a stream of
// changes would have, of hosts in these zones (none: in all); and every few seconds with
// none, to say how far it is. at moves on with each call that returns nil. It is for what
// the operator has set up, not for callers: nobody is asked who they are.
//
// Errors: those of store.FollowNews.
func (s *Service) FollowHealth(ctx context.Context, at *store.NewsPosition, zones []model.Name, next func(revision int64, events []*pb.Event) error) error {
	wanted := func(h store.HostAt) bool { return len(zones) == 0 || slices.Contains(zones, h.Zone) }
	return s.Store.FollowNews(ctx, at, progressEvery, func(n store.News) error {
		s.Store.KeepPast()
		b := newBatch(n)
		stand, err := s.standOtherwise(ctx, b, wanted)
		if err != nil {
			return err
		}
		var events []*pb.Event
		for _, c := range stand {
			if c.isMany() || wanted(store.HostAt{Zone: c.record.Zone, Name: c.record.Name}) {
				events = append(events, c.event)
			}
		}
		return next(b.rev, events)
	})
}

// ManyStandOtherwise is the event that says that very many endpoints may stand otherwise,
// or that some do that it is not known of: read again how the hosts stand that matter.
func (s *Service) ManyStandOtherwise() *pb.Event {
	return &pb.Event{Kind: kindHealth, What: wasChanged, Time: timestamppb.New(s.Now())}
}
