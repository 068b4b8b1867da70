package settings

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"signpost/internal/certs"
	"signpost/internal/model"
	"signpost/internal/store"
)

// Etcd says where etcd is and who we are there.
type Etcd struct {
	Endpoints     []string
	Prefix        string
	Cert, Key, CA string // files
	User          string
	PasswordFile  string
}

// EtcdFlags declares its flags.
func EtcdFlags(f *pflag.FlagSet) {
	f.StringSlice("etcd-endpoints", []string{"http://127.0.0.1:2379"}, "etcd client URLs")
	f.String("etcd-prefix", "/signpost", "prefix of all keys")
	f.String("etcd-cert", "", "client certificate for etcd (PEM)")
	f.String("etcd-key", "", "key of the client certificate (PEM)")
	f.String("etcd-ca", "", "certificate authorities that etcd's certificate must come from (PEM)")
	f.String("etcd-user", "", "etcd user")
	f.String("etcd-password-file", "", "file with the etcd user's password")
}

// EtcdFromFlags is what EtcdFlags' flags say. Errors are of kind Invalid.
func EtcdFromFlags(f *pflag.FlagSet) (store.Config, error) {
	var e Etcd
	var problems []error
	for name, to := range map[string]*string{
		"etcd-prefix": &e.Prefix, "etcd-cert": &e.Cert, "etcd-key": &e.Key, "etcd-ca": &e.CA,
		"etcd-user": &e.User, "etcd-password-file": &e.PasswordFile,
	} {
		var err error
		*to, err = f.GetString(name)
		problems = append(problems, err)
	}
	var err error
	e.Endpoints, err = f.GetStringSlice("etcd-endpoints")
	if err := errors.Join(append(append(problems, err), e.Check()...)...); err != nil {
		return store.Config{}, err
	}
	return e.Config(nil)
}

// Check says all that is wrong.
func (e Etcd) Check() []error {
	var problems []error
	bad := func(what, why string) { problems = append(problems, Bad(what, why)) }
	if (e.Cert == "") != (e.Key == "") {
		bad("etcd-cert", "it goes together with etcd-key")
	}
	if (e.User == "") != (e.PasswordFile == "") {
		bad("etcd-user", "it goes together with etcd-password-file")
	}
	if len(e.Endpoints) == 0 {
		bad("etcd-endpoints", "there is none")
	}
	if !strings.HasPrefix(e.Prefix, "/") || strings.Trim(e.Prefix, "/") == "" {
		bad("etcd-prefix", fmt.Sprintf("%q is no path such as /signpost", e.Prefix))
	}
	return problems
}

// Config is what opens a store there.
func (e Etcd) Config(log certs.Log) (store.Config, error) {
	cfg := store.Config{Endpoints: e.Endpoints, Prefix: e.Prefix, User: e.User}
	var err error
	if e.PasswordFile != "" {
		word, err := certs.OpenWord("etcd password", e.PasswordFile, log)
		if err != nil {
			return store.Config{}, model.E(model.Invalid, "read setting", "etcd-password-file").From(err)
		}
		cfg.Password, cfg.PasswordNow = word.Get(), word.Get
	}
	if e.Cert != "" || e.CA != "" {
		if cfg.TLS, err = store.TLSFromFiles(e.Cert, e.Key, e.CA, log); err != nil {
			return store.Config{}, err
		}
	}
	return cfg, nil
}
