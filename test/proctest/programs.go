package proctest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// root is the module's folder.
var root = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	return strings.TrimSpace(string(out)), err
})

// build brings the programs of the packages, which are named from the module's folder, up
// to date in its bin/test, as what name says or, where it is empty, each under its own. All
// tests share that folder: what one has linked is not linked again.
func build(name string, packages ...string) (dir string, err error) {
	top, err := root()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(top, "bin", "test")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// One at a time: packages of tests run beside each other.
	lock, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	cmd := exec.Command("go", append([]string{"build", "-buildvcs=false", "-ldflags", "-s -w", "-o", dir + "/" + name}, packages...)...)
	cmd.Dir = top
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
}

var programs = sync.OnceValues(func() (string, error) { return build("", "./cmd/...", "./test/cmd/...") })

// Bin is the path of a program, built on first use.
func Bin(t testing.TB, name string) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// BinAs is the path of the program of one package, under another name.
func BinAs(t testing.TB, name, pkg string) string {
	t.Helper()
	dir, err := build(name, pkg)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}
