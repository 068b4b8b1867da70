package main

import (
	"fmt"
	"io"
	"os"

	pb "signpost/proto/signpost/v1"
)

// progress is one line on standard error that says how far an import is.
type progress struct {
	to       io.Writer // nil: nothing is shown
	terminal bool
	last     string
}

// progress is shown on a terminal or when it is asked for, and never where only what
// was asked for is wanted.
func (c *cli) progress(asked bool) *progress {
	p := &progress{terminal: isTerminal(c.errOut)}
	if !c.json() && !c.quiet && (asked || p.terminal) {
		p.to = c.errOut
	}
	return p
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (p *progress) at(now *pb.ImportProgress) {
	if p.to == nil {
		return
	}
	line := fmt.Sprintf("%s: %d", clean(now.GetPhase()), now.GetDone())
	if now.GetTotal() > 0 {
		line += fmt.Sprintf(" of %d (%d%%)", now.GetTotal(), now.GetDone()*100/now.GetTotal())
	}
	if line == p.last {
		return
	}
	p.last = line
	if p.terminal {
		line = "\r\033[K" + line
	} else {
		line += "\n"
	}
	_, _ = io.WriteString(p.to, line)
}

// end clears the line.
func (p *progress) end() {
	if p.to != nil && p.terminal && p.last != "" {
		_, _ = io.WriteString(p.to, "\r\033[K")
	}
}
