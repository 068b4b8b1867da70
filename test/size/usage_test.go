package size

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"signpost/test/proctest"
)

// memory is of one process, in octets, as the operating system says.
type memory struct {
	Resident  int64 `json:"resident"`
	Anonymous int64 `json:"anonymous"` // of Resident, what is no part of a file
	Most      int64 `json:"most"`      // that was ever resident
}

func (w *world) memory(p *proctest.Proc) memory {
	w.t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		w.t.Skipf("this system does not say what a process holds: %v", err)
	}
	of := func(field string) int64 { return fieldOf(w.t, string(raw), field) }
	return memory{Resident: of("VmRSS"), Anonymous: of("RssAnon"), Most: of("VmHWM")}
}

// fieldOf is a number of octets in a list of the operating system's, in which it is in kB.
func fieldOf(t *testing.T, list, field string) int64 {
	t.Helper()
	for line := range strings.Lines(list) {
		if name, rest, _ := strings.Cut(line, ":"); name == field {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err == nil {
				return n << 10
			}
		}
	}
	t.Fatalf("there is no %s in what the system says", field)
	return 0
}

// processorTime is user and system time since the start of a process, in steps of
// 10 ms.
func (w *world) processorTime(p *proctest.Proc) time.Duration {
	w.t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		w.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), ") ") // the name of the program may hold spaces
	fields := strings.Fields(rest)
	ticks := 0
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			w.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
