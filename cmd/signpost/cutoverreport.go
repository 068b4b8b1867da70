package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"signpost/internal/cutover"
	pb "signpost/proto/signpost/v1"
)

// mostLines is how many lines of a list are printed unless all are asked for.
const mostLines = 20

// cutoverReport is what became, or would become, of an import.
type cutoverReport struct {
	Applied   bool            `json:"applied"`
	Whole     bool            `json:"whole"` // it came to its end
	Hosts     int             `json:"hosts"` // in the dump
	Notes     []cutover.Note  `json:"notes"`
	Created   int             `json:"created"`
	Changed   int             `json:"changed"`
	Unchanged int             `json:"unchanged"`
	Removed   int             `json:"removed"`
	Names     []cutoverName   `json:"names"` // that are not unchanged, or of which something is kept
	Refused   []cutoverRefuse `json:"refused"`
	Gone      []string        `json:"gone"`
}

type cutoverName struct {
	Name    string   `json:"name"`
	Outcome string   `json:"outcome"`
	Changes []string `json:"changes,omitempty"`
	Kept    []string `json:"kept,omitempty"`
}

type cutoverRefuse struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

func (r *cutoverReport) took(of *pb.ImportedName) {
	r.said(of.GetFqdn(), of.GetOutcome(), of.GetChanges(), of.GetKept())
}

func (r *cutoverReport) said(name, outcome string, changes, kept []string) {
	switch outcome {
	case "created":
		r.Created++
	case "changed":
		r.Changed++
	case "removed":
		r.Removed++
	default:
		r.Unchanged++
	}
	if outcome != "unchanged" || len(kept) > 0 {
		r.Names = append(r.Names, cutoverName{name, outcome, changes, kept})
	}
}

func (r *cutoverReport) refused(name, why string) {
	r.Refused = append(r.Refused, cutoverRefuse{name, why})
}

// cutoverSaid prints a report.
func (c *cli) cutoverSaid(r *cutoverReport, all bool) error {
	if c.json() {
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	if c.quiet {
		return nil
	}
	list := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		c.say(fmt.Sprintf("%s: %d\n", title, len(lines)))
		for n, l := range lines {
			if n == mostLines && !all {
				c.say(fmt.Sprintf("  … and %d more; --all prints them\n", len(lines)-n))
				break
			}
			c.say("  " + clean(l) + "\n")
		}
	}
	for _, a := range cutover.Abouts {
		var lines []string
		for _, n := range r.Notes {
			if n.About == a.About {
				lines = append(lines, n.Name+": "+n.Text)
			}
		}
		list(a.Title, lines)
	}
	var changed, kept, refused []string
	for _, n := range r.Names {
		if n.Outcome != "unchanged" {
			changed = append(changed, n.Outcome+" "+n.Name+": "+strings.Join(n.Changes, "; "))
		}
		if len(n.Kept) > 0 {
			kept = append(kept, n.Name+": "+strings.Join(n.Kept, "; "))
		}
	}
	for _, n := range r.Refused {
		refused = append(refused, n.Name+": "+n.Why)
	}
	list("changes", changed)
	list("kept as it is here", kept)
	list("imported before and not there any more; --remove-gone removes what was not changed here", r.Gone)
	list("refused", refused)
	would := ""
	if !r.Applied {
		would = "dry run, nothing is written; with --apply: "
	}
	if !r.Whole {
		would += "not all: "
	}
	c.say(fmt.Sprintf("%s%d created, %d changed, %d unchanged, %d removed, %d refused; hosts in the dump: %d\n",
		would, r.Created, r.Changed, r.Unchanged, r.Removed, len(r.Refused), r.Hosts))
	return nil
}
