package command

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestWhatACommandSays(t *testing.T) {
	for _, tt := range []struct{ line, want, err string }{
		{"echo 192.0.2.1; echo noise >&2", "192.0.2.1\n", ""},
		{"exit 3", "", "exit status 3"},
		{"kill -9 $$", "", "signal: killed"},
		{"sleep 60", "", "longer than 500ms"},
		{"head -c 70000 /dev/zero", "", "more than 64 KiB"},
		{"test -z \"$SECRET\" && printf '%s' \"$KEPT\"", "yes", ""},
	} {
		t.Setenv("SECRET", "x")
		got, err := Command{Line: tt.line, Timeout: 500 * time.Millisecond, Environ: []string{"KEPT=yes", "PATH=" + os.Getenv("PATH")}}.Run(t.Context())
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %.40q, %v", tt.line, got, err)
		}
	}
}

// What a command has started ends with it.
func TestACommandThatTakesTooLongEndsWithItsChildren(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	begun := time.Now()
	_, err := Command{Line: "sleep 1000 & echo $! > " + pid + "; wait", Timeout: 500 * time.Millisecond, Environ: os.Environ()}.Run(context.Background())
	if err == nil || time.Since(begun) > 20*time.Second {
		t.Fatalf("%v after %s", err, time.Since(begun))
	}
	raw, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if err := syscall.Kill(child, 0); err != nil || zombie(child) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d is there still", child)
		}
	}
}

func zombie(pid int) bool {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(raw), ") Z ")
}
