package report

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What stands between these lines of the page is ours to write.
const (
	begin = "<!-- written by test/bench -write-docs -->\n"
	end   = "<!-- end of what test/bench has written -->\n"
)

// WriteDocs writes the figures of all files bench/*.json beside a page into it, and
// their pictures beside them.
func WriteDocs(page string) error {
	files, err := filepath.Glob(filepath.Join(filepath.Dir(page), "bench", "*.json"))
	if err != nil {
		return err
	}
	var docs []*Document
	for _, f := range files {
		d, err := Open(f)
		if err != nil {
			return err
		}
		docs = append(docs, d)
	}
	slices.SortStableFunc(docs, func(a, b *Document) int { return a.Names - b.Names })
	var text strings.Builder
	for _, d := range docs {
		if len(d.Peers) > 0 {
			picture := fmt.Sprintf("bench/%d.svg", d.Names)
			if err := os.WriteFile(filepath.Join(filepath.Dir(page), picture), []byte(d.Picture()), 0o644); err != nil {
				return err
			}
			fmt.Fprintf(&text, "\n### %s names\n\n%s\n![Bars of the figures below](%s)\n", thousands(float64(d.Names)), d.prose(), picture)
		} else {
			fmt.Fprintf(&text, "\n### Updates\n\n%s", d.prose())
		}
		for _, t := range d.tables() {
			fmt.Fprintf(&text, "\n%s:\n\n%s", t.title, t.markdown())
		}
		text.WriteString("\n")
		for _, n := range d.notes() {
			fmt.Fprintf(&text, "- `%s`: %s.\n", n.name, n.text)
		}
	}
	return replace(page, text.String())
}

// replace puts text between the two lines of the page.
func replace(page, text string) error {
	raw, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(raw), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s lacks the lines that say where the figures go: %s%s", page, begin, end)
	}
	return os.WriteFile(page, []byte(before+begin+text+"\n"+end+after), 0o644)
}

func (d *Document) prose() string {
	commit := ""
	if d.Commit != "" {
		commit = fmt.Sprintf("Signpost at %s.\n", d.Commit)
	}
	return strings.Join(d.conditions(), "\n") + "\n" + commit
}

func (t table) markdown() string {
	var b strings.Builder
	row := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	row(t.head)
	row(slices.Repeat([]string{"---"}, len(t.head)))
	for _, r := range t.rows {
		row(r)
	}
	return b.String()
}
