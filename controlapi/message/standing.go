package message

import (
	"slices"
	"strconv"
	"strings"

	"signpost/controlapi/facts"
	"signpost/internal/model"
	"signpost/internal/zone"
	pb "signpost/proto/signpost/v1"
)

// State is how an endpoint stands in one word of the API.
func State(s *zone.Standing) string {
	if s.PassedOver {
		return "passed over"
	}
	return s.State.String()
}

// Why says for people why an endpoint stands as it does. The first row that matches:
//
//	a word counts            whose it is and what it says
//	it has no addresses      that
//	the host has no check    that
//	nobody judges            that
//	anything else            how many checkers say what
func Why(h *model.Host, s *zone.Standing) string {
	switch {
	case s.Word != nil:
		on := map[zone.Level]string{zone.OnEndpoint: "it", zone.OnHost: "the host", zone.OnSite: "its site"}[s.Level]
		return WordText(s.Word) + " is said of " + on
	case s.State == zone.Bare:
		return "it has no addresses"
	case !h.Checked:
		return "there is no check"
	case s.Judges == 0:
		return "no checker judges"
	}
	text := "none of " + Checkers(s.Judges) + " says down"
	switch s.SayDown {
	case 0:
	case 1:
		text = "1 of " + Checkers(s.Judges) + " says down"
	default:
		text = strconv.Itoa(s.SayDown) + " of " + Checkers(s.Judges) + " say down"
	}
	if s.SaySuspect > 0 {
		text += ", " + strconv.Itoa(s.SaySuspect) + " suspect"
	}
	if s.PassedOver {
		text += "; another has taken over"
	}
	return text
}

// Checkers is a number of checkers, in words.
func Checkers(n int) string {
	if n == 1 {
		return "1 checker"
	}
	return strconv.Itoa(n) + " checkers"
}

// Votes is what checkers say of an endpoint, by site: those that judge, and those whose
// word no longer counts.
func Votes(h *model.Host, e *model.Endpoint, said *zone.Said) []*pb.Vote {
	judges := facts.Judging(h, said.Checkers)
	var out []*pb.Vote
	for _, v := range said.Votes {
		if v.Endpoint != e.ID {
			continue
		}
		out = append(out, &pb.Vote{
			Site: v.Site, Verdict: v.Verdict.String(), Reason: v.Reason.String(), Time: Time(v.Time),
			Counts: v.Generation == e.Generation && slices.ContainsFunc(judges, func(k model.Checker) bool { return k.Site == v.Site && k.Term == v.Term }),
		})
	}
	for _, k := range judges {
		if !slices.ContainsFunc(out, func(v *pb.Vote) bool { return v.Site == k.Site }) {
			out = append(out, &pb.Vote{Site: k.Site, Verdict: model.NoVerdict.String(), Counts: true})
		}
	}
	slices.SortFunc(out, func(a, b *pb.Vote) int { return strings.Compare(a.Site, b.Site) })
	return out
}
