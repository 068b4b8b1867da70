package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "signpost/proto/signpost/v1"
)

const eventStream = "text/event-stream"

// watch sends changes as server-sent events. An event's id is the revision from
// which to resume; a sign of life is a comment that moves the id on. What ends the
// stream is an event "end" with google.rpc.Status.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	if !acceptsEvents(r.Header.Values("Accept")) {
		writeError(w, http.StatusNotAcceptable, status.Error(codes.InvalidArgument, "Accept: this answers "+eventStream+" only"))
		return
	}
	in, err := watchRequest(r.URL.Query(), r.Header.Get("Last-Event-ID"))
	if err != nil {
		writeError(w, httpStatus(status.Code(err)), err)
		return
	}
	stream, err := pb.NewWatchServiceClient(s.local).Watch(metadata.NewOutgoingContext(r.Context(), s.metadata(r)), in)
	var m *pb.WatchResponse
	if err == nil {
		m, err = stream.Recv()
	}
	if err != nil {
		writeError(w, httpStatus(status.Code(err)), err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", eventStream)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would collect events
	for err == nil {
		if err = writeEvent(w, m); err != nil {
			return
		}
		m, err = stream.Recv()
	}
	if r.Context().Err() != nil || errors.Is(err, io.EOF) {
		return
	}
	if body, jsonErr := compactJSON(status.Convert(err).Proto()); jsonErr == nil {
		fmt.Fprintf(w, "event: end\ndata: %s\n\n", body)
		flush(w)
	}
}

func writeEvent(w http.ResponseWriter, m *pb.WatchResponse) error {
	text := fmt.Sprintf(": heartbeat\nid: %d\n\n", m.GetRevision())
	if len(m.GetEvents()) > 0 {
		body, err := compactJSON(m)
		if err != nil {
			return err
		}
		text = fmt.Sprintf("id: %d\ndata: %s\n\n", m.GetRevision(), body)
	}
	_, err := io.WriteString(w, text)
	flush(w)
	return err
}

func flush(w http.ResponseWriter) {
	_ = http.NewResponseController(w).Flush() // the next write fails, too
}

// compactJSON is a message on one line.
func compactJSON(m proto.Message) ([]byte, error) {
	raw, err := toJSON.Marshal(m)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = json.Compact(&b, raw)
	return b.Bytes(), err
}

func acceptsEvents(accept []string) bool {
	if len(accept) == 0 {
		return true
	}
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		switch t, _, _ := mime.ParseMediaType(part); t {
		case eventStream, "text/*", "*/*":
			return true
		}
	}
	return false
}

// watchRequest reads the query. What a client that resumes by itself sends as
// Last-Event-ID counts more than the revision it once began with.
func watchRequest(query url.Values, lastID string) (*pb.WatchRequest, error) {
	in := &pb.WatchRequest{}
	bad := func(what string) (*pb.WatchRequest, error) { return nil, status.Error(codes.InvalidArgument, what) }
	revision := query.Get("from_revision")
	for key, values := range query {
		switch key {
		case "zone":
			in.Zone = values[0]
		case "fqdn":
			in.Fqdn = values[0]
		case "kinds":
			for _, v := range values {
				in.Kinds = append(in.Kinds, strings.Split(v, ",")...)
			}
		case "from_revision":
		default:
			return bad(key + ": there is no such query parameter")
		}
	}
	if lastID != "" {
		revision = lastID
	}
	if revision != "" {
		var err error
		if in.FromRevision, err = strconv.ParseInt(revision, 10, 64); err != nil || in.FromRevision < 0 {
			return bad("from_revision: " + strconv.Quote(revision) + " is no revision")
		}
	}
	return in, nil
}
