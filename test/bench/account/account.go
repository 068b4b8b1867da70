// Package account answers one question: what has a server used, by the operating
// system's account of its processes?
package account

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of /proc/PID/stat: 100 a second on every Linux.
const tick = 10 * time.Millisecond

// process is what stat(5) says of one.
type process struct {
	pid, parent int
	used        time.Duration // user and system, with that of children that have ended
}

func readProcess(pid int) (process, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	text := string(raw)
	f := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(f) < 15 {
		return process{}, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(f))
	}
	p := process{pid: pid}
	if p.parent, err = strconv.Atoi(f[1]); err != nil {
		return process{}, err
	}
	for _, s := range f[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return process{}, err
		}
		p.used += time.Duration(n) * tick
	}
	return p, nil
}

// tree is the processes that descend from roots, with them.
func tree(roots []int) ([]process, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	all := map[int]process{}
	for _, d := range dirs {
		pid, err := strconv.Atoi(filepath.Base(d))
		if err != nil {
			continue
		}
		if p, err := readProcess(pid); err == nil { // else it has just ended
			all[pid] = p
		}
	}
	root := map[int]bool{}
	for _, pid := range roots {
		if _, ok := all[pid]; !ok {
			return nil, fmt.Errorf("process %d has ended", pid)
		}
		root[pid] = true
	}
	var out []process
	for _, p := range all {
		for up, ok := p, true; ok; up, ok = all[up.parent] {
			if root[up.pid] {
				out = append(out, p)
				break
			}
		}
	}
	return out, nil
}

// Processor is the processor time that these processes, their threads and all that
// descend from them have used so far. It is exact to 10 ms a process.
func Processor(roots ...int) (time.Duration, error) {
	ps, err := tree(roots)
	var sum time.Duration
	for _, p := range ps {
		sum += p.used
	}
	return sum, err
}

// Memory is in octets, summed over processes.
type Memory struct {
	Resident uint64 // RSS: pages shared by several processes count in each
	Share    uint64 // PSS: they count once
	Peak     uint64 // the greatest RSS that each has had
}

// Now is the memory of these processes and of all that descend from them.
func Now(roots ...int) (Memory, error) {
	ps, err := tree(roots)
	if err != nil {
		return Memory{}, err
	}
	var m Memory
	for _, p := range ps {
		err = errors.Join(
			sizes(p.pid, "status", map[string]*uint64{"VmRSS:": &m.Resident, "VmHWM:": &m.Peak}),
			sizes(p.pid, "smaps_rollup", map[string]*uint64{"Pss:": &m.Share}))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ESRCH) { // it may end meanwhile
			return Memory{}, err
		}
	}
	return m, nil
}

// sizes adds the lines "NAME N kB" of a file of the process.
func sizes(pid int, file string, to map[string]*uint64) error {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) != 3 || to[f[0]] == nil {
			continue
		}
		n, err := strconv.ParseUint(f[1], 10, 64)
		if err != nil {
			return fmt.Errorf("/proc/%d/%s: %w", pid, file, err)
		}
		*to[f[0]] += n << 10
	}
	return nil
}
