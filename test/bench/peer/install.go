package peer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
)

// Missing says why a peer cannot be run here, "" when it can. With Site.Install and
// as root, what is missing is installed first.
func (p Peer) Missing(site *Site) string {
	if p.Package == "" {
		if _, err := p.path(site); err != nil {
			return err.Error()
		}
		if path, _ := p.path(site); !exists(path) {
			return "there is no " + path + ": run make build"
		}
		return ""
	}
	return site.Need(p.Package, func() bool {
		_, err := p.path(site)
		return err == nil && (p.Program != "pdns_server" || PowerDNSHas("bind"))
	})
}

// Need says why Debian packages are not here, "" when they are: there looks. With
// Install and as root, they are installed first.
func (s *Site) Need(packages string, there func() bool) string {
	if there() {
		return ""
	}
	how := "apt-get install " + packages
	if !s.Install || os.Geteuid() != 0 {
		return "it is not installed; root installs it with " + how
	}
	if err := install(packages); err != nil {
		return err.Error()
	}
	if !there() {
		return "it is installed and not found: " + how
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// policy is asked by Debian's packages whether their service may start; 101 says no.
const policy = "/usr/sbin/policy-rc.d"

// install installs Debian packages without letting their services start.
func install(packages string) (err error) {
	f, err := os.OpenFile(policy, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	switch {
	case errors.Is(err, fs.ErrExist): // somebody's own; it decides, and stays
	case err != nil:
		return fmt.Errorf("keep services from starting: %w", err)
	default:
		defer func() { err = errors.Join(err, os.Remove(policy)) }()
		if _, err := f.WriteString("#!/bin/sh\nexit 101\n"); err != nil {
			return errors.Join(err, f.Close())
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	args := append([]string{"install", "-y", "--no-install-recommends"}, strings.Fields(packages)...)
	if err = aptGet(args...); err == nil {
		return nil
	}
	if err := aptGet("update"); err != nil { // the lists are missing, or of versions that are no more
		return err
	}
	return aptGet(args...)
}

func aptGet(args ...string) error {
	cmd := exec.Command("apt-get", append([]string{"-o", "DPkg::Lock::Timeout=120"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w: %s", strings.Join(args, " "), err, out[max(0, len(out)-500):])
	}
	return nil
}
