package main

import (
	"encoding/json"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	pb "signpost/proto/signpost/v1"
)

// hasStory reports whether there is more to say of a host than its plain addresses.
func hasStory(h *pb.Health) bool {
	if h == nil {
		return false
	}
	if h.GetCheck() != nil || h.GetWord() != nil || h.GetPolicy().GetKind() != "all" {
		return true
	}
	for _, e := range h.GetEndpoints() {
		if e.GetEndpoint().GetId() != "main" || e.GetEndpoint().GetWord() != nil {
			return true
		}
	}
	return false
}

// printHealth shows what is answered of a host, and why: how its endpoints stand, who
// says what of them, and what operators say.
func (c *cli) printHealth(h *pb.Health) error {
	rows := [][]string{
		{"answers", orDash(strings.Join(h.GetAnswers(), " ")) + ", ttl " + span(h.GetTtl())},
		{"why", h.GetWhy()},
		{"policy", policyLine(h.GetPolicy())},
		{"check", checkLine(h)},
	}
	if h.GetWord() != nil {
		rows = append(rows, []string{"word", wordText(h.GetWord())})
	}
	if h.GetFreeze().GetOn() {
		rows = append(rows, []string{"freeze", freezeText(h.GetFreeze())})
	}
	for _, w := range h.GetWarnings() {
		rows = append(rows, []string{"warning", w})
	}
	if err := table(c.out, rows); err != nil {
		return err
	}
	var all []*pb.Endpoint
	said := [][]string{{"ENDPOINT", "WHO", "SAYS", "WHY", "SINCE"}}
	for _, e := range h.GetEndpoints() {
		all = append(all, e.GetEndpoint())
		said = append(said, saidOf(e)...)
	}
	c.say("\n")
	if err := table(c.out, c.titled(endpointRows(all))); err != nil || len(said) == 1 {
		return err
	}
	c.say("\n")
	return table(c.out, c.titled(said))
}

// saidOf is who says what of an endpoint.
func saidOf(e *pb.EndpointHealth) (rows [][]string) {
	id := e.GetEndpoint().GetId()
	for _, w := range []struct {
		on string
		w  *pb.Word
	}{{"", e.GetEndpoint().GetWord()}, {" of site " + e.GetEndpoint().GetSite(), e.GetSiteWord()}} {
		if w.w != nil {
			why := orDash(w.w.GetReason())
			if w.w.GetExpireTime() != nil {
				why += ", until " + when(w.w.GetExpireTime())
			}
			rows = append(rows, []string{id, w.w.GetBy(), w.w.GetSay() + w.on, why, when(w.w.GetTime())})
		}
	}
	for _, v := range e.GetVotes() {
		says := v.GetVerdict()
		if !v.GetCounts() {
			says += ", which does not count"
		}
		rows = append(rows, []string{id, "checker " + v.GetSite(), says, orDash(v.GetReason()), when(v.GetTime())})
	}
	if e.GetOverTime() != nil {
		rows = append(rows, []string{id, "fail-back", "passed over", "another has taken over, and fail-back is manual", when(e.GetOverTime())})
	}
	return rows
}

func policyLine(p *pb.Policy) string {
	text := p.GetKind()
	if p.GetFailback() == "manual" {
		text += ", failback manual"
	}
	if p.GetMinHealthy() > 1 {
		text += ", min healthy " + decimal(p.GetMinHealthy())
	}
	if len(p.GetFallback()) > 0 {
		text += ", fallback " + strings.Join(p.GetFallback(), " ")
	}
	return text
}

func checkLine(h *pb.Health) string {
	if h.GetCheck() == nil {
		return "none"
	}
	var words []string
	for _, row := range checkRows(h.GetCheck()) {
		words = append(words, row[0]+" "+row[1])
	}
	return strings.TrimPrefix(strings.Join(words, ", "), "kind ")
}

// statusWithHealth is both in one JSON object.
func (c *cli) statusWithHealth(st *pb.ServerStatus, h *pb.Health) error {
	whole := map[string]json.RawMessage{}
	opts := protojson.MarshalOptions{EmitDefaultValues: true}
	raw, err := opts.Marshal(st)
	if err == nil {
		err = json.Unmarshal(raw, &whole)
	}
	if err != nil {
		return err
	}
	if whole["health"], err = opts.Marshal(h); err != nil {
		return err
	}
	out := json.NewEncoder(c.out)
	out.SetIndent("", "  ")
	return out.Encode(whole)
}
