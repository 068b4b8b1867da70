package controlapi_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/metadata"

	"signpost/controlapi"
	"signpost/internal/access"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// Promise 8: no one changes what is not theirs, nor sees it among what is.
func TestSeveralHostsAreShownToThoseWhoMaySeeEach(t *testing.T) {
	s := start(t)
	s.open("vo.example.org")
	secret := s.hostOf(person("egi/alice"), "a.vo.example.org", "192.0.2.1")
	s.hostOf(person("egi/bob"), "b.vo.example.org", "192.0.2.2")
	names := []model.Name{model.NameOf("a.vo.example.org."), model.NameOf("b.vo.example.org."), model.NameOf("none.vo.example.org.")}
	narrow := s.tokenOf(person("egi/alice"), &pb.CreateTokenRequest{Host: "b.vo.example.org"})
	for _, tt := range []struct {
		who   string
		as    context.Context
		want  [3]model.Kind // of each; Internal: it is shown
		whole bool          // the call is refused
	}{
		{"owner", person("egi/alice"), [3]model.Kind{model.Internal, model.NotFound, model.NotFound}, false},
		{"stranger", person("egi/mallory"), [3]model.Kind{model.NotFound, model.NotFound, model.NotFound}, false},
		{"admin", s.admin(), [3]model.Kind{model.Internal, model.Internal, model.NotFound}, false},
		{"secret", as("a.vo.example.org", secret), [3]model.Kind{model.Internal, model.NotFound, model.NotFound}, false},
		{"token for another", bearer(narrow), [3]model.Kind{model.Denied, model.NotFound, model.NotFound}, false},
		{"nobody", with(), [3]model.Kind{model.Unauthenticated, model.Unauthenticated, model.Unauthenticated}, false},
		{"token of nobody", bearer(access.NewToken()), [3]model.Kind{}, true},
	} {
		md, _ := metadata.FromOutgoingContext(tt.as)
		caller := controlapi.Caller{}
		if a := md.Get("authorization"); len(a) > 0 {
			caller.Authorization = a[0]
		}
		hosts, errs, err := s.service.LookAtHosts(controlapi.WithCaller(t.Context(), caller), names)
		if (err != nil) != tt.whole {
			t.Errorf("%s: %v", tt.who, err)
		}
		for i := range errs {
			shown := errs[i] == nil && hosts[i].GetFqdn() == names[i].Text()
			if shown != (tt.want[i] == model.Internal) || !shown && (model.KindOf(errs[i]) != tt.want[i] || hosts[i] != nil) {
				t.Errorf("%s, %s: %v, %v", tt.who, names[i].Text(), hosts[i], errs[i])
			}
		}
	}
}
