package serve

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"

	pb "signpost/proto/signpost/v1"
)

// What the generator does not know: the paths whose body is a zone file, and the
// stream of changes.
var (
	//go:embed zonefile.openapi.json
	zoneFileParts []byte
	//go:embed watch.openapi.json
	watchParts []byte
)

// document is the whole description. Where the servers are comes from the configuration,
// never from a request.
func document(publicURL string) ([]byte, error) {
	type server struct {
		URL string `json:"url"`
	}
	var doc struct {
		OpenAPI    string                    `json:"openapi"`
		Info       any                       `json:"info"`
		Servers    []server                  `json:"servers,omitempty"`
		Paths      map[string]any            `json:"paths"`
		Components map[string]map[string]any `json:"components"`
		Tags       []any                     `json:"tags"`
	}
	if err := json.Unmarshal(pb.OpenAPI, &doc); err != nil {
		return nil, err
	}
	for _, file := range [][]byte{pb.EndpointOpenAPI, pb.CertOpenAPI} {
		var of struct {
			Paths      map[string]any            `json:"paths"`
			Components map[string]map[string]any `json:"components"`
			Tags       []any                     `json:"tags"`
		}
		if err := json.Unmarshal(file, &of); err != nil {
			return nil, err
		}
		maps.Copy(doc.Paths, of.Paths)
		maps.Copy(doc.Components["schemas"], of.Components["schemas"])
		doc.Tags = append(doc.Tags, of.Tags...)
	}
	for _, parts := range [][]byte{zoneFileParts, watchParts} {
		var more struct {
			Paths   map[string]any `json:"paths"`
			Schemas map[string]any `json:"schemas"`
		}
		if err := json.Unmarshal(parts, &more); err != nil {
			return nil, err
		}
		maps.Copy(doc.Paths, more.Paths)
		maps.Copy(doc.Components["schemas"], more.Schemas)
	}
	if publicURL != "" {
		doc.Servers = []server{{publicURL}}
	}
	return json.MarshalIndent(doc, "", "  ")
}

func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request) {
	body, err := s.document()
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, "%s\n", body)
}
