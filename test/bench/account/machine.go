package account

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Machine is what figures cannot be read without.
type Machine struct {
	CPU       string
	Cores     int
	MemoryMiB uint64
	Kernel    string
	System    string
	Go        string
	// Load is the number of processes that ran or wanted to, over the last minute,
	// when the comparison began: on a quiet machine it is near 0.
	Load float64
}

// Here is the machine that this runs on. What cannot be found out is left empty.
func Here() Machine {
	m := Machine{
		CPU: field("/proc/cpuinfo", "model name", ":"), Cores: runtime.NumCPU(), Go: runtime.Version(),
		System: strings.Trim(field("/etc/os-release", "PRETTY_NAME", "="), `"`),
	}
	if f := strings.Fields(read("/proc/sys/kernel/osrelease")); len(f) > 0 {
		m.Kernel = f[0]
	}
	if f := strings.Fields(field("/proc/meminfo", "MemTotal", ":")); len(f) > 0 {
		kib, _ := strconv.ParseUint(f[0], 10, 64)
		m.MemoryMiB = kib >> 10
	}
	if f := strings.Fields(read("/proc/loadavg")); len(f) > 0 {
		m.Load, _ = strconv.ParseFloat(f[0], 64)
	}
	return m
}

func read(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(raw)
}

// field is what follows a name and a separator, on the first line that has it.
func field(path, name, sep string) string {
	for line := range strings.Lines(read(path)) {
		if k, v, ok := strings.Cut(line, sep); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
