package serve

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync"

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

// document is the whole description.
var document = sync.OnceValues(func() ([]byte, error) {
	var doc struct {
		OpenAPI    string                    `json:"openapi"`
		Info       any                       `json:"info"`
		Paths      map[string]any            `json:"paths"`
		Components map[string]map[string]any `json:"components"`
		Tags       any                       `json:"tags"`
	}
	if err := json.Unmarshal(pb.OpenAPI, &doc); err != nil {
		return nil, err
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
	return json.MarshalIndent(doc, "", "  ")
})

func openAPI(w http.ResponseWriter, _ *http.Request) {
	body, err := document()
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, "%s\n", body)
}
