package signpost

import (
	"bytes"
	"errors"
	golog "log"
	"strings"
	"testing"

	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/zone"
)

// logged is what CoreDNS's log gets meanwhile.
func logged(t *testing.T, do func()) []string {
	t.Helper()
	var buf bytes.Buffer
	was := golog.Writer()
	golog.SetOutput(&buf)
	defer golog.SetOutput(was)
	do()
	return strings.FieldsFunc(buf.String(), func(r rune) bool { return r == '\n' })
}

func TestTroubleAndItsEndAreLoggedOnceEach(t *testing.T) {
	var j journal
	v := zone.Empty(7)
	for _, step := range []struct {
		do   func()
		want string // "" : nothing
	}{
		{func() { j.trouble(store.TroubleRead, errors.New("connection refused"), nil) }, "answering SERVFAIL until it can (read: connection refused)"},
		{func() { j.trouble(store.TroubleRead, errors.New("connection refused"), nil) }, ""},
		{func() { j.trouble(store.TroubleProbe, errors.New("too late"), nil) }, ""},
		{func() { j.well(v) }, "following etcd at revision 7"},
		{func() { j.well(v) }, ""},
		{func() { j.trouble(store.TroubleWatch, errors.New("closed"), v) }, "answering from memory, revision 7 (watch: closed)"},
		{func() { j.trouble(store.TroubleWatch, errors.New("closed"), v) }, ""},
		{func() { j.well(v) }, "following etcd again, at revision 7"},
		{func() { j.trouble(store.TroubleValue, errors.New("key a is garbage"), v) }, "key a is garbage"},
		{func() { j.trouble(store.TroubleValue, errors.New("key a is garbage"), v) }, ""},
		{func() { j.trouble(store.TroubleValue, errors.New("key b is garbage"), v) }, "key b is garbage"},
		{func() { j.trouble(store.TroubleRestored, errors.New("another cluster"), v) }, "another cluster"},
	} {
		got := logged(t, step.do)
		switch {
		case step.want == "" && len(got) != 0:
			t.Errorf("logged again: %q", got)
		case step.want != "" && (len(got) != 1 || !strings.Contains(got[0], step.want)):
			t.Errorf("want one line with %q, got %q", step.want, got)
		}
	}
}

func TestAGuardedZoneIsLoggedOnce(t *testing.T) {
	var j journal
	key := model.Key{Kind: model.ZoneKey, Zone: "example.org."}
	free := zone.Empty(0).Apply(1, []model.Change{{Key: key, ModRevision: 1, Zone: &model.Zone{Name: key.Zone}}})
	gone := model.Change{Key: key, ModRevision: 2, Deleted: true}
	held := free.Apply(2, []model.Change{gone})
	accepted := held.Apply(3, []model.Change{{Key: model.Key{Kind: model.AcceptKey, Zone: key.Zone}, ModRevision: 3}})
	for _, step := range []struct {
		v    *zone.View
		want string
	}{
		{free, ""},
		{held, "zone example.org. is kept as it was at revision 1: in etcd there is no such zone any more"},
		{held.Apply(3, nil), ""},
		{accepted, "zone example.org. is no longer kept as it was"},
		{accepted, ""},
		{held, "signpost zone accept example.org"},
	} {
		got := logged(t, func() { j.guard(step.v) })
		if step.want == "" && len(got) != 0 || step.want != "" && (len(got) != 1 || !strings.Contains(got[0], step.want)) {
			t.Errorf("want one line with %q, got %q", step.want, got)
		}
	}
}
