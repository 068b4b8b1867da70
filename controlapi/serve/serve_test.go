package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

func TestEveryKindOfErrorHasACodeOfItsOwn(t *testing.T) {
	seen := map[codes.Code]bool{codes.OK: true}
	for _, k := range model.Kinds() {
		row, ok := translations[k]
		if !ok || seen[row.code] || row.http < 400 || row.name == "" {
			t.Errorf("%s: %+v", k, row)
		}
		seen[row.code] = true
		err := toStatus(fmt.Errorf("outer: %w", model.E(k, "try", "thing").In("field").Because("why").Hint("do")))
		st := status.Convert(err)
		if st.Code() != row.code || httpStatus(st.Code()) != row.http {
			t.Errorf("%s became %s, HTTP %d", k, st.Code(), httpStatus(st.Code()))
		}
		info, _ := st.Details()[0].(*errdetails.ErrorInfo)
		if info.GetReason() != row.name || info.GetDomain() != "signpost" {
			t.Errorf("%s: %v", k, info)
		}
		if k == model.Internal {
			if strings.Contains(st.Message(), "why") || len(st.Details()) != 1 {
				t.Errorf("an internal error tells its inside: %v", st)
			}
			continue
		}
		bad, _ := st.Details()[1].(*errdetails.BadRequest)
		if v := bad.GetFieldViolations(); len(v) != 1 || v[0].Field != "field" || v[0].Description != "why; do" {
			t.Errorf("%s: %v", k, bad)
		}
	}
}

func TestAnErrorThatIsNotOursIsInternal(t *testing.T) {
	if st := status.Convert(toStatus(errors.New("secret thing"))); st.Code() != codes.Internal || strings.Contains(st.Message(), "secret") {
		t.Error(st)
	}
}

func TestJoinedErrorsAreAllTold(t *testing.T) {
	err := errors.Join(model.E(model.Invalid, "read", "").In("data").Because("line 1: no"), model.E(model.Invalid, "read", "").In("data").Because("line 2: no"))
	st := status.Convert(toStatus(fmt.Errorf("import zone: %w", err)))
	bad, _ := st.Details()[1].(*errdetails.BadRequest)
	if len(bad.GetFieldViolations()) != 2 || strings.Contains(st.Message(), "\n") {
		t.Error(st, bad)
	}
}

func TestTheOpenAPIDocumentIsWhole(t *testing.T) {
	raw, err := document("")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths      map[string]any
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"/v1/zones", "/v1/zones/{name}:import", "/v1/zones/{name}:export", "/v1/hosts/{fqdn}:setAddresses"} {
		if doc.Paths[p] == nil {
			t.Errorf("no path %s", p)
		}
	}
	fields := (&pb.ImportZoneResponse{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if n := fields.Get(i).JSONName(); doc.Components.Schemas["signpost.v1.ImportZoneResponse"].Properties[n] == nil {
			t.Errorf("ImportZoneResponse lacks %s", n)
		}
	}
	for rest := string(raw); ; {
		_, after, ok := strings.Cut(rest, `"$ref": "#/components/schemas/`)
		if !ok {
			break
		}
		name, after, _ := strings.Cut(after, `"`)
		if _, ok := doc.Components.Schemas[name]; !ok {
			t.Errorf("nothing is called %s", name)
		}
		rest = after
	}
}

func TestTheOpenAPIDocumentSaysWhereWeAre(t *testing.T) {
	for _, url := range []string{"", "https://dns.example.org"} {
		raw, err := document(url)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct{ Servers []struct{ URL string } }
		if err := json.Unmarshal(raw, &doc); err != nil {
			t.Fatal(err)
		}
		if url == "" && doc.Servers != nil || url != "" && (len(doc.Servers) != 1 || doc.Servers[0].URL != url) {
			t.Errorf("%q: servers %v", url, doc.Servers)
		}
	}
}

// TestEtcdsOwnStatusIsNotForTheCaller: a gRPC status that is the cause of an error of
// ours neither gives its code nor its text away.
func TestEtcdsOwnStatusIsNotForTheCaller(t *testing.T) {
	for _, k := range model.Kinds() {
		cause := status.Error(codes.DataLoss, "read tcp 10.0.0.5:4242: inside")
		err := asStatus(fmt.Errorf("wrapped: %w", model.E(k, "commit", "x").Because("etcd cannot be reached").From(cause)))
		got := status.Convert(err)
		inside := strings.Contains(got.Message(), "10.0.0.5")
		if got.Code() != translations[k].code || inside || len(got.Details()) == 0 {
			t.Errorf("%v: %v with %d details, want code %v without the cause", k, err, len(got.Details()), translations[k].code)
		}
	}
	own := status.Error(codes.NotFound, "unknown service")
	if got := asStatus(own); !errors.Is(got, own) {
		t.Errorf("a status of gRPC's own became %v", got)
	}
}
