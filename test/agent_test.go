package test

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"signpost/test/proctest"
)

// mostSize is what the program that goes onto every machine may have.
const mostSize = 20_000_000

func TestTheAgentIsOneStaticProgramUnder20MB(t *testing.T) {
	path := proctest.Bin(t, "signpost")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f MB", float64(info.Size())/1e6)
	if info.Size() >= mostSize {
		t.Errorf("cmd/signpost has %d bytes", info.Size())
	}
	f, err := elf.Open(path)
	if err != nil {
		t.Skipf("not ELF: %v", err)
	}
	defer f.Close()
	if libs, err := f.ImportedLibraries(); err != nil || len(libs) > 0 || f.Section(".interp") != nil {
		t.Errorf("it needs %v, %v", libs, err)
	}
}

// unit is systemd's end of its conversation with a service.
type unit struct {
	mu    sync.Mutex
	heard []string
}

func newUnit(t *testing.T) *unit {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	u := &unit{}
	var reading sync.WaitGroup
	reading.Go(func() { // all the time, as systemd does
		for buffer := make([]byte, 4096); ; {
			n, err := c.Read(buffer)
			if err != nil {
				return
			}
			u.mu.Lock()
			u.heard = append(u.heard, string(buffer[:n]))
			u.mu.Unlock()
		}
	})
	t.Cleanup(func() { c.Close(); reading.Wait() })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "400000")
	return u
}

// hears waits until a message matches.
func (u *unit) hears(t *testing.T, pattern string) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	proctest.Until(t, "a message to systemd", func() error {
		u.mu.Lock()
		defer u.mu.Unlock()
		if !slices.ContainsFunc(u.heard, re.MatchString) {
			return fmt.Errorf("none of %q matches %s", u.heard, pattern)
		}
		return nil
	})
}

// A machine's agent, two control services of which one hangs and then the other dies, and
// two name servers: the name follows the machine all the time, and on SIGTERM goes to its
// other endpoint.
func TestAnAgentAsAProcess(t *testing.T) {
	c := startCluster(t)
	const app = "app.vo.example.org"
	c.signpost(t, "zone", "create", "vo.example.org", "--ns", "ns.example.net")
	c.signpost(t, "host", "create", app, "--quiet")
	for id, ip := range map[string]string{"a": "192.0.2.100", "b": "198.51.100.1"} {
		c.signpost(t, "endpoint", "set", app, id, "--ip", ip)
	}
	secret := strings.TrimSpace(c.signpost(t, "endpoint", "rotate-secret", app, "a", "--quiet"))
	write := func(name, text string) {
		t.Helper()
		temp := filepath.Join(c.dir, name+".new")
		if err := os.WriteFile(temp, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temp, filepath.Join(c.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	write("secret", secret+"\n")
	write("address", "192.0.2.1\n")
	write("agent.yaml", fmt.Sprintf("server: [%s]\nhost: %s\nendpoint: a\nsecret-file: secret\naddress-command: cat address\npoll: 1s\ndrain: true\ndrain-time: 500ms\n",
		strings.Join(c.controlURLs, ", "), app))

	systemd := newUnit(t)
	agent := proctest.Start(t, c.dir, "agent", "signpost", "agent", "--config", "agent.yaml")
	systemd.hears(t, "^READY=1$")
	if out := c.signpost(t, "endpoint", "list", app); !strings.Contains(out, "192.0.2.1 ") {
		t.Errorf("it is ready, and\n%s", out)
	}
	systemd.hears(t, "^WATCHDOG=1$")
	c.everywhere(t, app, dns.TypeA, "192.0.2.1", "198.51.100.1")

	follows := func(what, address string) {
		t.Helper()
		begun := time.Now()
		write("address", address+"\n")
		c.everywhere(t, app, dns.TypeA, address, "198.51.100.1")
		took := time.Since(begun)
		t.Logf("%s: the name follows in %s", what, took.Round(10*time.Millisecond))
		if took > 15*time.Second {
			t.Errorf("%s: that takes too long", what)
		}
		systemd.hears(t, "^STATUS=addresses told "+regexp.QuoteMeta(address)) // it may hear of it after the name servers
	}
	follows("all is well", "192.0.2.2")
	c.controls[0].Pause()
	follows("its control service hangs", "192.0.2.3")
	c.controls[0].Resume()
	c.controls[1].Kill()
	follows("the other one is killed", "192.0.2.4")
	secret = strings.TrimSpace(c.signpost(t, "endpoint", "rotate-secret", app, "a", "--quiet"))
	write("secret", secret+"\n")
	follows("its secret is another", "192.0.2.5")

	for _, file := range []string{"cmdline", "environ"} {
		if raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", agent.PID(), file)); err == nil && strings.Contains(string(raw), secret) {
			t.Errorf("the secret is in %s", file)
		}
	}
	if code := agent.Stop(); code != 0 {
		t.Errorf("it exits with %d", code)
	}
	systemd.hears(t, "^STOPPING=1\nEXTEND_TIMEOUT_USEC=[0-9]{8,}$")
	c.everywhere(t, app, dns.TypeA, "198.51.100.1")
	log, err := agent.Log()
	if err != nil || strings.Contains(string(log), secret) {
		t.Errorf("the secret is in the log, %v", err)
	}
	// One line for each thing that changed, however often it looked and tried.
	if n := strings.Count(string(log), "\n"); n > 20 {
		t.Errorf("%d lines of log", n)
	}
}

// startDev starts signpost-dev and gives a name server and the URL of the control service.
func startDev(t *testing.T, dir, data string) (server, url string) {
	t.Helper()
	var run struct{ HTTP string }
	server = proctest.Addr(proctest.DNSPort(t))
	proctest.Start(t, dir, "dev", "signpost-dev", "--data-dir", data, "--dns-listen", server, "--http-listen", "127.0.0.1:0", "--replicas", "1")
	proctest.Until(t, "signpost-dev", func() error {
		raw, err := os.ReadFile(filepath.Join(dir, data, "run.json"))
		if err == nil {
			err = json.Unmarshal(raw, &run)
		}
		return err
	})
	return server, run.HTTP
}

// For cron: exit codes say what came of it.
func TestAnAgentOnce(t *testing.T) {
	dir := t.TempDir()
	_, url := startDev(t, dir, "data")
	secret, err := proctest.CLI(t, dir, url, "data/admin.token", "host", "create", "app.fedcloud.test", "--quiet")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args, secret string
		code         int
		says         string
	}{
		{"--host app.fedcloud.test --server " + url, secret, 0, "addresses told"},
		{"--host app.fedcloud.test --server " + url + " --quiet", secret, 0, ""},
		{"--host app.fedcloud.test --server http://127.0.0.1:1," + url, secret, 0, "speaking to another control service"},
		{"--host app.fedcloud.test --server http://127.0.0.1:1", secret, 1, "refused"},
		{"--host other.fedcloud.test --server " + url, secret, 1, "the credential is not right"},
		{"--host app.fedcloud.test --server http://192.0.2.1:8080", secret, 2, "in the clear"},
		{"--host app.fedcloud.test --server " + url, "", 2, "--secret-file"},
		{"--host app.fedcloud.test --server " + url + " --drain", secret, 2, "drain"},
	} {
		cmd := exec.CommandContext(t.Context(), proctest.Bin(t, "signpost"), append(strings.Fields("agent --once "+tt.args), "--address-command", "echo 192.0.2.9; echo 2001:db8::9")...)
		cmd.Env = append(os.Environ(), "SIGNPOST_SECRET="+strings.TrimSpace(tt.secret))
		out, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != tt.code || !strings.Contains(string(out), tt.says) || tt.says == "" && len(out) > 0 {
			t.Errorf("%s: exit code %d, %v\n%s", tt.args, code, err, out)
		}
		if strings.Contains(string(out), strings.TrimSpace(secret)) {
			t.Errorf("%s: the secret is shown", tt.args)
		}
	}
	out, err := proctest.CLI(t, dir, url, "data/admin.token", "host", "show", "app.fedcloud.test")
	if err != nil || !strings.Contains(out, "192.0.2.9 2001:db8::9") {
		t.Errorf("%v\n%s", err, out)
	}
}

// What docs/agent.md says under "Try it" works as printed, but for the ports.
func TestTheDocsOfTheAgent(t *testing.T) {
	raw, err := os.ReadFile("../docs/agent.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "## Try it")
	_, rest, _ = strings.Cut(rest, "```sh\n")
	lines, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("there is nothing to try")
	}
	dir := t.TempDir()
	server, url := startDev(t, dir, ".signpost")
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		t.Fatal(err)
	}
	here := strings.NewReplacer("http://127.0.0.1:8080", url, "@127.0.0.1 -p 5300", "@"+host+" -p "+port, "bin/signpost", proctest.Bin(t, "signpost"))
	script, asks, _ := strings.Cut(here.Replace(lines), "dig ")
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-euc", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	name := strings.Fields(asks)[3]
	proctest.Until(t, "the answer", func() error { return proctest.Answers(server, name, dns.TypeA, "192.0.2.77") })
}
