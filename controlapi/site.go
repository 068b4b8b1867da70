package controlapi

import (
	"context"
	"slices"
	"strings"

	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// ListSites shows the sites that have a checker or a word.
func (s *Service) ListSites(ctx context.Context, in *pb.ListSitesRequest) (out *pb.ListSitesResponse, err error) {
	c, err := s.authorize(ctx, access.SiteList, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.done(&err)
	out = &pb.ListSitesResponse{}
	err = c.read(func(tx *store.Tx) error {
		words, err := tx.SiteWords()
		if err != nil {
			return err
		}
		checkers, err := c.checkers(tx)
		if err != nil {
			return err
		}
		for _, k := range checkers {
			out.Sites = append(out.Sites, &pb.Site{Site: k.Site, Word: wordMessage(words[k.Site]), Checker: k})
			delete(words, k.Site)
		}
		for site, w := range words {
			out.Sites = append(out.Sites, &pb.Site{Site: site, Word: wordMessage(w)})
		}
		slices.SortFunc(out.Sites, func(a, b *pb.Site) int { return strings.Compare(a.Site, b.Site) })
		return nil
	})
	return out, err
}

// SetSiteWord says something of a site, or takes it back.
func (s *Service) SetSiteWord(ctx context.Context, in *pb.SetSiteWordRequest) (out *pb.SetSiteWordResponse, err error) {
	c, err := s.authorize(ctx, access.SiteWord, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.done(&err)
	if err := model.CheckSite("site", in.GetSite()); err != nil {
		return nil, err
	}
	said, err := c.saying(in, in.GetReason())
	if err != nil {
		return nil, err
	}
	defer c.endMarker(&err)
	return change(c, func(p *plan) (*pb.SetSiteWordResponse, error) {
		old, err := p.SiteWord(in.GetSite())
		if err != nil {
			return nil, err
		}
		word, err := p.word(said, old)
		if err != nil {
			return nil, err
		}
		if mayTakeAway(old, word) {
			if err := p.guardSite(in.GetSite(), in.GetConfirmLast(), word); err != nil {
				return nil, err
			}
		}
		if word != old {
			p.PutSiteWord(in.GetSite(), word)
			if err := p.everywhere(); err != nil {
				return nil, err
			}
			p.record("", "", in.GetSite(), wordText(old), wordText(word))
		}
		return &pb.SetSiteWordResponse{Site: &pb.Site{Site: in.GetSite(), Word: wordMessage(word)}, Change: &pb.Change{}}, nil
	})
}

// everywhere says that the answers of all zones change. Name servers show a revision in
// all zones at once, so that those who wait ask about one.
func (p *plan) everywhere() error {
	zones, err := p.Zones("", 1)
	if len(zones) > 0 {
		p.zone = zones[0]
	}
	return err
}

// ListCheckers shows the registered checkers and whether they live.
func (s *Service) ListCheckers(ctx context.Context, in *pb.ListCheckersRequest) (out *pb.ListCheckersResponse, err error) {
	c, err := s.authorize(ctx, access.CheckerList, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.done(&err)
	out = &pb.ListCheckersResponse{}
	err = c.read(func(tx *store.Tx) error {
		out.Checkers, err = c.checkers(tx)
		return err
	})
	return out, err
}

// checkers is the registered checkers, by site, with their signs of life.
func (c *call) checkers(tx *store.Tx) ([]*pb.Checker, error) {
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
		out[i] = &pb.Checker{Site: k.Site, Term: k.Term, RegisterTime: timeMessage(k.RegisterTime)}
		if l := lives[k.Site]; l != nil {
			out[i].Alive, out[i].StartTime, out[i].Doubt, out[i].Targets = true, timeMessage(l.StartTime), l.Doubt, l.Targets
		}
	}
	return out, nil
}

// RemoveChecker takes a checker out of the count.
func (s *Service) RemoveChecker(ctx context.Context, in *pb.RemoveCheckerRequest) (out *pb.RemoveCheckerResponse, err error) {
	c, err := s.authorize(ctx, access.CheckerRemove, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.done(&err)
	return change(c, func(p *plan) (*pb.RemoveCheckerResponse, error) {
		all, err := p.Checkers()
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(all, func(k model.Checker) bool { return k.Site == in.GetSite() })
		if at < 0 {
			return nil, model.E(model.NotFound, "remove checker", in.GetSite()).In("site").Because("no checker of that site is registered").
				Hint("signpost checker list shows those that are")
		}
		if err := p.guardChecker(in.GetSite(), in.GetConfirmLast()); err != nil {
			return nil, err
		}
		p.RemoveChecker(in.GetSite())
		if err := p.everywhere(); err != nil {
			return nil, err
		}
		p.record("", "", in.GetSite(), "registered since "+all[at].RegisterTime.UTC().Format("2006-01-02T15:04:05Z"), "")
		return &pb.RemoveCheckerResponse{Change: &pb.Change{}}, nil
	})
}
