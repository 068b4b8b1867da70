// Command signpost answers one question: how does a person or a script tell a
// Signpost control service what they want? It reads flags, makes one gRPC call and
// prints the answer; it decides nothing that the service decides.
//
// It exits with 0 when the thing is done, 1 when it was refused or failed, and 2
// when it was asked for in a way that cannot be understood.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

const (
	done   = 0
	failed = 1
	misuse = 2
)

func main() { os.Exit(execute()) }

func execute() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // whoever asks again does not want to wait
	return run(ctx, &cli{in: os.Stdin, out: os.Stdout, errOut: os.Stderr, getenv: os.Getenv, configDir: os.UserConfigDir, browse: openBrowser}, os.Args[1:])
}

// cli is one run of the command: where it reads and writes, and its global flags.
type cli struct {
	in          io.Reader
	out, errOut io.Writer
	getenv      func(string) string
	configDir   func() (string, error)  // where logins are kept; nil: nowhere
	browse      func(page string) error // shows a page in the person's browser

	server, ca, output string
	quiet              bool
}

func run(ctx context.Context, c *cli, args []string) int {
	out := &sticky{to: c.out}
	c.out = out
	root := c.root()
	root.SetArgs(args)
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.errOut)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil && out.err != nil {
		err = &failure{fmt.Errorf("%s: it is done, but its answer could not be printed: %w", strings.TrimPrefix(cmd.CommandPath(), "signpost "), out.err)}
	}
	var f *failure
	switch {
	case err == nil:
		return done
	case errors.As(err, &f):
		c.complain("signpost: " + err.Error())
		return failed
	}
	c.complain("signpost: " + err.Error() + "; see " + cmd.CommandPath() + " --help")
	return misuse
}

// say prints to standard output; run notices when that fails.
func (c *cli) say(text string) { _, _ = io.WriteString(c.out, text) }

// complain prints one line to standard error, where a failure has no better place to
// be told.
func (c *cli) complain(text string) { _, _ = io.WriteString(c.errOut, oneLine(text)+"\n") }

// sticky remembers that a write failed: a secret that was not printed is lost.
type sticky struct {
	to  io.Writer
	err error
}

func (s *sticky) Write(p []byte) (int, error) {
	n, err := s.to.Write(p)
	if s.err == nil {
		s.err = err
	}
	return n, err
}

// failure is an error met while doing what was understood; every other one is
// misuse.
type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// badUsage is what is wrong with a command line or the environment, found only
// when the command was under way.
type badUsage string

func (b badUsage) Error() string { return string(b) }

func oneLine(s string) string { return clean(strings.Join(strings.Fields(s), " ")) }
