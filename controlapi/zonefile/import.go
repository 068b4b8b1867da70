// Package zonefile answers one question: how does a zone become a file, and a file a zone,
// while both are in use?
package zonefile

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"signpost/controlapi/call"
	"signpost/controlapi/delegation"
	"signpost/controlapi/zones"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

const (
	importTries = 3
	// inPlace is how many names a merge changes in one transaction; more go by a
	// generation.
	inPlace = 60
)

// Service is the service for zone files, of those for zones.
type Service struct {
	*call.Desk
	size int           // octets of a file
	idle time.Duration // how long the next piece of one may take
	tell time.Duration // between two reports of how far an import is
}

// New makes the service: size is the most octets of a file, 0: MaxImport; idle is
// how long the next piece of one may take, 0: 30 s; tell is the time between two reports of
// how far an import is, 0: 1 s.
func New(d *call.Desk, size int, idle, tell time.Duration) *Service {
	return &Service{Desk: d, size: cmp.Or(size, MaxImport), idle: cmp.Or(idle, importIdle), tell: cmp.Or(tell, reportEvery)}
}

// ImportZone makes a zone, replaces what is in it or adds to it, from a zone file.
func (s *Service) ImportZone(stream grpc.BidiStreamingServer[pb.ImportZoneRequest, pb.ImportZoneResponse]) (err error) {
	from := s.receive(stream)
	in, err := from.first()
	action := access.ZoneImport
	if in.GetReplaceHosts() {
		action = access.ZoneReplace
	}
	c, authErr := s.Authorize(stream.Context(), action, call.At(in.GetName()), in)
	if authErr != nil {
		return authErr
	}
	defer c.Done(&err)
	if err != nil {
		return err
	}
	to := answerTo(stream, s.tell)
	defer to.end()
	out, err := s.importZone(c, in, from, to)
	if err != nil {
		return err
	}
	return to.result(out)
}

// errStale says that somebody changed the zone while it was being imported.
var errStale = model.E(model.Aborted, "import zone", "").Because("others keep changing the zone").Hint("try again")

func (s *Service) importZone(c *call.Call, in *pb.ImportZoneRequest, from *upload, to *answer) (*pb.ImportZoneResponse, error) {
	name, err := zones.ParseName(in.GetName())
	if err != nil {
		return nil, err
	}
	if err := importOptions(in, name); err != nil {
		return nil, err
	}
	if !in.GetDryRun() { // better told before the file than after it
		if err := c.Read(func(tx *store.Tx) error { return tx.Unclaimed(name) }); err != nil {
			return nil, err
		}
	}
	to.phase("receiving", 0)
	file, err := model.ReadZoneFile(from, name, model.ReadOptions{Order: store.OrderNames, Seen: to.step})
	if from.err != nil {
		return nil, from.err
	}
	if err != nil {
		return nil, fmt.Errorf("import zone %s: %w", name.Text(), err)
	}
	in.Data = from.sum() // the request as it is told from others with the same id
	if out, done, err := call.Repeated[*pb.ImportZoneResponse](c); done || err != nil {
		return out, err
	}
	for try := 1; ; try++ {
		out, err := s.importOnce(c, in, file, to, try)
		if !errors.Is(err, errStale) {
			return out, err
		}
	}
}

func importOptions(in *pb.ImportZoneRequest, name model.Name) error {
	bad := func(field, why string) error {
		return model.E(model.Invalid, "import zone", name.Text()).In(field).Because(why)
	}
	switch {
	case in.GetReplaceHosts() && !in.GetReplace():
		return bad("replace_hosts", "it goes only with replace")
	case in.GetMerge() && in.GetReplace():
		return bad("merge", "it does not go with replace: one removes nothing, the other what the file does not have")
	case in.GetDifferences() && !in.GetDryRun():
		return bad("differences", "it goes only with dry_run")
	}
	return nil
}

// importOnce looks what is to be done and does it: nothing, a few names in place, or
// a generation. Errors: errStale when somebody changed the zone; then it is to be
// done again, and the last try does not fail with it.
func (s *Service) importOnce(c *call.Call, in *pb.ImportZoneRequest, file *model.ZoneFile, to *answer, try int) (*pb.ImportZoneResponse, error) {
	was, err := readState(c, file.Zone.Name)
	if err != nil {
		return nil, err
	}
	j := newJoin(in, file, was)
	if err := j.admits(was); err != nil {
		return nil, err
	}
	if in.GetDifferences() {
		j.differ = to.differ
	}
	to.phase("comparing", int64(file.Len()))
	if err := j.compare(was, to.step); err != nil {
		return nil, err
	}
	if in.GetDryRun() || !j.changes() {
		return j.result(was, &pb.Change{Revision: was.revision})
	}
	if in.GetMerge() && was.zone != nil && len(j.few) <= inPlace && try < importTries {
		return call.Change(c, func(p *call.Plan) (*pb.ImportZoneResponse, error) { return mergeInPlace(p, was, j) })
	}
	return s.importGeneration(c, j, was, to)
}

// importGeneration loads the zone's next generation beside the one in use, under a
// claim, and switches. What others change meanwhile is copied after them; when that
// has not been fast enough twice, the zone is closed to them.
func (s *Service) importGeneration(c *call.Call, j *join, was state, to *answer) (out *pb.ImportZoneResponse, err error) {
	claim, err := s.Store.ClaimImport(c.Ctx, j.name(), c.Who.String(), s.Now())
	if err != nil {
		return nil, err
	}
	mine := *c
	mine.Ctx = claim.Context()
	to.claimed(claim)
	defer func() {
		to.claimed(nil)
		zones.ReleaseClaim(c, claim)
	}()
	if was, err = j.again(&mine, was, to); err != nil {
		return nil, err
	}
	to.phase("loading", j.total())
	if err := j.load(claim, was, to); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		to.phase("switching", j.total())
		out, err := call.Change(&mine, func(p *call.Plan) (*pb.ImportZoneResponse, error) { return switchTo(p, was, j, claim) })
		if !errors.Is(err, errStale) {
			return out, err
		}
		if try == importTries-1 {
			if err := claim.CloseZone(); err != nil {
				return nil, err
			}
		}
		now, err := readState(&mine, j.name())
		if err != nil {
			return nil, err
		}
		if err := j.follow(claim, was, now); err != nil {
			return nil, err
		}
		was = now
	}
}

// state is a zone as an import found it, all at one revision.
type state struct {
	look         *store.Tx
	zone         *model.Zone                    // nil: there is none
	lower        map[model.Name]*model.NameData // what it must hold of the zones below it
	zoneRevision int64
	revision     int64
}

func readState(c *call.Call, name model.Name) (was state, err error) {
	if was.look, err = c.Look(); err != nil {
		return was, err
	}
	if was.revision, err = was.look.Revision(); err != nil {
		return was, err
	}
	if was.zoneRevision, err = was.look.ZoneRevision(name); err != nil {
		return was, err
	}
	z, err := was.look.Zone(name)
	switch {
	case err == nil:
		was.zone = z
	case model.KindOf(err) != model.NotFound:
		return was, err
	}
	was.lower, err = delegation.Lower(c.PlanOf(was.look), name, was.zone)
	return was, err
}
