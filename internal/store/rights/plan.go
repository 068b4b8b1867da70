package rights

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// A step is one change of etcd.
type step struct {
	say string
	do  func(context.Context, *clientv3.Client) error
}

// state is what etcd has.
type state struct {
	enabled bool
	roles   map[string][]permission
	users   map[string][]string // roles of each
}

// look reads what etcd has. Who is not root is told so once authentication is on.
func look(ctx context.Context, c *clientv3.Client) (state, error) {
	s := state{roles: map[string][]permission{}, users: map[string][]string{}}
	status, err := c.AuthStatus(ctx)
	if err != nil {
		return s, refused(err, "ask etcd whether it asks for users")
	}
	s.enabled = status.Enabled
	roles, err := c.RoleList(ctx)
	if err != nil {
		return s, refused(err, "list etcd's roles")
	}
	for _, name := range roles.Roles {
		r, err := c.RoleGet(ctx, name)
		if err != nil {
			return s, refused(err, "read etcd's role "+name)
		}
		s.roles[name] = nil
		for _, p := range r.Perm {
			s.roles[name] = append(s.roles[name], permission{string(p.Key), string(p.RangeEnd), clientv3.PermissionType(p.PermType)})
		}
	}
	users, err := c.UserList(ctx)
	if err != nil {
		return s, refused(err, "list etcd's users")
	}
	for _, name := range users.Users {
		u, err := c.UserGet(ctx, name)
		if err != nil {
			return s, refused(err, "read etcd's user "+name)
		}
		s.users[name] = u.Roles
	}
	return s, nil
}

// refused says what to do about an error of etcd's.
func refused(err error, op string) error {
	for _, denied := range []error{
		rpctypes.ErrPermissionDenied, rpctypes.ErrUserEmpty, rpctypes.ErrAuthFailed, rpctypes.ErrInvalidAuthToken,
		rpctypes.ErrGRPCPermissionDenied, rpctypes.ErrGRPCUserEmpty, rpctypes.ErrGRPCAuthFailed, rpctypes.ErrGRPCInvalidAuthToken,
	} {
		if errors.Is(err, denied) {
			return model.E(model.Precondition, op, "").From(err).Because("etcd asks for users, and does not take us for root (" + err.Error() + ")").
				Hint("give root's certificate, whose common name is root, with --etcd-cert and --etcd-key, or --etcd-user root with --etcd-password-file")
		}
	}
	return model.E(model.Unavailable, op, "").From(err).Hint("check --etcd-endpoints and the certificates")
}

// steps is what makes etcd as it is wanted, in order; notes is what is left alone and
// worth a look. password gives a user's, "" for none: then its certificate names it.
// While etcd does not ask for users nobody uses passwords, so users that there
// are already get theirs as well; later they are left alone.
func (s state) steps(roles []role, password func(user string) (string, error)) (out []step, notes []string) {
	add := func(do func(context.Context, *clientv3.Client) error, format string, args ...any) {
		out = append(out, step{fmt.Sprintf(format, args...), do})
	}
	addRole := func(name string) {
		if _, there := s.roles[name]; !there {
			add(func(ctx context.Context, c *clientv3.Client) error { _, err := c.RoleAdd(ctx, name); return err }, "make role %s", name)
		}
	}
	addUser := func(name, has string) {
		had, there := s.users[name]
		text, err := password(name)
		switch {
		case err != nil:
			add(func(context.Context, *clientv3.Client) error { return err }, "make user %s", name)
		case !there && text == "":
			add(func(ctx context.Context, c *clientv3.Client) error {
				_, err := c.UserAddWithOptions(ctx, name, "", &clientv3.UserAddOptions{NoPassword: true})
				return err
			}, "make user %s, without a password: whoever has a certificate with the common name %s", name, name)
		case !there:
			add(func(ctx context.Context, c *clientv3.Client) error { _, err := c.UserAdd(ctx, name, text); return err }, "make user %s, with a password", name)
		case text != "" && !s.enabled:
			add(func(ctx context.Context, c *clientv3.Client) error { return anew(ctx, c, name, text, had) }, "make user %s anew, with its password", name)
		}
		if !slices.Contains(had, has) {
			add(func(ctx context.Context, c *clientv3.Client) error {
				_, err := c.UserGrantRole(ctx, name, has)
				return err
			}, "give user %s the role %s", name, has)
		}
		for _, other := range had {
			if other != has {
				notes = append(notes, fmt.Sprintf("user %s also has the role %s, which is not of our making; it stays", name, other))
			}
		}
	}
	for _, r := range roles {
		addRole(r.name)
		want := inEtcd(r.rights)
		for _, p := range s.roles[r.name] {
			if !slices.Contains(want, p) {
				add(func(ctx context.Context, c *clientv3.Client) error {
					_, err := c.RoleRevokePermission(ctx, r.name, p.key, p.end)
					return err
				}, "let role %s no longer %s", r.name, p)
			}
		}
		for _, p := range want {
			if !slices.Contains(s.roles[r.name], p) {
				add(func(ctx context.Context, c *clientv3.Client) error {
					_, err := c.RoleGrantPermission(ctx, r.name, p.key, p.end, p.how)
					return err
				}, "let role %s %s", r.name, p)
			}
		}
		for _, u := range r.users {
			addUser(u, r.name)
		}
	}
	addRole(root)
	addUser(root, root)
	return out, notes
}

// anew gives a user a password. etcd does not say whether a user was made without one, and
// takes a new password of such a user without using it: nobody could be root any more.
func anew(ctx context.Context, c *clientv3.Client, name, password string, roles []string) error {
	if _, err := c.UserDelete(ctx, name); err != nil {
		return err
	}
	if _, err := c.UserAdd(ctx, name, password); err != nil {
		return err
	}
	for _, r := range roles {
		if _, err := c.UserGrantRole(ctx, name, r); err != nil {
			return err
		}
	}
	return nil
}
