package controlapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"time"

	"github.com/miekg/dns"
	"google.golang.org/grpc"

	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

const (
	maxImport     = 1 << 20 // octets of a zone file
	importTries   = 3
	cleanupWithin = 10 * time.Second
)

// ImportZone makes a zone, or replaces what is in it, from a zone file.
func (s *Service) ImportZone(stream grpc.ClientStreamingServer[pb.ImportZoneRequest, pb.ImportZoneResponse]) (err error) {
	in := firstPiece(stream)
	c, err := s.authorize(stream.Context(), access.ZoneImport, at(in.GetName()), in)
	if err != nil {
		return err
	}
	defer c.done(&err)
	if err := allPieces(stream, in); err != nil {
		return err
	}
	out, err := s.importZone(c, in)
	if err != nil {
		return err
	}
	return stream.SendAndClose(out)
}

// firstPiece is the piece of the stream that says what all of it is about; an empty
// one when there is none.
func firstPiece(stream grpc.ClientStreamingServer[pb.ImportZoneRequest, pb.ImportZoneResponse]) *pb.ImportZoneRequest {
	in, err := stream.Recv()
	if err != nil {
		return &pb.ImportZoneRequest{}
	}
	return in
}

// allPieces adds the data of the pieces that follow to the first.
func allPieces(stream grpc.ClientStreamingServer[pb.ImportZoneRequest, pb.ImportZoneResponse], in *pb.ImportZoneRequest) error {
	for {
		if len(in.Data) > maxImport {
			return model.E(model.Invalid, "import zone", in.GetName()).In("data").
				Because("the zone file is larger than 1 MiB, which is not supported yet").Hint("import a smaller one")
		}
		more, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return model.E(model.Unavailable, "receive zone file", in.GetName()).From(err)
		}
		if n := more.GetName(); n != "" && n != in.GetName() {
			return model.E(model.Invalid, "import zone", in.GetName()).In("name").Because("a later piece names another zone")
		}
		in.Data = append(in.Data, more.GetData()...)
	}
}

// errStale says that somebody changed the zone while its next generation was
// loaded.
var errStale = model.E(model.Aborted, "import zone", "").Because("others keep changing the zone").Hint("try again")

func (s *Service) importZone(c *call, in *pb.ImportZoneRequest) (*pb.ImportZoneResponse, error) {
	name, err := zoneName(in.GetName())
	if err != nil {
		return nil, err
	}
	if in.GetReplaceHosts() && !in.GetReplace() {
		return nil, model.E(model.Invalid, "import zone", name.Text()).In("replace_hosts").Because("it goes only with replace")
	}
	file, err := model.ReadZoneFile(bytes.NewReader(in.GetData()), name, model.ReadOptions{})
	if err != nil {
		return nil, fmt.Errorf("import zone %s: %w", name.Text(), err)
	}
	if out, done, err := repeated[*pb.ImportZoneResponse](c); done || err != nil {
		return out, err
	}
	for range importTries {
		var out *pb.ImportZoneResponse
		out, err = s.importOnce(c, in, file)
		if !errors.Is(err, errStale) {
			return out, err
		}
	}
	return nil, err
}

// importOnce reads the zone, loads its next generation beside the one in use and
// switches, if nobody changed the zone meanwhile.
func (s *Service) importOnce(c *call, in *pb.ImportZoneRequest, file *model.ZoneFile) (*pb.ImportZoneResponse, error) {
	var was state
	if err := c.read(func(tx *store.Tx) (err error) {
		was, err = readState(&plan{Tx: tx, call: c}, file.Zone.Name)
		return err
	}); err != nil {
		return nil, err
	}
	if held := was.held(); !in.GetReplace() && held != "" {
		return nil, model.E(model.Precondition, "import zone", file.Zone.Name.Text()).In("replace").
			Because("the zone holds names, " + held.Text() + " among them").Hint("import with replace to replace what no host owns")
	}
	next := merge(was, file, in.GetReplaceHosts(), s.now())
	if in.GetDryRun() || !next.changes() {
		next.out.Change = &pb.Change{Revision: was.revision}
		return next.out, nil
	}
	err := s.store.LoadGeneration(c.ctx, next.zone.Name, next.zone.Generation, maps.All(next.names))
	if err == nil {
		var out *pb.ImportZoneResponse
		out, err = change(c, func(p *plan) (*pb.ImportZoneResponse, error) { return p.switchTo(was, next, file) })
		if err == nil {
			return out, nil
		}
	}
	if model.KindOf(err) != model.Unavailable { // else the switch may have been made all the same
		s.discard(c, next)
	}
	return nil, err
}

// discard takes away a generation that will not be used.
func (s *Service) discard(c *call, next *merged) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), cleanupWithin)
	defer cancel()
	err := s.store.LoadGeneration(ctx, next.zone.Name, next.zone.Generation, func(yield func(model.Name, *model.NameData) bool) {
		for name := range next.names {
			if !yield(name, nil) {
				return
			}
		}
	})
	if err != nil {
		s.log.WarnContext(c.ctx, "names of an unused generation stay behind", "zone", next.zone.Name.Text(), "error", err)
	}
}

// switchTo puts the zone with its next generation. Errors: errStale when the zone
// is not as it was read.
func (p *plan) switchTo(was state, next *merged, file *model.ZoneFile) (*pb.ImportZoneResponse, error) {
	z := next.zone
	addrs := func(n model.Name) ([]netip.Addr, error) { return next.addresses(n), nil }
	if was.zone == nil {
		generation := z.Generation
		lower, err := p.startZone(&z, addrs)
		if err != nil {
			return nil, err
		}
		if z.Generation = generation; !sameNames(lower, was.lower) {
			return nil, errStale
		}
	} else {
		now, err := p.Zone(z.Name)
		if model.KindOf(err) == model.NotFound && err != nil || err == nil && now.ModRevision != was.zone.ModRevision {
			return nil, errStale
		}
		if err != nil {
			return nil, err
		}
		if err := p.delegate(&z, addrs); err != nil {
			return nil, err
		}
	}
	rev, err := p.ZoneRevision(z.Name)
	if err != nil {
		return nil, err
	}
	if rev != was.zoneRevision {
		return nil, errStale
	}
	current, err := p.Revision()
	if err != nil {
		return nil, err
	}
	z.SerialBase = newBase(was, file.Serial, current)
	p.zone = &z
	p.PutZone(&z)
	if out := next.out; out.Removed > 0 || out.HostsRemoved > 0 {
		p.Accept(z.Name) // it was told to replace
	}
	p.record(z.Name, "", next.summary(), "", "")
	next.out.Change = &pb.Change{}
	return next.out, nil
}

// newBase is a serial base with which the serial at any revision after current is
// greater, by RFC 1982, than that of the file and than the one served until now:
// the least that the revision of the switch can be is current + 1, and each
// revision that it is later makes the serial one greater, for which there is room
// for 2^31 of them. The base stays as it is when that is enough already. Where no
// number is greater than both, what is served counts.
func newBase(was state, fileSerial uint32, current int64) uint32 {
	base, least := uint32(0), fileSerial
	if was.zone != nil {
		served := was.zone.Serial(was.zoneRevision)
		base = was.zone.SerialBase
		if int32(fileSerial-served) < 0 {
			least = served
		}
	}
	if next := base + uint32(current+1); int32(next-least) > 0 {
		return base
	}
	return least + 1 - uint32(current+1)
}

// addresses is what the zone will say of a name's addresses.
func (m *merged) addresses(name model.Name) []netip.Addr {
	if name == m.zone.Name {
		return addressesIn(m.zone.Apex)
	}
	if data := m.names[name]; data != nil {
		return addressesIn(data.Sets(m.zone.WithDefaults().TTL))
	}
	return nil
}

func hasType(data *model.NameData, types ...uint16) bool {
	for _, t := range types {
		if _, ok := model.FindRRset(data.RRsets, t); ok {
			return true
		}
	}
	return false
}

func isHiding(data *model.NameData) bool { return hasType(data, dns.TypeNS, dns.TypeDNAME) }
