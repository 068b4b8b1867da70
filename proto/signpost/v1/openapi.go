package signpostv1

import _ "embed"

// OpenAPI describes the API over REST, as generated from signpost.proto, and
// EndpointOpenAPI and CertOpenAPI as from endpoint.proto and cert.proto: all but the calls
// that are streams.
var (
	//go:embed signpost.openapi.json
	OpenAPI []byte
	//go:embed endpoint.openapi.json
	EndpointOpenAPI []byte
	//go:embed cert.openapi.json
	CertOpenAPI []byte
)
