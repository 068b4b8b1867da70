package serve

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "signpost/proto/signpost/v1"
)

// zoneFileType is the media type of zone files (RFC 4027).
const zoneFileType = "text/dns"

// sendPiece is how much of a zone file one message of a stream carries.
const sendPiece = 32 << 10

// importZone takes a zone file as body and sends it as the stream that gRPC takes.
func (s *Server) importZone(w http.ResponseWriter, r *http.Request, path map[string]string) {
	in := &pb.ImportZoneRequest{Name: path["name"]}
	err := importOptions(r.URL.Query(), in)
	if err == nil {
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
		if err := stream.Send(in); err != nil {
			break // the answer says why
		}
		if readErr != nil {
			break
		}
		in = &pb.ImportZoneRequest{}
	}
	return stream.CloseAndRecv()
}

func importOptions(query url.Values, in *pb.ImportZoneRequest) error {
	options := map[string]*bool{"replace": &in.Replace, "replace_hosts": &in.ReplaceHosts, "dry_run": &in.DryRun}
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
