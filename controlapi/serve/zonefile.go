package serve

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"signpost/controlapi"
	pb "signpost/proto/signpost/v1"
)

// zoneFileType is the media type of zone files (RFC 4027).
const zoneFileType = "text/dns"

// sendPiece is how much of a zone file one message of a stream carries.
const sendPiece = 32 << 10

var errLargeFile = status.Error(codes.InvalidArgument, "data: the zone file is larger than 256 MiB")

// importZone takes a zone file as body and sends it as the stream that gRPC takes.
func (s *Server) importZone(w http.ResponseWriter, r *http.Request, path map[string]string) {
	in := &pb.ImportZoneRequest{Name: path["name"]}
	err := importOptions(r.URL.Query(), in)
	if err == nil && r.ContentLength > controlapi.MaxImport {
		writeError(w, http.StatusRequestEntityTooLarge, errLargeFile) // told before it is sent
		return
	}
	if err == nil {
		r.Body = s.patient(w, r)
		var out *pb.ImportZoneResponse
		if out, err = s.sendFile(r, in); err == nil {
			var body []byte
			if body, err = toJSON.Marshal(out); err == nil {
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprintf(w, "%s\n", body)
				return
			}
		}
	}
	writeError(w, httpStatus(status.Code(err)), err)
}

func (s *Server) sendFile(r *http.Request, in *pb.ImportZoneRequest) (*pb.ImportZoneResponse, error) {
	stream, err := pb.NewZoneServiceClient(s.local).ImportZone(metadata.NewOutgoingContext(r.Context(), s.metadata(r)))
	if err != nil {
		return nil, err
	}
	for {
		buf := make([]byte, sendPiece)
		n, readErr := io.ReadFull(r.Body, buf)
		in.Data = buf[:n]
		if readErr != nil && !errors.Is(readErr, io.EOF) && !errors.Is(readErr, io.ErrUnexpectedEOF) {
			return nil, bodyError(readErr) // half a file is not to be taken for a whole one
		}
		if err := stream.Send(in); err != nil || readErr != nil {
			break // the answer says why
		}
		in = &pb.ImportZoneRequest{}
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	var last *pb.ImportZoneResponse
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) && last.GetChange() != nil {
			return last, nil
		}
		if err != nil {
			return nil, err
		}
		last = m
	}
}

// isZoneFile reports whether a request brings a zone file, which is read as it comes
// and not bounded as other bodies are.
func isZoneFile(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/v1/zones/") && strings.HasSuffix(r.URL.Path, ":import")
}

var errCut = errors.New("the body ends before its end")

// patient is a body each piece of which may take its time, but no longer.
type patient struct {
	io.ReadCloser
	control *http.ResponseController
	within  time.Duration
}

func (s *Server) patient(w http.ResponseWriter, r *http.Request) patient {
	return patient{r.Body, http.NewResponseController(w), s.bodyWithin}
}

func (p patient) Read(b []byte) (int, error) {
	_ = p.control.SetReadDeadline(time.Now().Add(p.within))
	n, err := p.ReadCloser.Read(b)
	if errors.Is(err, io.EOF) { // after any other error the rest of the body is not waited for
		_ = p.control.SetReadDeadline(time.Time{})
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errCut // io.ReadFull would say the same of a short last piece
	}
	return n, err
}

// rest is called when no piece is wanted for a while.
func (p patient) rest() { _ = p.control.SetReadDeadline(time.Time{}) }

func importOptions(query url.Values, in *pb.ImportZoneRequest) error {
	options := map[string]*bool{"replace": &in.Replace, "replace_hosts": &in.ReplaceHosts, "merge": &in.Merge, "dry_run": &in.DryRun}
	for key, values := range query {
		if lifted[key] != "" {
			continue
		}
		field, ok := options[key]
		if !ok {
			return status.Error(codes.InvalidArgument, key+": there is no such query parameter")
		}
		v, err := strconv.ParseBool(values[0])
		if err != nil && values[0] != "" { // "replace_hosts=" says nothing
			return status.Error(codes.InvalidArgument, key+": it is neither true nor false")
		}
		*field = v
	}
	return nil
}

// exportZone sends the pieces of a zone file as they come.
func (s *Server) exportZone(w http.ResponseWriter, r *http.Request, path map[string]string) {
	for key := range r.URL.Query() {
		if lifted[key] == "" {
			writeError(w, http.StatusBadRequest, status.Error(codes.InvalidArgument, key+": there is no such query parameter"))
			return
		}
	}
	stream, err := pb.NewZoneServiceClient(s.local).ExportZone(
		metadata.NewOutgoingContext(r.Context(), s.metadata(r)), &pb.ExportZoneRequest{Name: path["name"]})
	for first := true; err == nil; first = false {
		var piece *pb.ExportZoneResponse
		if piece, err = stream.Recv(); err != nil {
			if !first && errors.Is(err, io.EOF) {
				return
			}
			if !first {
				panic(http.ErrAbortHandler) // half a zone must not look like a whole one
			}
			break
		}
		if first {
			w.Header().Set("Content-Type", zoneFileType)
		}
		if _, err := w.Write(piece.GetData()); err != nil {
			return
		}
	}
	writeError(w, httpStatus(status.Code(err)), err)
}
