package rights

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/store/localetcd"
)

func dial(t *testing.T, c store.Config) *clientv3.Client {
	t.Helper()
	client, err := store.Dial(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func users() Options {
	return Options{
		Prefix: "/signpost", DNS: []string{"dns1", "dns2"}, Control: []string{"control"},
		Monitors: map[string]string{"north": "monitor-north", "south": "monitor-south"},
	}
}

func password(user string) (string, error) { return user + "'s password", nil }

// The whole of what each may do, on a real etcd that asks for users. What etcd gives
// anybody whom it knows is here as well: leases, and a look at its members.
func TestEachMayDoWhatItNeedsAndNothingElse(t *testing.T) {
	etcd := store.Config{Endpoints: []string{localetcd.New(t).Endpoint()}}
	var said strings.Builder
	how := How{Password: password, EnableAuth: true, Out: &said}
	if err := Apply(t.Context(), etcd, users(), how); err != nil {
		t.Fatal(err)
	}
	t.Log(said.String())
	const (
		zone, name   = "/signpost/v1/dns/zone/org.example.", "/signpost/v1/dns/name/org.example./1/www."
		vote         = "/signpost/v1/dns/vote/north/org.example./www./main"
		otherVote    = "/signpost/v1/dns/vote/south/org.example./www./main"
		longerVote   = "/signpost/v1/dns/vote/north2/org.example./www./main"
		register     = "/signpost/v1/dns/checker/north"
		rev, host    = "/signpost/v1/dns/rev/all", "/signpost/v1/ctl/host/org.example./1/www."
		check, audit = "/signpost/v1/check/org.example./1/www.", "/signpost/v1/audit/1"
		live, beat   = "/signpost/v1/live/checker/north", "/signpost/v1/beat/org.example./www./main"
		otherLive    = "/signpost/v1/live/checker/south"
		beside       = "/signpost2/v1/dns/zone/org.example."
	)
	keys := []string{zone, name, vote, otherVote, longerVote, register, rev, host, check, audit, live, beat, otherLive, beside}
	may := map[string]struct{ read, write []string }{
		"dns1":          {read: []string{zone, name, vote, otherVote, longerVote, register, rev}},
		"dns2":          {read: []string{zone, name, vote, otherVote, longerVote, register, rev}},
		"control":       {read: keys[:len(keys)-1], write: keys[:len(keys)-1]},
		"monitor-north": {read: []string{zone, name, vote, otherVote, longerVote, register, rev, check, live, beat, otherLive}, write: []string{vote, register, live, rev}},
		"root":          {read: keys, write: keys},
	}
	for user, m := range may {
		c := etcd
		c.User = user
		c.Password, _ = password(user)
		client := dial(t, c)
		for _, key := range keys {
			tries := map[string]func() error{
				"read":   func() error { _, err := client.Get(t.Context(), key); return err },
				"put":    func() error { _, err := client.Put(t.Context(), key, ""); return err },
				"delete": func() error { _, err := client.Delete(t.Context(), key); return err },
				"change": func() error {
					_, err := client.Txn(t.Context()).Then(clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpPut(key, "")}, nil)).Commit()
					return err
				},
				"compare": func() error {
					_, err := client.Txn(t.Context()).If(clientv3.Compare(clientv3.ModRevision(key), "=", 0)).Commit()
					return err
				},
			}
			for what, try := range tries {
				allowed := slices.Contains(m.write, key)
				if what == "read" || what == "compare" {
					allowed = slices.Contains(m.read, key)
				}
				switch err := try(); {
				case allowed && err != nil:
					t.Errorf("%s may not %s %s: %v", user, what, key, err)
				case !allowed && !errors.Is(err, rpctypes.ErrPermissionDenied):
					t.Errorf("%s may %s %s: %v", user, what, key, err)
				}
			}
		}
		if user == root {
			continue
		}
		if _, err := client.Grant(t.Context(), 60); err != nil {
			t.Errorf("%s may not have a lease: %v", user, err)
		}
		if _, err := client.Status(t.Context(), etcd.Endpoints[0]); err != nil {
			t.Errorf("%s may not ask how a member is: %v", user, err)
		}
		for what, err := range map[string]error{
			"compact":          func() error { _, err := client.Compact(t.Context(), 1); return err }(),
			"make users":       func() error { _, err := client.UserAdd(t.Context(), "x", "y"); return err }(),
			"turn off users":   func() error { _, err := client.AuthDisable(t.Context()); return err }(),
			"defragment":       func() error { _, err := client.Defragment(t.Context(), etcd.Endpoints[0]); return err }(),
			"read everything":  func() error { _, err := client.Get(t.Context(), "", clientv3.WithPrefix()); return err }(),
			"delete all of it": func() error { _, err := client.Delete(t.Context(), "/signpost", clientv3.WithPrefix()); return err }(),
		} {
			if !errors.Is(err, rpctypes.ErrPermissionDenied) && !errors.Is(err, rpctypes.ErrGRPCPermissionDenied) {
				t.Errorf("%s may %s: %v", user, what, err)
			}
		}
	}
	if _, err := dial(t, etcd).Get(t.Context(), zone); err == nil {
		t.Error("somebody without a user may read")
	}
}

func TestItCanBeDoneAgain(t *testing.T) {
	etcd := store.Config{Endpoints: []string{localetcd.New(t).Endpoint()}}
	client := dial(t, etcd)
	apply := func(o Options, how How) string {
		t.Helper()
		var said strings.Builder
		how.Out = &said
		if err := Apply(t.Context(), etcd, o, how); err != nil {
			t.Fatalf("%v, after: %s", err, &said)
		}
		return said.String()
	}
	has := func(said string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(said, w) {
				t.Errorf("it does not say %q:\n%s", w, said)
			}
		}
	}
	has(apply(users(), How{DryRun: true, Password: password, EnableAuth: true}), "would make role signpost-dns\n",
		"would let role signpost-monitor-north write /signpost/v1/dns/vote/north/*\n", "would turn on authentication\n")
	if r, err := client.RoleList(t.Context()); err != nil || len(r.Roles) > 0 {
		t.Errorf("a dry run made %v, %v", r, err)
	}
	has(apply(users(), How{}), "done: make role root\n", "make user dns1, without a password: whoever has a certificate with the common name dns1\n",
		"authentication is off, so anybody")
	has(apply(users(), How{}), "users and roles are as they should be\n")

	// What somebody has given a role besides is taken back; a role of a user's that is not
	// ours is not ours to take.
	if _, err := client.RoleGrantPermission(t.Context(), "signpost-dns", "/signpost/v1/", "/signpost/v10", clientv3.PermissionType(clientv3.PermReadWrite)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.RoleAdd(t.Context(), "theirs"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.UserGrantRole(t.Context(), "control", "theirs"); err != nil {
		t.Fatal(err)
	}
	has(apply(users(), How{}), "let role signpost-dns no longer read and write /signpost/v1/*\n", "note: user control also has the role theirs")

	// With users asked for, root goes on.
	has(apply(users(), How{Password: password, EnableAuth: true}), "make user control anew, with its password\n", "note: user control also has the role theirs", "root gets in\n")
	err := Apply(t.Context(), etcd, users(), How{Password: password})
	if model.KindOf(err) != model.Precondition || !strings.Contains(err.Error(), "root") {
		t.Errorf("without a user: %v", err)
	}
	anybody := etcd
	anybody.User, anybody.Password = "control", "control's password"
	if err := Apply(t.Context(), anybody, users(), How{Password: password}); model.KindOf(err) != model.Precondition || !strings.Contains(err.Error(), "root's certificate") {
		t.Errorf("as control: %v", err)
	}
	etcd.User, etcd.Password = root, "root's password"
	more := users()
	more.Monitors["west"] = "monitor-west"
	said := apply(more, How{Password: func(u string) (string, error) { return "another password of " + u, nil }, EnableAuth: true})
	has(said, "done: make user monitor-west, with a password\n", "authentication is on\n")
	if strings.Contains(said, "anew") {
		t.Errorf("it changed passwords that are in use: %s", said)
	}
	has(apply(more, How{Password: password}), "users and roles are as they should be\n")
}

func TestNobodyIsLockedOut(t *testing.T) {
	etcd := store.Config{Endpoints: []string{localetcd.New(t).Endpoint()}}
	for _, dry := range []bool{true, false} {
		err := Apply(t.Context(), etcd, users(), How{EnableAuth: true, DryRun: dry, Out: &strings.Builder{}})
		if model.KindOf(err) != model.Precondition || !strings.Contains(err.Error(), "neither a certificate nor a password") {
			t.Errorf("%v", err)
		}
	}
	if r, err := dial(t, etcd).RoleList(t.Context()); err != nil || len(r.Roles) > 0 {
		t.Errorf("it made %v, %v", r, err)
	}
}

func TestUsersThatCannotBe(t *testing.T) {
	for what, o := range map[string]Options{
		"it is no name of a user":        {DNS: []string{""}},
		"it is given twice":              {DNS: []string{"a", "a"}},
		"the role signpost-control and":  {DNS: []string{"a"}, Control: []string{"a"}},
		"the role root":                  {Control: []string{"root"}},
		"small letters, digits and hyph": {Monitors: map[string]string{"No/rth": "m"}},
	} {
		o.Prefix = "/signpost"
		if err := Apply(t.Context(), store.Config{}, o, How{}); model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
