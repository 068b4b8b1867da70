// Program clocks lets programs be built whose wall clock jumps: it prints the file that
// go's -overlay wants. With CLOCK_JUMPS=N in its environment such a program has another
// time every N seconds, wrong by seconds, minutes, an hour or a day; each process at its
// own times and by its own amounts. Monotonic time goes on as it is.
//
//	GOFLAGS=-overlay=$(go run ./test/clocks) CLOCK_JUMPS=3 go test ./test
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

const (
	now    = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	jumped = now + "\tif jumpEvery != 0 && !runtimeIsBubbled() {\n\t\tsec += jumpBy(mono)\n\t}\n"
)

const jump = `package time

import "syscall"

var (
	jumpEvery int64 // seconds
	jumpSeed  uint64
)

func init() {
	text, _ := syscall.Getenv("CLOCK_JUMPS")
	for _, c := range text {
		jumpEvery = 10*jumpEvery + int64(c-'0')
	}
	jumpSeed = uint64(syscall.Getpid()) * 2654435761
}

// jumpBy is by how many seconds the clock is wrong.
func jumpBy(mono int64) int64 {
	amounts := [...]int64{0, 3600, -3600, 180, -300, 86400, -86400, 7, -7, 1800}
	n := uint64(mono/(jumpEvery*1e9)) + jumpSeed
	n = (n ^ n>>15) * 0x9E3779B97F4A7C15
	return amounts[(n^n>>29)%uint64(len(amounts))]
}
`

func main() {
	file, err := overlay()
	if err != nil {
		fmt.Fprintln(os.Stderr, "clocks:", err)
		os.Exit(1)
	}
	fmt.Println(file)
}

func overlay() (file string, err error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	std := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	source, err := os.ReadFile(filepath.Join(std, "time.go"))
	if err != nil {
		return "", err
	}
	if strings.Count(string(source), now) != 1 {
		return "", errors.New("time.Now of " + runtime.Version() + " is another than this program knows")
	}
	// Always the same place, or everything would be built anew each time.
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("signpost-clocks-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	replace := map[string]string{}
	for name, text := range map[string]string{"time.go": strings.Replace(string(source), now, jumped, 1), "jump.go": jump} {
		replace[filepath.Join(std, name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, raw, 0o600)
}
