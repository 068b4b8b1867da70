package store

import (
	"context"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store/localetcd"
)

const tokenLives = time.Second // the least that etcd can be told

// guardedEtcd is an etcd that asks for users: "dns" may read v1/dns/, "control" may
// read and write all below the prefix, as docs/operations.md says.
func guardedEtcd(t *testing.T) (server *localetcd.Server, root *clientv3.Client) {
	t.Helper()
	server, err := localetcd.Start(localetcd.Options{UnsafeNoFsync: true, TokenTTL: tokenLives})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	open, err := clientv3.New(clientv3.Config{Endpoints: []string{server.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	allow := func(user, prefix string, how clientv3.PermissionType) {
		t.Helper()
		_, err := open.RoleAdd(t.Context(), user)
		check(err)
		if prefix != "" {
			_, err = open.RoleGrantPermission(t.Context(), user, prefix, clientv3.GetPrefixRangeEnd(prefix), how)
			check(err)
		}
		_, err = open.UserAdd(t.Context(), user, user+"'s password")
		check(err)
		_, err = open.UserGrantRole(t.Context(), user, user)
		check(err)
	}
	allow("root", "", 0)
	allow("dns", "/signpost/v1/dns/", clientv3.PermissionType(clientv3.PermRead))
	allow("control", "/signpost/", clientv3.PermissionType(clientv3.PermReadWrite))
	_, err = open.AuthEnable(t.Context())
	check(err)
	root, err = clientv3.New(clientv3.Config{Endpoints: []string{server.Endpoint()}, Username: "root", Password: "root's password"})
	check(err)
	t.Cleanup(func() { root.Close() })
	return server, root
}

func as(t *testing.T, server *localetcd.Server, user, password string) *Store {
	t.Helper()
	s, err := Open(Config{Endpoints: []string{server.Endpoint()}, User: user, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// following is a recorder of what a store follows, with probes so far apart that no
// token outlives the time between two.
func following(t *testing.T, s *Store) *recorder {
	t.Helper()
	r := &recorder{t: t, changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		_ = s.Follow(ctx, r, FollowOptions{ProbeEvery: 3 * tokenLives, BackoffMin: 10 * time.Millisecond, BackoffMax: 100 * time.Millisecond})
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return r
}

// Tokens expire, and are lost with a member that restarts; nobody may notice.
func TestWithUsersOfEtcdTokensAreRenewed(t *testing.T) {
	server, root := guardedEtcd(t)
	control := as(t, server, "control", "control's password")
	initialize(t, control, NewMasterKey())
	createZone(t, control, exampleOrg)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = control.KeepCopy(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	untilCopied(t, control)

	r := following(t, as(t, server, "dns", "dns's password"))
	r.awaitLoads(1)
	change := func(what, addr string) {
		t.Helper()
		var res Result
		var err error
		for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) { // until etcd has a leader again
			if res, err = putHost(t.Context(), control, exampleOrg, "www.example.org.", addr); model.KindOf(err) != model.Unavailable || time.Now().After(deadline) {
				break
			}
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		r.awaitRevision(res.Revision)
		if got, err := addressOf(t, control, "www.example.org."); err != nil || got != addr {
			t.Errorf("%s: the control service reads %s, %v", what, got, err)
		}
	}
	change("at first", "192.0.2.1")
	// Each probe is later than a token lives: its confirmation proves a new one.
	seen := len(r.now().confirms)
	r.await("two more confirmations", func() bool { return len(r.confirms) >= seen+2 })
	if loads := r.now().loads; loads != 1 {
		t.Errorf("the whole was read %d times", loads)
	}
	change("after tokens expired", "192.0.2.2")
	if _, err := control.Status(t.Context()); err != nil {
		t.Errorf("status: %v", err)
	}
	if h, err := control.History(t.Context()); err != nil || h.Revision == 0 {
		t.Errorf("history: %v, %v", h, err)
	}
	if _, err := control.Sweep(t.Context(), time.Now()); err != nil {
		t.Errorf("sweep: %v", err)
	}

	server.Stop()
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	change("after a restart", "192.0.2.3")
	// Any change of users makes all tokens old.
	if _, err := root.UserAdd(t.Context(), "somebody", "x"); err != nil {
		t.Fatal(err)
	}
	change("after a change of users", "192.0.2.4")
}

func TestWithUsersOfEtcdANameServerMayOnlyReadWhatItAnswers(t *testing.T) {
	server, _ := guardedEtcd(t)
	control := as(t, server, "control", "control's password")
	initialize(t, control, NewMasterKey())
	createZone(t, control, exampleOrg)
	dns := as(t, server, "dns", "dns's password")
	for what, err := range map[string]error{
		"a write": func() error {
			_, err := putHost(t.Context(), dns, exampleOrg, "www.example.org.", "192.0.2.1")
			return err
		}(),
		"a read of tokens": dns.Read(t.Context(), func(tx *Tx) error { _, err := tx.Token(make([]byte, 32)); return err }),
		"a wrong password": as(t, server, "dns", "nonsense").Read(t.Context(), func(tx *Tx) error { _, err := tx.Zone(exampleOrg); return err }),
		"no user": func() error {
			s, err := Open(Config{Endpoints: []string{server.Endpoint()}})
			if err != nil {
				return err
			}
			defer s.Close()
			return s.Read(t.Context(), func(tx *Tx) error { _, err := tx.Zone(exampleOrg); return err })
		}(),
	} {
		// Not Denied: that would tell a client that its own credential is bad.
		if model.KindOf(err) != model.Unavailable || err == nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := dns.Read(t.Context(), func(tx *Tx) error { _, err := tx.get(dns.keys.zone(exampleOrg)); return err }); err != nil {
		t.Errorf("a read of what it answers: %v", err)
	}
}
