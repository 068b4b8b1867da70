package hosts_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/metadata"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	"signpost/internal/access"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// Promise 8: no one changes what is not theirs, nor sees it among what is.
func TestSeveralHostsAreShownToThoseWhoMaySeeEach(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	secret := s.HostOf(controltest.Person("egi/alice"), "a.vo.example.org", "192.0.2.1")
	s.HostOf(controltest.Person("egi/bob"), "b.vo.example.org", "192.0.2.2")
	names := []model.Name{model.NameOf("a.vo.example.org."), model.NameOf("b.vo.example.org."), model.NameOf("none.vo.example.org.")}
	narrow := s.TokenOf(controltest.Person("egi/alice"), &pb.CreateTokenRequest{Host: "b.vo.example.org"})
	for _, tt := range []struct {
		who   string
		as    context.Context
		want  [3]model.Kind // of each; Internal: it is shown
		whole bool          // the call is refused
	}{
		{"owner", controltest.Person("egi/alice"), [3]model.Kind{model.Internal, model.NotFound, model.NotFound}, false},
		{"stranger", controltest.Person("egi/mallory"), [3]model.Kind{model.NotFound, model.NotFound, model.NotFound}, false},
		{"admin", s.Admin(), [3]model.Kind{model.Internal, model.Internal, model.NotFound}, false},
		{"secret", controltest.As("a.vo.example.org", secret), [3]model.Kind{model.Internal, model.NotFound, model.NotFound}, false},
		{"token for another", controltest.Bearer(narrow), [3]model.Kind{model.Denied, model.NotFound, model.NotFound}, false},
		{"nobody", controltest.With(), [3]model.Kind{model.Unauthenticated, model.Unauthenticated, model.Unauthenticated}, false},
		{"token of nobody", controltest.Bearer(access.NewToken()), [3]model.Kind{}, true},
	} {
		md, _ := metadata.FromOutgoingContext(tt.as)
		caller := controlapi.Caller{}
		if a := md.Get("authorization"); len(a) > 0 {
			caller.Authorization = a[0]
		}
		hosts, errs, err := s.Service.LookAtHosts(controlapi.WithCaller(t.Context(), caller), names)
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
