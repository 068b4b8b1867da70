package store

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/store/localetcd"
)

// freshStore is a Store on an etcd of its own.
func freshStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(Config{Endpoints: []string{localetcd.New(t).Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

const exampleOrg model.Name = "example.org."

func nsSet(t *testing.T) model.RRset {
	t.Helper()
	set, err := model.ParseRRset(dns.TypeNS, 3600, []string{"ns1.example.net."})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func createZone(t *testing.T, s *Store, name model.Name) *model.Zone {
	t.Helper()
	var z *model.Zone
	_, err := s.Update(t.Context(), func(tx *Tx) error {
		if _, err := tx.Zone(name); model.KindOf(err) != model.NotFound {
			return fmt.Errorf("zone %s: want none, got %v", name, err)
		}
		n, err := tx.NewNumber()
		z = &model.Zone{
			Name: name, Incarnation: n, Generation: n, Apex: []model.RRset{nsSet(t)},
			SOA: model.SOA{MName: "ns1.example.net.", RName: "hostmaster.example.org.", Minimum: 30},
		}
		tx.PutZone(z)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func addressed(a string, gen uint64) *model.NameData {
	return &model.NameData{Host: &model.Host{Endpoints: []model.Endpoint{
		{ID: model.MainEndpoint, Addresses: []netip.Addr{netip.MustParseAddr(a)}, Generation: gen},
	}}}
}

// putHost makes or changes a host.
func putHost(ctx context.Context, s *Store, zone, name model.Name, addr string) (Result, error) {
	return s.Update(ctx, func(tx *Tx) error { return setHost(tx, zone, name, addr) })
}

func setHost(tx *Tx, zone, name model.Name, addr string) error {
	z, err := tx.Zone(zone)
	if err != nil {
		return err
	}
	path, err := tx.Path(z, name)
	if err != nil {
		return err
	}
	tx.PutName(z, name, addressed(addr, 1))
	if path[0].Host == nil {
		tx.PutHost(z, name, nil, &model.HostControl{Owner: "admin/x"})
	}
	tx.Audit(model.AuditRecord{Time: time.UnixMilli(1), Action: "host.set", Zone: zone, Name: name, After: addr})
	return nil
}

func must(t *testing.T) func(Result, error) {
	return func(_ Result, err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
}

func revision(t *testing.T, s *Store) (rev int64) {
	t.Helper()
	if err := s.Read(t.Context(), func(tx *Tx) (err error) {
		rev, err = tx.Revision()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return rev
}
