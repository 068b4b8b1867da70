package controltest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc"

	pb "signpost/proto/signpost/v1"
)

func (s *Server) Export(zone string) string {
	s.T.Helper()
	stream, err := s.Zones.ExportZone(s.Admin(), &pb.ExportZoneRequest{Name: zone})
	if err != nil {
		s.T.Fatal(err)
	}
	var text []byte
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return string(text)
		}
		if err != nil {
			s.T.Fatal(err)
		}
		text = append(text, piece.Data...)
	}
}

// Load imports a zone file in pieces.
func (s *Server) Load(ctx context.Context, in *pb.ImportZoneRequest, text string) (*pb.ImportZoneResponse, error) {
	s.T.Helper()
	stream, err := s.Zones.ImportZone(ctx)
	if err != nil {
		s.T.Fatal(err)
	}
	if err := stream.Send(in); err != nil {
		s.T.Fatal(err)
	}
	for len(text) > 0 {
		n := min(len(text), 100_000)
		if err := stream.Send(&pb.ImportZoneRequest{Data: []byte(text[:n])}); err != nil {
			break
		}
		text = text[n:]
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	return LastOf(stream, nil)
}

// LastOf is the last message of an import's answer, its result; each, if not nil, is
// given those before it.
func LastOf(stream grpc.BidiStreamingClient[pb.ImportZoneRequest, pb.ImportZoneResponse], each func(*pb.ImportZoneResponse)) (out *pb.ImportZoneResponse, err error) {
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, err
		case m.Change != nil:
			out = m
		case each != nil:
			each(m)
		}
	}
}

const ZoneFile = `$ORIGIN vo.example.org.
$TTL 300
@       SOA  ns1 admin 2026112301 7200 900 1209600 60
@       NS   ns1
@       NS   ns.example.net.
@       MX   10 mail
ns1     A    192.0.2.53
mail    A    192.0.2.25
*.wild  TXT  "x"
sub     NS   ns.sub
ns.sub  A    192.0.2.54
_sip._tcp SRV 0 0 5060 mail
`

// Numbered is a zone file with n names that have the address.
func Numbered(n int, address string) string {
	var b strings.Builder
	b.WriteString("$TTL 60\n@ SOA ns.example.net. root.example.net. 1 7200 900 1209600 30\n@ NS ns.example.net.\n")
	for i := range n {
		fmt.Fprintf(&b, "n%d A %s\n", i, address)
	}
	return b.String()
}

// File is a zone file with n names beside its frame.
func File(n int) string {
	var b strings.Builder
	b.WriteString("@ 3600 SOA ns.example.net. root.example.net. 1 7200 900 1209600 30\n@ NS ns.example.net.\n")
	for i := range n {
		fmt.Fprintf(&b, "h%d A 192.0.2.1\n", i)
	}
	return b.String()
}
