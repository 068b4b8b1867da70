package controltest

import (
	"context"

	pb "signpost/proto/signpost/v1"
)

// Open is a zone in which everybody registers and egi/zoe decides.
func (s *Server) Open(zone string) {
	s.T.Helper()
	s.Zone(zone)
	s.Policy(zone, &pb.UpdateZonePolicyRequest{Register: new("everyone"), Admins: &pb.Words{Values: []string{"egi/zoe"}}})
}

func (s *Server) SetBy(who context.Context, fqdn, rrtype string, rdata ...string) error {
	s.T.Helper()
	_, err := s.Records.SetRecordSet(who, &pb.SetRecordSetRequest{Fqdn: fqdn, Type: rrtype, Rdata: rdata})
	return err
}

// HandOver transfers a host from one person to another and answers its new secret.
func (s *Server) HandOver(fqdn string, from context.Context, to string) string {
	s.T.Helper()
	if _, err := s.Hosts.TransferHost(from, &pb.TransferHostRequest{Fqdn: fqdn, To: to}); err != nil {
		s.T.Fatal(err)
	}
	out, err := s.Hosts.AcceptHost(Person(to), &pb.AcceptHostRequest{Fqdn: fqdn})
	if err != nil {
		s.T.Fatal(err)
	}
	return out.Secret
}

func (s *Server) Shown(fqdn string) *pb.Host {
	s.T.Helper()
	h, err := s.Hosts.GetHost(s.Admin(), &pb.GetHostRequest{Fqdn: fqdn})
	if err != nil {
		s.T.Fatal(err)
	}
	return h
}

func (s *Server) SetAddress(fqdn, addr string) int64 {
	s.T.Helper()
	out, err := s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: fqdn, Addresses: []string{addr}})
	if err != nil {
		s.T.Fatal(err)
	}
	return out.GetChange().GetRevision()
}
