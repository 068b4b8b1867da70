package zonefile

import (
	"bufio"
	"iter"

	"google.golang.org/grpc"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// pieceSize is how many octets of a zone file are sent at once.
const pieceSize = 32 << 10

// ExportZone sends a zone as it is served, as a zone file, all of one revision.
func (s *Service) ExportZone(in *pb.ExportZoneRequest, stream grpc.ServerStreamingServer[pb.ExportZoneResponse]) (err error) {
	c, err := s.Authorize(stream.Context(), access.ZoneExport, call.At(in.GetName()), in)
	if err != nil {
		return err
	}
	defer c.Done(&err)
	name, err := facts.ParseName("name", in.GetName())
	if err != nil {
		return err
	}
	look, err := c.Look()
	if err != nil {
		return err
	}
	z, err := look.Zone(name)
	if err != nil {
		return err
	}
	rev, err := look.ZoneRevision(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(pieces{stream}, pieceSize)
	if err := model.WriteZoneFile(w, z, z.Serial(rev), servedNames(look, z, "")); err != nil {
		return err
	}
	return w.Flush()
}

// servedNames is the names of a zone at and below one, or all, as they are answered, in
// the order of their keys.
func servedNames(look *store.Tx, z *model.Zone, at model.Name) iter.Seq2[model.Owner, error] {
	stored := func(yield func(model.Owner, error) bool) {
		for n, err := range look.EachName(z, at) {
			if !yield(model.Owner{Name: n.Name, Data: n.Data}, err) {
				return
			}
		}
	}
	return model.Served(stored, z.WithDefaults().TTL, store.OrderNames)
}

// pieces sends what is written to it.
type pieces struct {
	stream grpc.ServerStreamingServer[pb.ExportZoneResponse]
}

func (p pieces) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(len(rest), pieceSize)
		if err := p.stream.Send(&pb.ExportZoneResponse{Data: append([]byte(nil), rest[:n]...)}); err != nil {
			return 0, model.E(model.Unavailable, "send zone file", "").From(err)
		}
		rest = rest[n:]
	}
	return len(b), nil
}
