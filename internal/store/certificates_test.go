package store

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

func someCertificate() *model.Certificate {
	at := time.Unix(1.8e9, 0).UTC()
	return &model.Certificate{
		Chain: []byte("chain"), KeyID: [32]byte{1}, Wildcard: true, Serial: "a1", NotBefore: at, NotAfter: at.Add(time.Hour), IssueTime: at,
		RenewFrom: at.Add(time.Minute), RenewTo: at.Add(2 * time.Minute), CertID: "x.y", Directory: "https://ca.example.org/dir",
	}
}

// hostFor puts a host's control value in the place of old.
func putControl(t *testing.T, s *Store, z *model.Zone, host model.Name, old, next *model.HostControl) {
	t.Helper()
	if _, err := s.Update(t.Context(), func(tx *Tx) error {
		if _, err := tx.Path(z, host); err != nil {
			return err
		}
		tx.PutHost(z, host, old, next)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// A certificate goes with its host, in the same transaction, and does not go over to
// another owner or to another host of that name.
func TestACertificateGoesWithItsHost(t *testing.T) {
	s := freshStore(t)
	z := createZone(t, s, "vo.example.org.")
	host := model.Name("www.vo.example.org.")
	made := time.Unix(1e9, 0).UTC()
	a := &model.HostControl{Owner: "egi/a", CreateTime: made}
	for says, next := range map[string]*model.HostControl{
		"deleted": nil, "handed over": {Owner: "egi/b", CreateTime: made}, "made anew": {Owner: "egi/a", CreateTime: made.Add(time.Second)},
		"only changed": {Owner: "egi/a", CreateTime: made, Comment: "x"},
	} {
		putControl(t, s, z, host, nil, a)
		want := someCertificate()
		read := func() (got *model.Certificate) {
			t.Helper()
			if err := s.Read(t.Context(), func(tx *Tx) (err error) {
				got, err = tx.Certificate(z, host)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return got
		}
		if _, err := s.Update(t.Context(), func(tx *Tx) error {
			if _, err := tx.Certificate(z, host); err != nil {
				return err
			}
			tx.PutCertificate(z, host, want)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		got := read()
		want.ModRevision = got.ModRevision
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		putControl(t, s, z, host, a, next)
		if got := read(); (got == nil) != (says != "only changed") {
			t.Errorf("%s: %v", says, got)
		}
	}
}

func TestOrdersAreCountedForAWeek(t *testing.T) {
	s := freshStore(t)
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	most := OrderedMost{Names: 2, Owner: 3, Zone: 4}
	place := func(host, owner string) error {
		_, err := s.Update(t.Context(), func(tx *Tx) error {
			return tx.PlaceOrder(OrderedBy{Names: model.Name(host), Owner: owner, Zone: "vo.example.org."}, most, now)
		})
		return err
	}
	expect := func(host, owner, why string, wait time.Duration) {
		t.Helper()
		err := place(host, owner)
		switch {
		case why == "" && err != nil:
			t.Errorf("%s of %s: %v", host, owner, err)
		case why != "" && (model.KindOf(err) != model.Exhausted || err == nil || !strings.Contains(err.Error(), why) || model.RetryAfter(err) != wait):
			t.Errorf("%s of %s: %v, after %v; want %q after %v", host, owner, err, model.RetryAfter(err), why, wait)
		}
	}
	week := model.OrderSpan
	expect("a.vo.example.org.", "egi/a", "", 0)
	now = now.Add(time.Hour)
	expect("a.vo.example.org.", "egi/a", "", 0)
	expect("a.vo.example.org.", "egi/a", "its certificate was ordered 2 times", week-time.Hour)
	expect("*.a.vo.example.org.", "egi/a", "", 0) // another set of names
	expect("b.vo.example.org.", "egi/a", "of its owner's hosts were ordered 3 times", week-time.Hour)
	expect("b.vo.example.org.", "", "", 0)
	expect("c.vo.example.org.", "egi/c", "in zone vo.example.org were ordered 4 times", week-time.Hour)
	now = now.Add(week - time.Hour)
	expect("a.vo.example.org.", "egi/a", "", 0)
	if n, err := s.Sweep(t.Context(), now.Add(week-time.Second)); err != nil || n != 2 { // of b, and of the wildcard
		t.Errorf("%d counts of old orders swept; %v", n, err)
	}
	if n, err := s.Sweep(t.Context(), now.Add(week)); err != nil || n != 3 {
		t.Errorf("%d counts of old orders swept; %v", n, err)
	}
	expect("a.vo.example.org.", "egi/a", "", 0)
	if _, err := s.Update(t.Context(), func(tx *Tx) error {
		return tx.TakeOrderBack(OrderedBy{Names: "a.vo.example.org.", Owner: "egi/a", Zone: "vo.example.org."})
	}); err != nil {
		t.Fatal(err)
	}
	if keys, err := s.rangeKeys(t.Context(), s.keys.orders(), prefixEnd(s.keys.orders()), 0); err != nil || len(keys) != 0 {
		t.Errorf("%v, %v", keys, err)
	}
}

// One holds an order at a time; the others wait, and hear how it failed.
func TestOneHoldsAnOrder(t *testing.T) {
	s := freshStore(t)
	z := createZone(t, s, "vo.example.org.")
	host := model.Name("www.vo.example.org.")
	key, now := [32]byte{1}, time.Unix(1e9, 0)
	claimSince := func(rev int64) (*Order, *OrderUnderWay) {
		t.Helper()
		o, by, err := s.ClaimOrder(t.Context(), z, host, key, rev, "egi/a", now)
		if err != nil {
			t.Fatal(err)
		}
		return o, by
	}
	revision := func() int64 {
		t.Helper()
		rev, err := s.Revision(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return rev
	}
	claim := func() (*Order, *OrderUnderWay) { return claimSince(revision()) }
	before := revision()
	first, by := claim()
	if first == nil || by != nil {
		t.Fatal(first, by)
	}
	none, by := claim()
	if none != nil || by.KeyID != key {
		t.Fatal(none, by)
	}
	ended := make(chan *model.Error, 1)
	go func() {
		failed, err := s.AwaitOrder(t.Context(), by)
		if err != nil {
			t.Error(err)
		}
		ended <- failed
	}()
	first.Fail(model.E(model.Exhausted, "x", "y").Because("the limit is reached").Hint("wait").After(time.Hour))
	if failed := <-ended; failed == nil || failed.Kind != model.Exhausted || failed.Reason != "the limit is reached" || failed.Advice != "wait" || failed.Retry != time.Hour {
		t.Errorf("%v", failed)
	}
	if o, by := claimSince(before); o != nil {
		t.Error("who asked before it failed orders anew")
	} else if failed, err := s.AwaitOrder(t.Context(), by); failed == nil || err != nil {
		t.Error(failed, err)
	}
	second, by := claim() // a failure holds nobody up who comes later
	if second == nil || by != nil || second.ID() == first.ID() {
		t.Fatal(second, by)
	}
	rests := func(o *Order, end bool) error {
		_, err := s.Update(t.Context(), func(tx *Tx) error {
			if end {
				return tx.EndOrder(o)
			}
			return tx.HoldOrder(o)
		})
		return err
	}
	if err := rests(first, false); model.KindOf(err) != model.Aborted || err == nil {
		t.Errorf("who has lost the hold goes on: %v", err)
	}
	_, by = claim()
	if err := rests(second, true); err != nil {
		t.Error(err)
	}
	if failed, err := s.AwaitOrder(t.Context(), by); failed != nil || err != nil {
		t.Error(failed, err)
	}
	third, _ := claim()
	third.Release()
	if o, _ := claim(); o == nil {
		t.Error("a released hold is there still")
	} else {
		o.Release()
	}
	ctx, cancel := context.WithCancel(t.Context())
	o, _, err := s.ClaimOrder(ctx, z, host, key, revision(), "egi/a", now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Revoke(t.Context(), o.lease); err != nil {
		t.Fatal(err)
	}
	<-o.Context().Done()
	if context.Cause(o.Context()) != error(errOrderLost) {
		t.Error(context.Cause(o.Context()))
	}
	cancel()
	o.Release()
}

// The account's key is not in etcd as it is, and goes over to another master key.
func TestAnAccountIsSealed(t *testing.T) {
	s := freshStore(t)
	old, next := NewMasterKey(), NewMasterKey()
	if _, err := s.Initialize(t.Context(), old, "first", make([]byte, 32), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := s.UseMasterKeys(t.Context(), old, next); err != nil {
		t.Fatal(err)
	}
	want := &model.Account{Directory: "https://ca.example.org/dir", Key: []byte("the key of the account"), URL: "https://ca.example.org/1", CreateTime: time.Unix(1e9, 0).UTC()}
	read := func(s *Store) (got *model.Account, err error) {
		err = s.Read(t.Context(), func(tx *Tx) (err error) {
			got, err = tx.Account(want.Directory)
			return err
		})
		return got, err
	}
	if got, err := read(s); got != nil || err != nil {
		t.Fatal(got, err)
	}
	if _, err := s.Update(t.Context(), func(tx *Tx) error {
		if _, err := tx.Account(want.Directory); err != nil {
			return err
		}
		return tx.PutAccount(want)
	}); err != nil {
		t.Fatal(err)
	}
	resp, err := s.client.Get(t.Context(), s.keys.root, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range resp.Kvs {
		if strings.Contains(string(kv.Value), string(want.Key)) {
			t.Errorf("%s shows the key", kv.Key)
		}
	}
	out, err := s.Rekey(t.Context(), next)
	if err != nil || out.Rewritten != 1 || len(out.Left) != 0 {
		t.Fatalf("%+v, %v", out, err)
	}
	if err := s.UseMasterKeys(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	got, err := read(s)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
}
