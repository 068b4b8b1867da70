package controltest

import (
	"errors"
	"strings"
	"testing"

	pb "signpost/proto/signpost/v1"
)

const App = "app.vo.example.org"

// Endpoint makes an endpoint for trials on a site of its name.
func (s *Server) Endpoint(fqdn, id string, addrs ...string) *pb.Endpoint {
	s.T.Helper()
	out, err := s.Points.SetEndpoint(s.Admin(), &pb.SetEndpointRequest{Fqdn: fqdn, Id: id, Site: new(id), Addresses: addrs})
	if err != nil {
		s.T.Fatal(err)
	}
	return out.Endpoint
}

func (s *Server) EndpointSecret(fqdn, id string) string {
	s.T.Helper()
	out, err := s.Points.RotateEndpointSecret(s.Admin(), &pb.RotateEndpointSecretRequest{Fqdn: fqdn, Id: id})
	if err != nil {
		s.T.Fatal(err)
	}
	return out.Secret
}

// Stands is the endpoints of a host in one line: "a up*, b drained", with an asterisk at
// those that are answered.
func (s *Server) Stands(fqdn string) string {
	s.T.Helper()
	out, err := s.Points.ListEndpoints(s.Admin(), &pb.ListEndpointsRequest{Fqdn: fqdn})
	if err != nil {
		s.T.Fatal(err)
	}
	var words []string
	for _, e := range out.Endpoints {
		word := e.Id + " " + e.State
		if e.Answered {
			word += "*"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func (s *Server) WantStands(fqdn, want string) {
	s.T.Helper()
	if got := s.Stands(fqdn); got != want {
		s.T.Errorf("%s: %s, want %s", fqdn, got, want)
	}
}

// Two is a zone with a host that has the endpoints a and b.
func Two(t *testing.T) *Server {
	t.Helper()
	s := Start(t)
	s.Zone("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Register: new("everyone"), Admins: &pb.Words{Values: []string{"egi/zoe"}}})
	s.HostOf(Person("egi/alice"), "app.vo.example.org")
	s.Endpoint("app.vo.example.org", "a", "192.0.2.1", "2001:db8::1")
	s.Endpoint("app.vo.example.org", "b", "192.0.2.2")
	return s
}

// Say says something of an endpoint of a host.
func (s *Server) Say(id, say string, confirm ...bool) error {
	_, err := s.Points.SetEndpointWord(s.Admin(), &pb.SetEndpointWordRequest{Fqdn: App, Id: id, Say: say, ConfirmLast: len(confirm) > 0})
	return err
}

func (s *Server) SayOfHost(say string, confirm ...bool) error {
	_, err := s.Points.SetHostWord(s.Admin(), &pb.SetHostWordRequest{Fqdn: App, Say: say, ConfirmLast: len(confirm) > 0})
	return err
}

func (s *Server) SayOfSite(site, say string, confirm ...bool) error {
	_, err := s.Health.SetSiteWord(s.Admin(), &pb.SetSiteWordRequest{Site: site, Say: say, ConfirmLast: len(confirm) > 0})
	return err
}

func (s *Server) Done(errs ...error) {
	s.T.Helper()
	if err := errors.Join(errs...); err != nil {
		s.T.Fatal(err)
	}
}
