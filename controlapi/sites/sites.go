// Package sites answers one question: what do operators say of sites, of checkers and of
// all zones?
package sites

import (
	"context"
	"slices"
	"strings"

	"signpost/controlapi/call"
	"signpost/controlapi/endpoints"
	"signpost/controlapi/guard"
	"signpost/controlapi/message"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// Service is the service for what operators say of sites, checkers and all zones.
type Service struct{ *call.Desk }

// New makes the service.
func New(d *call.Desk) *Service { return &Service{Desk: d} }

// ListSites shows the sites that have a checker or a word.
func (s *Service) ListSites(ctx context.Context, in *pb.ListSitesRequest) (out *pb.ListSitesResponse, err error) {
	c, err := s.Authorize(ctx, access.SiteList, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	out = &pb.ListSitesResponse{}
	err = c.Read(func(tx *store.Tx) error {
		words, err := tx.SiteWords()
		if err != nil {
			return err
		}
		checkers, err := checkerMessages(c, tx)
		if err != nil {
			return err
		}
		for _, k := range checkers {
			out.Sites = append(out.Sites, &pb.Site{Site: k.Site, Word: message.Word(words[k.Site]), Checker: k})
			delete(words, k.Site)
		}
		for site, w := range words {
			out.Sites = append(out.Sites, &pb.Site{Site: site, Word: message.Word(w)})
		}
		slices.SortFunc(out.Sites, func(a, b *pb.Site) int { return strings.Compare(a.Site, b.Site) })
		return nil
	})
	return out, err
}

// SetSiteWord says something of a site, or takes it back.
func (s *Service) SetSiteWord(ctx context.Context, in *pb.SetSiteWordRequest) (out *pb.SetSiteWordResponse, err error) {
	c, err := s.Authorize(ctx, access.SiteWord, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	if err := model.CheckSite("site", in.GetSite()); err != nil {
		return nil, err
	}
	said, err := endpoints.ReadSaying(c.Resource.Name, in, in.GetReason())
	if err != nil {
		return nil, err
	}
	defer said.EndMarker(c, &err)
	var seen guard.Seen
	return call.Change(c, func(p *call.Plan) (*pb.SetSiteWordResponse, error) {
		old, err := p.SiteWord(in.GetSite())
		if err != nil {
			return nil, err
		}
		word, err := said.Word(p, old)
		if err != nil {
			return nil, err
		}
		if endpoints.MayTakeAway(old, word) {
			if err := guard.Site(p, &seen, in.GetSite(), in.GetConfirmLast(), word); err != nil {
				return nil, err
			}
		}
		if word != old {
			p.PutSiteWord(in.GetSite(), word)
			if err := everywhere(p); err != nil {
				return nil, err
			}
			p.Record("", "", in.GetSite(), message.WordText(old), message.WordText(word))
		}
		return &pb.SetSiteWordResponse{Site: &pb.Site{Site: in.GetSite(), Word: message.Word(word)}, Change: &pb.Change{}}, nil
	})
}

// everywhere says that the answers of all zones change. Name servers show a revision in
// all zones at once, so that those who wait ask about one.
func everywhere(p *call.Plan) error {
	zones, err := p.Zones("", 1)
	if len(zones) > 0 {
		p.Changed = zones[0]
	}
	return err
}

// ListCheckers shows the registered checkers and whether they live.
func (s *Service) ListCheckers(ctx context.Context, in *pb.ListCheckersRequest) (out *pb.ListCheckersResponse, err error) {
	c, err := s.Authorize(ctx, access.CheckerList, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	out = &pb.ListCheckersResponse{}
	err = c.Read(func(tx *store.Tx) error {
		out.Checkers, err = checkerMessages(c, tx)
		return err
	})
	return out, err
}

// checkerMessages is the registered checkers, by site, with their signs of life.
func checkerMessages(c *call.Call, tx *store.Tx) ([]*pb.Checker, error) {
	all, err := tx.Checkers()
	if err != nil {
		return nil, err
	}
	lives, err := tx.CheckerLives()
	if err != nil {
		return nil, err
	}
	out := make([]*pb.Checker, len(all))
	for i, k := range all {
		out[i] = &pb.Checker{Site: k.Site, Term: k.Term, RegisterTime: message.Time(k.RegisterTime)}
		if l := lives[k.Site]; l != nil {
			out[i].Alive, out[i].StartTime, out[i].Doubt, out[i].Targets = true, message.Time(l.StartTime), l.Doubt, l.Targets
		}
	}
	return out, nil
}

// RemoveChecker takes a checker out of the count.
func (s *Service) RemoveChecker(ctx context.Context, in *pb.RemoveCheckerRequest) (out *pb.RemoveCheckerResponse, err error) {
	c, err := s.Authorize(ctx, access.CheckerRemove, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	var seen guard.Seen
	return call.Change(c, func(p *call.Plan) (*pb.RemoveCheckerResponse, error) {
		all, err := p.Checkers()
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(all, func(k model.Checker) bool { return k.Site == in.GetSite() })
		if at < 0 {
			return nil, model.E(model.NotFound, "remove checker", in.GetSite()).In("site").Because("no checker of that site is registered").
				Hint("signpost checker list shows those that are")
		}
		if err := guard.Checker(p, &seen, in.GetSite(), in.GetConfirmLast()); err != nil {
			return nil, err
		}
		p.RemoveChecker(in.GetSite())
		if err := everywhere(p); err != nil {
			return nil, err
		}
		p.Record("", "", in.GetSite(), "registered since "+all[at].RegisterTime.UTC().Format("2006-01-02T15:04:05Z"), "")
		return &pb.RemoveCheckerResponse{Change: &pb.Change{}}, nil
	})
}
