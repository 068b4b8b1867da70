package controltest

import (
	"context"
	"errors"
	"fmt"

	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// Checker is the registered checker of a site, which votes.
func (s *Server) Checker(site string) *store.Duty {
	s.T.Helper()
	d, err := s.Store.StandBy(s.T.Context(), site, func(*model.CheckerLife, error) {})
	s.Done(err)
	s.T.Cleanup(d.Release)
	s.Done(d.Register(s.T.Context(), s.Clock.Read()))
	return d
}

// Vote has checkers say something of an endpoint as it is now.
func (s *Server) Vote(id string, v model.Verdict, why model.Reason, checkers ...*store.Duty) {
	s.T.Helper()
	s.Done(s.TryVote(id, v, why, checkers...))
}

func (s *Server) TryVote(id string, v model.Verdict, why model.Reason, checkers ...*store.Duty) error {
	e, err := s.Points.GetEndpoint(s.Admin(), &pb.GetEndpointRequest{Fqdn: App, Id: id})
	s.Done(err)
	for _, d := range checkers {
		if err := s.ballot(d, id, e.Generation, v, why); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) ballot(d *store.Duty, id string, generation uint64, v model.Verdict, why model.Reason) error {
	var b store.Ballot
	err := s.Store.Read(s.T.Context(), func(tx *store.Tx) error {
		z, err := tx.ZoneAbove(model.NameOf(App + "."))
		if err != nil {
			return err
		}
		check, err := tx.Check(z, model.NameOf(App+"."))
		if err != nil || check == nil {
			return errors.Join(err, errors.New("there is no check"))
		}
		b = store.Ballot{
			Zone: z.Name, Name: model.NameOf(App + "."), Endpoint: id, Incarnation: z.Incarnation, Check: check.ModRevision,
			Vote: model.Vote{Generation: generation, Verdict: v, Reason: why, Time: s.Clock.Read()},
		}
		return nil
	})
	if err != nil {
		return err
	}
	stale, err := d.Vote(context.WithoutCancel(s.T.Context()), []store.Ballot{b})
	if len(stale) > 0 {
		err = errors.Join(err, fmt.Errorf("stale: %v", stale))
	}
	return err
}

func (s *Server) SetPolicy(in *pb.SetPolicyRequest) *pb.SetPolicyResponse {
	s.T.Helper()
	in.Fqdn = App
	out, err := s.Health.SetPolicy(s.Admin(), in)
	s.Done(err)
	return out
}

func (s *Server) SetCheck(in *pb.SetCheckRequest) *pb.SetCheckResponse {
	s.T.Helper()
	in.Fqdn = App
	out, err := s.Health.SetCheck(s.Admin(), in)
	s.Done(err)
	return out
}
