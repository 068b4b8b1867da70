package controlapi

import (
	"context"
	"strconv"
	"strings"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/internal/access"
	"signpost/internal/model"
	stand "signpost/internal/standing"
	"signpost/internal/store"
	"signpost/internal/zone"
	pb "signpost/proto/signpost/v1"
)

// ListEndpoints shows the endpoints of a host and how they stand.
func (s *Service) ListEndpoints(ctx context.Context, in *pb.ListEndpointsRequest) (out *pb.ListEndpointsResponse, err error) {
	c, err := s.Authorize(ctx, access.EndpointRead, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	err = c.Read(func(tx *store.Tx) error {
		z, h, err := facts.FindHost(tx, name, s.Now())
		if err != nil {
			return err
		}
		all, _, _, err := endpointsNow(tx, z, h)
		out = &pb.ListEndpointsResponse{Endpoints: all}
		return err
	})
	return out, err
}

// GetEndpoint shows one of them.
func (s *Service) GetEndpoint(ctx context.Context, in *pb.GetEndpointRequest) (out *pb.Endpoint, err error) {
	c, err := s.Authorize(ctx, access.EndpointRead, call.EndpointAt(in.GetFqdn(), in.GetId()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	err = c.Read(func(tx *store.Tx) error {
		z, h, err := facts.FindHost(tx, name, s.Now())
		if err != nil {
			return err
		}
		if h.Data.Host.Endpoint(in.GetId()) == nil {
			return noEndpoint(name, in.GetId())
		}
		all, _, _, err := endpointsNow(tx, z, h)
		for _, e := range all {
			if e.Id == in.GetId() {
				out = e
			}
		}
		return err
	})
	return out, err
}

func noEndpoint(host model.Name, id string) error {
	return model.E(model.NotFound, "find endpoint", host.Text()+" "+id).In("id").Because("the host has no such endpoint").
		Hint("signpost endpoint list " + host.Text() + " shows those there are")
}

// endpointsNow is the endpoints of a host as they stand.
func endpointsNow(tx *store.Tx, z *model.Zone, h store.Named) ([]*pb.Endpoint, zone.Choice, *zone.Said, error) {
	choice, said, err := stand.Choose(tx, z, h.Name, h.Data.Host)
	if err != nil {
		return nil, choice, nil, err
	}
	out := make([]*pb.Endpoint, len(h.Data.Host.Endpoints))
	for i := range out {
		s := &choice.Endpoints[i]
		out[i] = endpointMessage(h, &h.Data.Host.Endpoints[i])
		out[i].State, out[i].Why, out[i].Answered = stateOf(s), whyOf(h.Data.Host, s), s.Answered && !h.Data.Withdrawn
		out[i].Word = wordMessage(said.Endpoints[s.ID])
	}
	return out, choice, said, nil
}

// stateOf is how an endpoint stands in one word of the API.
func stateOf(s *zone.Standing) string {
	if s.PassedOver {
		return "passed over"
	}
	return s.State.String()
}

// whyOf says for people why an endpoint stands as it does. The first row that matches:
//
//	a word counts            whose it is and what it says
//	it has no addresses      that
//	the host has no check    that
//	nobody judges            that
//	anything else            how many checkers say what
func whyOf(h *model.Host, s *zone.Standing) string {
	switch {
	case s.Word != nil:
		on := map[zone.Level]string{zone.OnEndpoint: "it", zone.OnHost: "the host", zone.OnSite: "its site"}[s.Level]
		return wordText(s.Word) + " is said of " + on
	case s.State == zone.Bare:
		return "it has no addresses"
	case !h.Checked:
		return "there is no check"
	case s.Judges == 0:
		return "no checker judges"
	}
	text := "none of " + checkers(s.Judges) + " says down"
	switch s.SayDown {
	case 0:
	case 1:
		text = "1 of " + checkers(s.Judges) + " says down"
	default:
		text = strconv.Itoa(s.SayDown) + " of " + checkers(s.Judges) + " say down"
	}
	if s.SaySuspect > 0 {
		text += ", " + strconv.Itoa(s.SaySuspect) + " suspect"
	}
	if s.PassedOver {
		text += "; another has taken over"
	}
	return text
}

func checkers(n int) string {
	if n == 1 {
		return "1 checker"
	}
	return strconv.Itoa(n) + " checkers"
}

// endpointMessage is an endpoint as it is stored.
func endpointMessage(h store.Named, e *model.Endpoint) *pb.Endpoint {
	m := &pb.Endpoint{
		Fqdn: h.Name.Text(), Id: e.ID, Site: e.Site, Priority: e.Priority, Weight: uint32(e.Share()), Generation: e.Generation,
		Etag: call.Etag(h.Data.ModRevision, h.Host.ModRevision),
	}
	for _, a := range e.Addresses {
		m.Addresses = append(m.Addresses, a.String())
	}
	if s := h.Host.Secret(e.ID); s != nil {
		m.SecretCreateTime = timeMessage(s.CreateTime)
	}
	return m
}

// describeEndpoint is an endpoint for people, as audit records show it; "" for none.
func describeEndpoint(e *model.Endpoint) string {
	if e == nil {
		return ""
	}
	words := []string{"addresses " + addressText(e.Addresses)}
	if e.Site != "" {
		words = append(words, "site "+e.Site)
	}
	return strings.Join(append(words, "priority "+strconv.FormatUint(uint64(e.Priority), 10), "weight "+strconv.FormatUint(e.Share(), 10)), ", ")
}
