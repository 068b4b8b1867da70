//go:build linux

// Package netnstest gives a test a network of its own, in which it may do as it likes.
package netnstest

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

const inside = "NETNS_TEST"

// Inside runs the test again, in a process with a network namespace of its own, where it
// reports true; loopback is up there. Outside it reports false, and the test has its result.
// It skips the test where that takes rights or tools that are not there.
func Inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) == t.Name() {
		IP(t, "link set lo up")
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("only root makes a network namespace")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("iproute2 is not installed")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("in a network of its own: %v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP: "+t.Name()):
		t.Skipf("in a network of its own:\n%s", out)
	}
	return false
}

// IP runs ip(8).
func IP(t *testing.T, args string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", args, err, out)
	}
}

// Link makes an interface that is up, of which nobody is at the other end.
func Link(t *testing.T, name string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "ip", "link", "add", name, "type", "veth", "peer", "name", name+"far").CombinedOutput(); err != nil {
		t.Skipf("no interfaces can be made here: %s", out)
	}
	IP(t, "link set "+name+" up")
	IP(t, "link set "+name+"far up")
}
