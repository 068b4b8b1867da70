package signpostv1

import _ "embed"

// OpenAPI describes the API over REST, as generated from signpost.proto: all but
// the calls that are streams.
//
//go:embed signpost.openapi.json
var OpenAPI []byte
