package rights

import (
	"context"
	"fmt"
	"io"
	"time"

	"signpost/internal/model"
	"signpost/internal/store"
)

// How is how Apply goes about it.
type How struct {
	DryRun     bool // say what would be done, and do nothing
	EnableAuth bool // at last have etcd ask for users
	// Password gives a user's; it may make it. Nil: users have none, and their
	// certificates name them.
	Password func(user string) (string, error)
	Out      io.Writer // a line for each step when it is done
}

const applyWithin = 2 * time.Minute

// Apply makes users and roles in the etcd that c names. What is right is left as it is,
// so that it can be done again. Errors are of kind Invalid for what was asked, Precondition
// when etcd would lock everybody out or does not take us for root, else Unavailable.
func Apply(ctx context.Context, c store.Config, o Options, how How) error {
	roles, err := o.wanted()
	if err != nil {
		return err
	}
	client, err := store.Dial(c)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }() // what was done is done
	ctx, cancel := context.WithTimeout(ctx, applyWithin)
	defer cancel()
	had, err := look(ctx, client)
	if err != nil {
		return err
	}
	password := how.password(c)
	turnOn := how.EnableAuth && !had.enabled
	if turnOn { // looked at before anything is changed
		if err := canBeRoot(ctx, client, c, how.Password != nil || c.User == root); err != nil {
			return err
		}
	}
	steps, notes := had.steps(roles, password)
	say := func(format string, args ...any) { fmt.Fprintf(how.Out, format+"\n", args...) }
	for _, s := range steps {
		if how.DryRun {
			say("would %s", s.say)
			continue
		}
		if err := s.do(ctx, client); err != nil {
			if model.KindOf(err) != model.Internal {
				return err
			}
			return refused(err, s.say)
		}
		say("done: %s", s.say)
	}
	for _, n := range notes {
		say("note: %s", n)
	}
	if len(steps) == 0 {
		say("users and roles are as they should be")
	}
	switch {
	case had.enabled:
		say("authentication is on")
	case !how.EnableAuth:
		say("authentication is off, so anybody who reaches etcd may do anything; --enable-auth turns it on")
	case how.DryRun:
		say("would turn on authentication")
	default:
		text, err := password(root)
		if err == nil {
			err = enable(ctx, client, c, text)
		}
		if err != nil {
			return err
		}
		say("done: turn on authentication; root gets in")
	}
	return nil
}

// password is How.Password, but root's is the one that we were given for root. A dry run
// makes none.
func (h How) password(c store.Config) func(string) (string, error) {
	return func(user string) (string, error) {
		switch {
		case user == root && c.User == root:
			return c.Password, nil
		case h.Password == nil:
			return "", nil
		case h.DryRun:
			return "a password", nil
		}
		return h.Password(user)
	}
}
