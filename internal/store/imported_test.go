package store

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"signpost/internal/model"
)

func TestWhatIsImportedIsKeptAsItIs(t *testing.T) {
	txt, err := model.ParseRRset(16, 60, []string{`"x"`})
	if err != nil {
		t.Fatal(err)
	}
	for name, i := range map[string]*model.Imported{
		"nothing":  {},
		"records":  {Sets: []model.RRset{txt}, Time: time.Unix(1_800_000_000, 0).UTC()},
		"host":     {Host: &model.FormerHost{Owner: "egi/alice", Comment: "c", Wildcard: true, Secret: true, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}}},
		"blocked":  {Host: &model.FormerHost{Blocked: true, Disabled: true}},
		"follower": {Host: &model.FormerHost{Follows: "www.vo.example.org, ipv6 ::1/64"}},
		"settings": {Settings: &model.FormerSettings{Admins: []model.PrincipalName{"egi/a"}, Groups: []model.PrincipalName{"group:egi/b"}, Register: model.RegisterGroups, Reserved: []string{"x*"}}},
	} {
		got, err := decodeImported(encodeImported(i))
		if err != nil || !cmp.Equal(got, i, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })) {
			t.Errorf("%s: %v %v", name, cmp.Diff(i, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })), err)
		}
	}
}

// What is imported is listed in order, and goes with its zone's incarnation.
func TestImportedNamesAreListedAndSwept(t *testing.T) {
	s := freshStore(t)
	z := &model.Zone{Name: "vo.example.org.", Incarnation: 7, Generation: 7}
	names := []model.Name{"vo.example.org.", "a.vo.example.org.", "x.a.vo.example.org.", "b.vo.example.org."}
	if _, err := s.Update(t.Context(), func(tx *Tx) error {
		for _, n := range names {
			if _, err := tx.Imported(z, n); err != nil {
				return err
			}
			tx.PutImported(z, n, &model.Imported{Host: &model.FormerHost{Owner: "egi/a"}})
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Read(t.Context(), func(tx *Tx) error {
		for limit, want := range map[int][]model.Name{2: names[1:3], 9: names[1:]} {
			if got, err := tx.ImportedNames(z, "", limit); err != nil || !cmp.Equal(got, want) {
				t.Errorf("%v %v", got, err)
			}
		}
		got, err := tx.ImportedNames(z, names[2], 9)
		if !cmp.Equal(got, names[3:]) {
			t.Errorf("%v", got)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Sweep(context.Background(), time.Now()); err != nil || n != len(names) {
		t.Errorf("%d swept, %v", n, err)
	}
}
