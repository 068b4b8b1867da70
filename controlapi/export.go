package controlapi

import (
	"bufio"

	"google.golang.org/grpc"

	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// Zones are read in pages of readPage names and sent in pieces of pieceSize octets.
const (
	readPage  = 5000
	pieceSize = 32 << 10
)

// ExportZone sends a zone as it is served, as a zone file.
func (s *Service) ExportZone(in *pb.ExportZoneRequest, stream grpc.ServerStreamingServer[pb.ExportZoneResponse]) (err error) {
	c, err := s.authorize(stream.Context(), access.ZoneExport, at(in.GetName()), in)
	if err != nil {
		return err
	}
	defer c.done(&err)
	name, err := ownerName("name", in.GetName())
	if err != nil {
		return err
	}
	var z *model.Zone
	var serial uint32
	var names map[model.Name]*model.NameData
	err = c.read(func(tx *store.Tx) error {
		if z, err = tx.Zone(name); err != nil {
			return err
		}
		rev, err := tx.ZoneRevision(name)
		if err != nil {
			return err
		}
		serial = z.Serial(rev)
		names, err = allNames(tx, z)
		return err
	})
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(pieces{stream}, pieceSize)
	if err := model.WriteZoneFile(w, z, serial, names); err != nil {
		return err
	}
	return w.Flush()
}

// allNames is every name of the zone's generation, at one revision.
func allNames(tx *store.Tx, z *model.Zone) (map[model.Name]*model.NameData, error) {
	names := map[model.Name]*model.NameData{}
	for after := model.Name(""); ; {
		page, err := tx.Names(z, after, readPage)
		if err != nil {
			return nil, err
		}
		for _, n := range page {
			names[n.Name] = n.Data
		}
		if len(page) < readPage {
			return names, nil
		}
		after = page[len(page)-1].Name
	}
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
