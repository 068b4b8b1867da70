// Package etcdinit answers one question: how does "signpostd etcd-init" give each of our
// processes its rights in a real etcd?
package etcdinit

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"signpost/internal/model"
	"signpost/internal/proc/settings"
	"signpost/internal/store"
	"signpost/internal/store/rights"
)

// Options is what is asked for.
type Options struct {
	Etcd        store.Config // whose user may change users: root, as soon as etcd asks for users
	Users       rights.Options
	PasswordDir string // where each user's password is, USER.password; empty: users have none
	EnableAuth  bool
	DryRun      bool
}

// Flags declares the flags.
func Flags(f *pflag.FlagSet) {
	settings.EtcdFlags(f)
	f.StringSlice("dns-user", []string{"signpost-dns"}, "users of name servers: the common names of their certificates")
	f.StringSlice("control-user", []string{"signpost-control"}, "users of control services")
	f.StringSlice("site", nil, "SITE[=USER] of each site with a monitor; the user is signpost-monitor-SITE if not given")
	f.String("password-dir", "", "give users passwords, made where there is none, in DIR/USER.password; without it certificates name users")
	f.Bool("enable-auth", false, "at last let etcd ask for users; refused when root could not get in afterwards")
	f.Bool("dry-run", false, "say what would be done, and do nothing")
}

// Parse reads the flags. Errors are of kind Invalid.
func Parse(f *pflag.FlagSet) (Options, error) {
	o := Options{Users: rights.Options{Monitors: map[string]string{}}}
	var errs [7]error
	o.Etcd, errs[0] = settings.EtcdFromFlags(f)
	o.Users.Prefix = o.Etcd.Prefix
	o.Users.DNS, errs[1] = f.GetStringSlice("dns-user")
	o.Users.Control, errs[2] = f.GetStringSlice("control-user")
	sites, err := f.GetStringSlice("site")
	errs[3] = err
	o.PasswordDir, errs[4] = f.GetString("password-dir")
	o.EnableAuth, errs[5] = f.GetBool("enable-auth")
	o.DryRun, errs[6] = f.GetBool("dry-run")
	problems := errs[:]
	for _, s := range sites {
		site, user, given := strings.Cut(s, "=")
		if !given {
			user = "signpost-monitor-" + site
		}
		if _, twice := o.Users.Monitors[site]; twice {
			problems = append(problems, model.E(model.Invalid, "read flag", "--site").Because("the site "+site+" is given twice"))
		}
		o.Users.Monitors[site] = user
	}
	return o, errors.Join(problems...)
}

// Run makes users and roles, and writes a line for each step to out.
func Run(ctx context.Context, o Options, out io.Writer) error {
	how := rights.How{DryRun: o.DryRun, EnableAuth: o.EnableAuth, Out: out}
	if o.PasswordDir != "" {
		how.Password = func(user string) (string, error) { return password(o.PasswordDir, user) }
	}
	return rights.Apply(ctx, o.Etcd, o.Users, how)
}

// password is what is in a user's file, which is made with a random one (130 bits) when
// it is not there.
func password(dir, user string) (string, error) {
	file := filepath.Join(dir, user+".password")
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		raw = []byte(rand.Text() + "\n")
		err = os.WriteFile(file, raw, 0o600)
	}
	if err != nil {
		return "", model.E(model.Precondition, "keep the password of", user).From(err)
	}
	text := strings.TrimSpace(string(raw))
	if text == "" {
		return "", model.E(model.Precondition, "read password", file).Because("the file is empty").Hint("remove it, and a new one is made")
	}
	return text, nil
}
