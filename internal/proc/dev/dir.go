package dev

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"signpost/internal/model"
)

// dir is the data directory, held by one process at a time.
type dir struct {
	path   string
	lock   *os.File
	remove bool
}

func openDir(o Options) (*dir, error) {
	d := &dir{path: o.DataDir}
	if o.Ephemeral {
		tmp, err := os.MkdirTemp("", "signpost-dev-")
		if err != nil {
			return nil, model.E(model.Precondition, "make data directory", "").From(err)
		}
		d.path, d.remove = tmp, true
	}
	fail := func(err error) (*dir, error) {
		return nil, errors.Join(model.E(model.Precondition, "open data directory", d.path).From(err).
			Hint("give another --data-dir"), d.close())
	}
	var err error
	if d.path, err = filepath.Abs(d.path); err != nil {
		return fail(err)
	}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return fail(err)
	}
	lock, err := os.OpenFile(d.file("lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fail(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		raw, _ := os.ReadFile(lock.Name())
		return fail(errors.Join(errors.New("another signpost-dev uses it (process "+strings.TrimSpace(string(raw))+")"), lock.Close()))
	}
	d.lock = lock // from here on the folder is ours
	err = errors.Join(d.lock.Truncate(0), func() error {
		_, err := d.lock.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
		return err
	}(), os.WriteFile(d.file(".gitignore"), []byte("*\n"), 0o644))
	if err != nil {
		return fail(err)
	}
	return d, nil
}

func (d *dir) file(name string) string { return filepath.Join(d.path, name) }

// Addresses is what DIR/run.json holds while signpost-dev runs.
type Addresses struct {
	PID            int      `json:"pid"`
	DNS            []string `json:"dns"`  // HOST:PORT of each replica, UDP and TCP
	HTTP           string   `json:"http"` // URL
	Etcd           string   `json:"etcd"` // URL
	Zone           string   `json:"zone"`
	AdminTokenFile string   `json:"admin_token_file"`
}

func (d *dir) writeRun(a Addresses) error {
	raw, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	tmp := d.file("run.json.new")
	if err := os.WriteFile(tmp, append(raw, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, d.file("run.json"))
}

func (d *dir) close() error {
	var errs []error
	if d.lock != nil {
		if err := os.Remove(d.file("run.json")); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
		errs = append(errs, d.lock.Close())
	}
	if d.remove {
		errs = append(errs, os.RemoveAll(d.path))
	}
	return errors.Join(errs...)
}
