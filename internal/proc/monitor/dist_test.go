package monitor

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const unitFile = "../../../dist/signpost-monitor.service"

func readFile(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// The file that the manual shows for the unit is one that the monitor takes, with the
// flags of the unit.
func TestTheManualsFileAndTheUnitGoTogether(t *testing.T) {
	manual, unit := readFile(t, "../../../docs/operations.md"), readFile(t, unitFile)
	file := regexp.MustCompile("(?s)```yaml\n(# /etc/signpost/monitor.yaml\n.*?)```").FindStringSubmatch(manual)
	start := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/signpostd monitor --config /etc/signpost/monitor.yaml (.*)$`).FindStringSubmatch(unit)
	if file == nil || start == nil {
		t.Fatalf("the manual shows %q, the unit starts %q", file, start)
	}
	c, err := load(t, file[1], nil, strings.Fields(start[1])...)
	if err != nil || c.Site != "north" || len(c.EtcdEndpoints) != 3 || c.EtcdKey != "%d/etcd.key" {
		t.Errorf("%+v, %v", c, err)
	}
	for _, flag := range regexp.MustCompile(`%d/(\S+)`).FindAllStringSubmatch(start[1], -1) {
		if !strings.Contains(unit, "\nLoadCredential="+flag[1]+":/etc/signpost/") {
			t.Errorf("the unit loads no credential %s", flag[1])
		}
	}
}

func TestSystemdTakesTheUnitAndFindsItShutIn(t *testing.T) {
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed: apt-get install systemd")
	}
	self, err := os.Executable() // a program that is there, in the place of ours
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "signpost-monitor.service")
	if err := os.WriteFile(unit, []byte(strings.ReplaceAll(readFile(t, unitFile), "/usr/local/bin/signpostd", self)), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), path, "verify", unit).CombinedOutput(); err != nil || strings.Contains(string(out), "signpost-monitor") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), path, "security", "--offline=true", "--no-pager", unit).CombinedOutput()
	level := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
	if err != nil || level == nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n, err := strconv.ParseFloat(string(level[1]), 64); err != nil || n > 2 {
		t.Errorf("exposure %s of 10, want at most 2\n%s", level[1], out)
	} else {
		t.Logf("exposure %s of 10", level[1])
	}
}
