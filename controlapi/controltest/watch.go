package controltest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	pb "signpost/proto/signpost/v1"
)

// Stream is a Watch that has begun; since is the revision that it said it begins at.
type Stream struct {
	t     *testing.T
	From  pb.WatchService_WatchClient
	Since int64
}

func (s *Server) Watch(ctx context.Context, in *pb.WatchRequest) *Stream {
	s.T.Helper()
	t := s.T.(*testing.T)
	ctx, cancel := context.WithTimeout(ctx, 180*time.Second)
	t.Cleanup(cancel)
	from, err := pb.NewWatchServiceClient(s.Conn).Watch(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	w := &Stream{t: t, From: from}
	if in.GetFromRevision() == 0 {
		m, err := from.Recv()
		if err != nil || len(m.GetEvents()) != 0 {
			t.Fatal(m, err)
		}
		w.Since = m.GetRevision()
	}
	return w
}

// Next is the next revision that has events, a line for each.
func (w *Stream) Next() (int64, []string) {
	w.t.Helper()
	for {
		m, err := w.From.Recv()
		if err != nil {
			w.t.Fatal(err)
		}
		if m.GetRevision() < w.Since {
			w.t.Fatalf("revision %d after %d", m.GetRevision(), w.Since)
		}
		w.Since = m.GetRevision()
		if len(m.GetEvents()) > 0 {
			return m.GetRevision(), lines(m.GetEvents())
		}
	}
}

func (w *Stream) Want(events ...string) int64 {
	w.t.Helper()
	rev, got := w.Next()
	if !slices.Equal(got, events) {
		w.t.Errorf("revision %d:\n%s\nwant\n%s", rev, strings.Join(got, "\n"), strings.Join(events, "\n"))
	}
	return rev
}

// End is why the stream ends.
func (w *Stream) End() error {
	w.t.Helper()
	for {
		if _, err := w.From.Recv(); err != nil {
			return err
		}
	}
}

// WantStands is that the next revision has these changes of endpoints, and is it.
func (w *Stream) WantStands(changes ...string) int64 {
	w.t.Helper()
	for {
		m, err := w.From.Recv()
		if err != nil {
			w.t.Fatal(err)
		}
		if len(m.GetEvents()) == 0 {
			continue
		}
		var got []string
		for _, e := range m.GetEvents() {
			got = append(got, StandsSince(e))
		}
		if strings.Join(got, "\n") != strings.Join(changes, "\n") {
			w.t.Errorf("revision %d:\n%s\nwant\n%s", m.GetRevision(), strings.Join(got, "\n"), strings.Join(changes, "\n"))
		}
		return m.GetRevision()
	}
}

func lines(events []*pb.Event) []string {
	var out []string
	for _, e := range events {
		text := strings.Join([]string{e.GetKind(), e.GetWhat(), e.GetZone(), e.GetFqdn(), e.GetType()}, " ")
		switch {
		case e.GetHostNow() != nil:
			text += " = " + strings.Join(e.GetHostNow().GetAddresses(), " ")
		case e.GetRecordSetNow() != nil:
			text += " = " + strings.Join(e.GetRecordSetNow().GetRdata(), " ")
		case e.GetZoneNow() != nil:
			text += fmt.Sprintf(" = ttl %d", e.GetZoneNow().GetTtl())
		case e.GetAuditRecord() != nil:
			r := e.GetAuditRecord()
			text += " = " + r.GetAction() + " " + r.GetBefore() + " -> " + r.GetAfter()
		}
		out = append(out, text)
	}
	return out
}

// StandsSince is a change of an endpoint in one line.
func StandsSince(e *pb.Event) string {
	m := e.GetEndpointChange()
	if m == nil {
		return e.GetKind() + " of many"
	}
	stand := func(s *pb.EndpointStanding) string {
		return s.GetState() + map[bool]string{true: "*"}[s.GetAnswered()]
	}
	text := fmt.Sprintf("%s %s: %s -> %s (%s)", e.GetFqdn(), m.GetEndpoint(), stand(m.GetBefore()), stand(m.GetAfter()), m.GetAfter().GetWhy())
	for _, v := range m.GetVotes() {
		if v.GetReason() != "" {
			text += " " + v.GetSite() + ": " + v.GetReason()
		}
	}
	if w := m.GetWord(); w != nil {
		text += " " + w.GetSay()
	}
	return text
}
