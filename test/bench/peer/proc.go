package peer

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// stopPatience is how long a server may take to end when it is asked to.
const stopPatience = 30 * time.Second

// Proc is a program that we started, in a process group of its own.
type Proc struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
}

// Run starts a program in a folder, with its output in NAME.log there. It dies with
// us.
func Run(dir, name, path string, env []string, args ...string) (*Proc, error) {
	p := &Proc{name: name, cmd: exec.Command(path, args...), log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, log, log
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // ProcessState has it
		close(p.done)
	}()
	return p, nil
}

// Pid is the process's id.
func (p *Proc) Pid() int { return p.cmd.Process.Pid }

// Ended says what the program has ended with, nil while it runs.
func (p *Proc) Ended() error {
	select {
	case <-p.done:
		raw, _ := os.ReadFile(p.log)
		return fmt.Errorf("%s has ended (%s): %s", p.name, p.cmd.ProcessState, raw[max(0, len(raw)-1000):])
	default:
		return nil
	}
}

// Stop asks the program to end, and ends it and all of its group when it does not.
func (p *Proc) Stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	var err error
	select {
	case <-p.done:
	case <-time.After(stopPatience):
		err = fmt.Errorf("%s did not stop in %s", p.name, stopPatience)
	}
	// Those that it has started and left; the group is only theirs now.
	if kill := syscall.Kill(-p.Pid(), syscall.SIGKILL); kill != nil && !errors.Is(kill, syscall.ESRCH) {
		err = errors.Join(err, fmt.Errorf("end what %s has started: %w", p.name, kill))
	}
	<-p.done
	return err
}
