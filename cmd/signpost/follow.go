package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"signpost/internal/login"
	pb "signpost/proto/signpost/v1"
)

// The waits between tries to resume a stream.
const (
	resumePause     = time.Second
	mostResumePause = 15 * time.Second
	// The service gives a sign of life every ten seconds.
	longestSilence = 30 * time.Second
)

// passing is how streams end that may be resumed: the last two are the words of
// gRPC and of proxies for a connection that broke.
var passing = map[codes.Code]bool{
	codes.Unavailable: true, codes.ResourceExhausted: true, codes.Internal: true, codes.Unknown: true,
}

var errSilent = status.Error(codes.Unavailable, "the service has fallen silent")

// followAudit prints audit records as they come, after those that are there; when
// the service goes away it goes on where it was.
func (c *cli) followAudit(ctx context.Context, s *service, in *pb.ListAuditRecordsRequest, past int) error {
	f := follower{cli: c, service: s, wants: in, in: &pb.WatchRequest{Zone: in.GetZone(), Fqdn: in.GetFqdn(), Kinds: []string{"audit"}}}
	for {
		err := f.once(ctx, func(start int64) error { return f.printPast(ctx, in, past, start) })
		past = 0
		if ctx.Err() != nil {
			return nil // that is how following ends
		}
		if f.in.GetFromRevision() == 0 || errors.Is(err, login.ErrEnded) || !passing[status.Code(err)] && !f.tokenEnded(err) {
			return err
		}
		f.pause = min(max(2*f.pause, resumePause), mostResumePause)
		c.complain("signpost: " + status.Convert(err).Message() + "; going on after revision " +
			strconv.FormatInt(f.in.GetFromRevision(), 10) + " in " + f.pause.String())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(f.pause):
		}
	}
}

// tokenEnded reports whether a stream that went well was ended with the token of a
// login, of which the next one has another.
func (f *follower) tokenEnded(err error) bool {
	return f.renews && f.pause == 0 && status.Code(err) == codes.Unauthenticated
}

type follower struct {
	*cli
	*service
	in    *pb.WatchRequest // says where to go on
	wants *pb.ListAuditRecordsRequest
	pause time.Duration
}

// once follows until the stream ends. begun is told where the very first one begins.
func (f *follower) once(ctx context.Context, begun func(start int64) error) error {
	streaming, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(longestSilence, func() { cancel(errSilent) })
	defer silence.Stop()
	stream, err := f.Watch(streaming, f.in)
	for err == nil {
		var m *pb.WatchResponse
		if m, err = stream.Recv(); err != nil {
			break
		}
		silence.Reset(longestSilence)
		f.pause = 0
		if f.in.GetFromRevision() == 0 {
			if err := begun(m.GetRevision()); err != nil {
				return err
			}
		}
		for _, e := range m.GetEvents() {
			if r := e.GetAuditRecord(); f.wanted(r) {
				if err := f.printRecord(r); err != nil {
					return err
				}
			}
		}
		f.in.FromRevision = m.GetRevision()
	}
	if errors.Is(context.Cause(streaming), errSilent) {
		return errSilent
	}
	return err
}

// wanted sorts out here what a list sorts out at the service: streams know of neither.
func (f *follower) wanted(r *pb.AuditRecord) bool {
	action := f.wants.GetAction()
	return (f.wants.GetPrincipal() == "" || r.GetPrincipal() == f.wants.GetPrincipal()) &&
		(action == "" || r.GetAction() == action || strings.HasPrefix(r.GetAction(), action+"."))
}

// printPast prints the newest records up to a revision, the oldest first.
func (f *follower) printPast(ctx context.Context, in *pb.ListAuditRecordsRequest, limit int, start int64) error {
	all, err := listAudit(ctx, f.service, in, limit)
	if err != nil {
		return err
	}
	old := slices.DeleteFunc(all.GetRecords(), func(r *pb.AuditRecord) bool { return r.GetRevision() > start })
	slices.Reverse(old)
	if !f.json() {
		return table(f.out, f.titled(auditRows(old)))
	}
	for _, r := range old {
		if err := f.printRecord(r); err != nil {
			return err
		}
	}
	return nil
}

// printRecord prints a record on one line.
func (f *follower) printRecord(r *pb.AuditRecord) error {
	if !f.json() {
		f.say(clean(strings.Join(auditRows([]*pb.AuditRecord{r})[1], "  ")) + "\n")
		return nil
	}
	raw, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(r)
	if err != nil {
		return err
	}
	var line bytes.Buffer
	if err := json.Compact(&line, raw); err != nil {
		return err
	}
	f.say(line.String() + "\n")
	return nil
}
