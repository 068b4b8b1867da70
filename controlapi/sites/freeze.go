package sites

import (
	"context"
	"time"

	"signpost/controlapi/call"
	"signpost/controlapi/message"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// GetFreeze shows the freeze switch.
func (s *Service) GetFreeze(ctx context.Context, in *pb.GetFreezeRequest) (out *pb.Freeze, err error) {
	c, err := s.Authorize(ctx, access.FreezeRead, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	err = c.Read(func(tx *store.Tx) error {
		f, err := tx.Freeze()
		out = message.Freeze(f)
		return err
	})
	return out, err
}

// SetFreeze turns it.
func (s *Service) SetFreeze(ctx context.Context, in *pb.SetFreezeRequest) (out *pb.SetFreezeResponse, err error) {
	c, err := s.Authorize(ctx, access.FreezeSet, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	return call.Change(c, func(p *call.Plan) (*pb.SetFreezeResponse, error) {
		old, err := p.Freeze()
		if err != nil {
			return nil, err
		}
		next := old
		switch {
		case !in.GetOn():
			next = nil
		case old == nil || old.Reason != in.GetReason():
			next = &model.Freeze{Reason: in.GetReason(), By: c.Who.String(), Time: s.Now().UTC().Truncate(time.Second)}
		}
		if next != old {
			p.PutFreeze(next)
			if err := everywhere(p); err != nil {
				return nil, err
			}
			p.Record("", "", "", freezeText(old), freezeText(next))
		}
		return &pb.SetFreezeResponse{Freeze: message.Freeze(next), Change: &pb.Change{}}, nil
	})
}

func freezeText(f *model.Freeze) string {
	switch {
	case f == nil:
		return "off"
	case f.Reason == "":
		return "on"
	}
	return "on (" + f.Reason + ")"
}
