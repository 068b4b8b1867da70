// Package command answers one question: what does a command of the machine's owner say? It
// ends in time, with all that it has started.
package command

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"signpost/internal/model"
)

// most is how much of what it prints is read.
const most = 64 << 10

// Command is a line for /bin/sh.
type Command struct {
	Line    string
	Timeout time.Duration
	Environ []string // what it gets of the environment
}

// Run gives what the command prints. It fails when the command does, takes longer than
// its time-out, or prints too much; errors are of kind Unavailable, since the next time may
// be better, and show nothing of what it printed.
func (c Command) Run(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", c.Line)
	cmd.Env = c.Environ
	inGroup(cmd)
	cmd.WaitDelay = time.Second // for those that have left the group and hold the output
	out := &bounded{}
	cmd.Stdout = out
	err := cmd.Run()
	failed := func(why string) (string, error) {
		return "", model.E(model.Unavailable, "run", strconv.Quote(c.Line)).Because(why).From(err)
	}
	var exit *exec.ExitError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return failed("it took longer than " + c.Timeout.String())
	case out.full:
		return failed("it printed more than 64 KiB")
	case errors.As(err, &exit):
		return failed("it ended with " + strings.TrimSpace(exit.Error()))
	case err != nil:
		return failed(err.Error())
	}
	return out.text.String(), nil
}

// bounded keeps what is written as long as it is not too much.
type bounded struct {
	text bytes.Buffer // not embedded: it would be read into around Write
	full bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.full = b.full || b.text.Len()+len(p) > most; b.full {
		return len(p), nil
	}
	return b.text.Write(p)
}
