package controlapi

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

func withdrawalMessage(w *model.Withdrawal) *pb.Withdrawal {
	if w == nil {
		return nil
	}
	return &pb.Withdrawal{Reason: w.Reason, Time: timeMessage(w.Time)}
}

func timeMessage(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
