package diff

import (
	"os"
	"strings"
	"testing"
)

// TestEveryDifferenceIsExplained: what is let through has its line in the table, and
// the table has no line for what is not.
func TestEveryDifferenceIsExplained(t *testing.T) {
	text, err := os.ReadFile("../../docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) > 5 && strings.HasPrefix(cells[1], " `") {
			lines[strings.Trim(cells[1], " `")] = cells[2]
		}
	}
	used := map[string]bool{}
	for _, d := range differences {
		used[d.id] = true
		for _, s := range d.servers {
			if !strings.Contains(lines[d.id], strings.Replace(s, fileServer, "`file`", 1)) {
				t.Errorf("docs/differences.md does not say what %s does otherwise about %q", s, d.id)
			}
		}
	}
	for id := range lines {
		if !used[id] {
			t.Errorf("docs/differences.md explains %q, which no test lets through", id)
		}
	}
}
