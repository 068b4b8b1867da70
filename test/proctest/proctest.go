// Package proctest starts the real programs for tests, each on free ports of
// loopback, and ends only those that it started.
package proctest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"signpost/internal/proc/ports"
)

// Patience is how long a test waits for a state that must come. It bounds a failing
// test; no passing test waits for it.
const Patience = 30 * time.Second

// Proc is a program that a test started.
type Proc struct {
	Name string
	t    testing.TB
	args []string
	dir  string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// Start starts a program of ours in a folder; its output goes to NAME.log there and
// is shown when the test fails.
func Start(t testing.TB, dir, name, program string, args ...string) *Proc {
	t.Helper()
	return Run(t, dir, name, Bin(t, program), args...)
}

// Run is Start for a program of others. With the race detector it skips the test: the
// detector does not look into other processes, and make test runs them.
func Run(t testing.TB, dir, name, path string, args ...string) *Proc {
	t.Helper()
	if race {
		t.Skip("started programs have no race detector: run it without -race, as make test does")
	}
	p := &Proc{Name: name, t: t, dir: dir, args: append([]string{path}, args...), log: filepath.Join(dir, name+".log")}
	p.Restart()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			raw, _ := os.ReadFile(p.log)
			t.Logf("---- %s\n%s", p.Name, tail(raw, 4000))
		}
	})
	return p
}

func tail(b []byte, n int) []byte {
	if len(b) > n {
		return b[len(b)-n:]
	}
	return b
}

// Restart starts the program again with the same arguments.
func (p *Proc) Restart() {
	p.t.Helper()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	p.cmd = exec.Command(p.args[0], p.args[1:]...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = p.dir, log, log
	p.cmd.Env = append(os.Environ(), "SIGNPOST_CASES=") // no setting of the tester's
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		cmd.Wait()
		close(done)
	}(p.cmd, p.done)
}

// PID is the program's process id.
func (p *Proc) PID() int { return p.cmd.Process.Pid }

// Kill ends the program at once, as a crash would.
func (p *Proc) Kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// Stop ends the program as an operator would and gives its exit code.
func (p *Proc) Stop() int {
	p.t.Helper()
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(Patience):
		p.t.Errorf("%s did not stop on SIGTERM", p.Name)
		p.Kill()
	}
	return p.cmd.ProcessState.ExitCode()
}

// Pause stops the program in its tracks; Resume lets it go on.
func (p *Proc) Pause()  { p.cmd.Process.Signal(syscall.SIGSTOP) }
func (p *Proc) Resume() { p.cmd.Process.Signal(syscall.SIGCONT) }

// Log is what the program has said, in all its starts.
func (p *Proc) Log() ([]byte, error) { return os.ReadFile(p.log) }

// Exited reports whether the program has ended.
func (p *Proc) Exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Port is a free TCP port.
func Port(t testing.TB) int {
	t.Helper()
	port, err := ports.TCP("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// DNSPort is a port free for UDP and TCP.
func DNSPort(t testing.TB) int {
	t.Helper()
	port, err := ports.Pairs("127.0.0.1", 1)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Addr is a port of loopback.
func Addr(port int) string { return net.JoinHostPort("127.0.0.1", fmt.Sprint(port)) }

// Until asks until the answer is nil, and fails the test with the last one when it
// takes too long.
func Until(t testing.TB, what string, ask func() error) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in %s: %v", what, Patience, err)
		}
		time.Sleep(10 * time.Millisecond) // between questions; nothing rests on how long
	}
}

// Ask sends one question over UDP and gives the rcode and the data of the answers.
func Ask(server, name string, qtype uint16) (rcode int, data []string, err error) {
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), qtype)
	c := dns.Client{Timeout: 2 * time.Second}
	r, _, err := c.Exchange(q, server)
	if err != nil {
		return 0, nil, err
	}
	for _, rr := range r.Answer {
		data = append(data, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	return r.Rcode, data, nil
}

// Answers gives an error unless the server answers just this.
func Answers(server, name string, qtype uint16, want ...string) error {
	rcode, got, err := Ask(server, name, qtype)
	if err != nil {
		return err
	}
	if rcode != dns.RcodeSuccess || strings.Join(got, " ") != strings.Join(want, " ") {
		return fmt.Errorf("%s %s at %s: %s %v, want %v", name, dns.TypeToString[qtype], server, dns.RcodeToString[rcode], got, want)
	}
	return nil
}

// Get does an HTTP GET with Basic credentials and gives status and body.
func Get(ctx context.Context, url, user, password string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(resp.Body)
	return resp.StatusCode, b.String(), err
}

// CLI runs the command line against a server and gives what it prints.
func CLI(t testing.TB, dir, server, tokenFile string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Bin(t, "signpost"), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SIGNPOST_SERVER="+server, "SIGNPOST_TOKEN_FILE="+tokenFile)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("signpost %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}
