// Package endpoints answers one question: which endpoints does a host have, what is said
// of them, and how is it answered with them?
package endpoints

import (
	"context"
	"strconv"
	"strings"

	"signpost/controlapi/call"
	"signpost/controlapi/message"
	"signpost/internal/access"
	"signpost/internal/model"
	stand "signpost/internal/standing"
	"signpost/internal/store"
	"signpost/internal/zone"
	pb "signpost/proto/signpost/v1"
)

// Service is the service for endpoints, and for how a host is answered with them.
type Service struct {
	pb.UnimplementedEndpointServiceServer
	*call.Desk
}

// New makes the service.
func New(d *call.Desk) *Service { return &Service{Desk: d} }

// ListEndpoints shows the endpoints of a host and how they stand.
func (s *Service) ListEndpoints(ctx context.Context, in *pb.ListEndpointsRequest) (out *pb.ListEndpointsResponse, err error) {
	c, err := s.Authorize(ctx, access.EndpointRead, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	err = c.ReadHost(in.GetFqdn(), func(tx *store.Tx, z *model.Zone, h store.Named) error {
		all, _, _, err := Standing(tx, z, h)
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
	err = c.ReadHost(in.GetFqdn(), func(tx *store.Tx, z *model.Zone, h store.Named) error {
		if h.Data.Host.Endpoint(in.GetId()) == nil {
			return noEndpoint(h.Name, in.GetId())
		}
		all, _, _, err := Standing(tx, z, h)
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

// Standing is the endpoints of a host as they stand.
func Standing(tx *store.Tx, z *model.Zone, h store.Named) ([]*pb.Endpoint, zone.Choice, *zone.Said, error) {
	choice, said, err := stand.Choose(tx, z, h.Name, h.Data.Host)
	if err != nil {
		return nil, choice, nil, err
	}
	out := make([]*pb.Endpoint, len(h.Data.Host.Endpoints))
	for i := range out {
		s := &choice.Endpoints[i]
		out[i] = endpointMessage(h, &h.Data.Host.Endpoints[i])
		out[i].State, out[i].Why, out[i].Answered = message.State(s), message.Why(h.Data.Host, s), s.Answered && !h.Data.Withdrawn
		out[i].Word = message.Word(said.Endpoints[s.ID])
	}
	return out, choice, said, nil
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
		m.SecretCreateTime = message.Time(s.CreateTime)
	}
	return m
}

// describeEndpoint is an endpoint for people, as audit records show it; "" for none.
func describeEndpoint(e *model.Endpoint) string {
	if e == nil {
		return ""
	}
	words := []string{"addresses " + message.Addresses(e.Addresses)}
	if e.Site != "" {
		words = append(words, "site "+e.Site)
	}
	return strings.Join(append(words, "priority "+strconv.FormatUint(uint64(e.Priority), 10), "weight "+strconv.FormatUint(e.Share(), 10)), ", ")
}
