package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Text writes the document as tables to be read on a terminal.
func (d *Document) Text(w io.Writer) error {
	for _, line := range d.conditions() {
		fmt.Fprintln(w, line)
	}
	for _, t := range d.tables() {
		fmt.Fprintf(w, "\n%s\n", t.title)
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, row := range append([][]string{t.head}, t.rows...) {
			fmt.Fprintln(tw, strings.Join(row, "\t"))
		}
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	for _, n := range d.notes() {
		fmt.Fprintln(w, n.name+": "+n.text)
	}
	return nil
}

// conditions is the sentences that figures cannot be read without.
func (d *Document) conditions() []string {
	m := d.Machine
	out := []string{fmt.Sprintf("Measured on %s on %d cores (%s), %d MiB, Linux %s, %s, %s; the load of the machine before was %.1f.",
		d.Date.Format("2006-01-02"), m.Cores, m.CPU, m.MemoryMiB, m.Kernel, m.System, m.Go, m.Load)}
	if d.Conditions != "" {
		out = append(out, d.Conditions)
	}
	if len(d.Peers) > 0 {
		out = append(out, fmt.Sprintf("%s names; rounds: %d, in each every server in turn from a stop; %g s of as many questions as it takes, %d at a time from %d ports; %g s of %s questions a second.",
			thousands(float64(d.Names)), d.Rounds, d.Seconds, d.Sockets*d.Window, d.Sockets, d.Seconds, thousands(float64(d.Rate))))
	}
	return out
}

type note struct{ name, text string }

// notes is what a reader of the figures must know of each server.
func (d *Document) notes() []note {
	var out []note
	for _, p := range d.Peers {
		out = append(out, note{p.Name, p.Note})
	}
	for _, p := range d.Spread {
		out = append(out, note{"propagation, " + p.Name, p.Note})
	}
	return out
}

type table struct {
	title string
	head  []string
	rows  [][]string
}

func (d *Document) tables() []table {
	var out []table
	if len(d.Peers) > 0 {
		out = append(out,
			d.table("Median of the rounds (least to most); the ratio is to the best of "+d.references()+" in the same round", "cpu", "/cpu", "qps", "/qps", "client"),
			d.table("Latency at the fixed rate", "p50", "p99", "/p99", "p999", "opencpu", "lost", "late"),
			d.table("Memory and start", "memory", "/memory", "peak", "start", "/start", "octets"))
	}
	if len(d.Spread) > 0 {
		out = append(out, d.propagation())
	}
	return out
}

func (d *Document) references() string {
	var names []string
	for _, p := range d.Peers {
		if p.Reference && p.Skipped == "" {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return "none (no reference was measured)"
	}
	return strings.Join(names, " and ")
}

// table has a column for each of the metrics; one that begins with / is its ratio.
func (d *Document) table(title string, columns ...string) table {
	t := table{title: title, head: []string{"server"}}
	for _, c := range columns {
		t.head = append(t.head, heading(c))
	}
	for _, p := range d.Peers {
		row := []string{strings.TrimSpace(p.Name + " " + p.Version)}
		for _, c := range columns {
			row = append(row, p.cell(c))
		}
		switch {
		case p.Skipped != "":
			row[1] = "skipped: " + p.Skipped
		case strings.Join(row[1:], "") == "": // not what it was measured for
			continue
		}
		t.rows = append(t.rows, row)
	}
	return t
}

func heading(column string) string {
	switch column {
	case "lost":
		return "lost or wrong"
	case "late":
		return "sent late"
	}
	if strings.HasPrefix(column, "/") {
		return "ratio"
	}
	m := byKey(column)
	if m.unit == "" {
		return m.title
	}
	return m.title + ", " + m.unit
}

func byKey(key string) metric {
	for _, m := range metrics {
		if m.key == key {
			return m
		}
	}
	panic("report: there is no metric " + key)
}

func (p Peer) cell(column string) string {
	switch column {
	case "lost":
		return p.share(func(l Load) uint64 { return l.Asked - l.Right })
	case "late":
		return p.share(func(l Load) uint64 { return l.SentLate })
	}
	key := strings.TrimPrefix(column, "/")
	s, ok := p.Summary[key]
	switch {
	case !ok:
		return ""
	case key == column:
		return fmt.Sprintf("%s (%s to %s)", number(s.Median), number(s.Min), number(s.Max))
	case s.RatioMedian == 0:
		return ""
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", s.RatioMedian, s.RatioMin, s.RatioMax)
}

// share is how many of the questions at the fixed rate, of all rounds, are of a kind.
func (p Peer) share(of func(Load) uint64) string {
	var asked, these uint64
	for _, r := range p.Rounds {
		asked += r.Open.Asked
		these += of(r.Open)
	}
	switch {
	case asked == 0:
		return ""
	case these == 0:
		return "0"
	}
	return fmt.Sprintf("%.2g %%", 100*float64(these)/float64(asked))
}

func number(v float64) string {
	switch {
	case v >= 1000:
		return thousands(v)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func thousands(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func (d *Document) propagation() table {
	t := table{
		title: "From an update's reply to the new answer on every replica, milliseconds",
		head:  []string{"system", "updates a second", "reply, half and 99 % below", "replica: 50 %, 99 %, most", "last replica: 50 %, 90 %, 99 %, most", "within 5 ms", "missed", "refused"},
	}
	for _, s := range d.Spread {
		row := make([]string, len(t.head))
		row[0] = strings.TrimSpace(s.Name + " " + s.Version)
		switch {
		case s.Skipped != "":
			row[1] = "skipped: " + s.Skipped
		case s.Failure != "":
			row[1] = "failed: " + s.Failure
		default:
			row[1] = fmt.Sprintf("%s of %s offered", thousands(s.PerSecond), thousands(float64(s.Target)))
			row[2] = number(s.CallP50) + ", " + number(s.CallP99)
			var each []string
			for _, r := range s.Replicas {
				each = append(each, fmt.Sprintf("%s, %s, %s", number(r.P50), number(r.P99), number(r.Max)))
			}
			row[3] = strings.Join(each, "; ")
			row[4] = fmt.Sprintf("%s, %s, %s, %s", number(s.Last.P50), number(s.Last.P90), number(s.Last.P99), number(s.Last.Max))
			row[5] = fmt.Sprintf("%.1f %%", 100*s.Within5)
			row[6] = fmt.Sprintf("%d of %d", s.Missed, s.Watched)
			row[7] = fmt.Sprintf("%d of %d", s.Refused, s.Updates+s.Refused)
		}
		t.rows = append(t.rows, row)
	}
	return t
}
