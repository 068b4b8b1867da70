package report

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// charts is what the picture shows.
var charts = []string{"cpu", "qps", "p99", "memory", "start"}

const (
	rowHeight, headHeight  = 18, 34
	nameWidth, barWidth    = 150, 420
	pictureWidth           = nameWidth + barWidth + 110
	oursColour, bestColour = "#1f6feb", "#57a773"
	otherColour            = "#a8b0b8"
)

// Picture is a bar chart for each of some metrics, as SVG: bars are medians, lines
// go from the least to the greatest. A bar of far more than the others is cut off.
func (d *Document) Picture() string {
	var b strings.Builder
	y := 0
	for _, key := range charts {
		y = d.chart(&b, byKey(key), y)
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n"+
		`<rect width="100%%" height="100%%" fill="#ffffff"/>`+"\n%s</svg>\n", pictureWidth, y+10, b.String())
}

// chart draws one metric from y on and gives where the next begins.
func (d *Document) chart(b *strings.Builder, m metric, y int) int {
	better := "less is better"
	if m.more {
		better = "more is better"
	}
	unit := m.unit
	if unit != "" {
		unit = ", " + unit
	}
	fmt.Fprintf(b, `<text x="10" y="%d" font-weight="bold">%s%s</text><text x="%d" y="%d" fill="#666666" text-anchor="end">%s</text>`+"\n",
		y+22, html.EscapeString(m.title), unit, pictureWidth-10, y+22, better)
	y += headHeight
	end := d.axis(m)
	for _, p := range d.Peers {
		s, ok := p.Summary[m.key]
		if !ok {
			continue
		}
		x := func(v float64) float64 { return nameWidth + barWidth*min(v/end, 1) }
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, nameWidth-6, y+13, html.EscapeString(p.Name))
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, nameWidth, y+2, x(s.Median)-nameWidth, rowHeight-5, p.colour())
		if s.Median > end {
			fmt.Fprintf(b, `<path d="M%d %d l6 -%d h5 l-6 %d z" fill="#ffffff"/>`, nameWidth+barWidth-20, y+rowHeight-2, rowHeight, rowHeight)
		}
		fmt.Fprintf(b, `<path d="M%.1f %d H%.1f" stroke="#222222"/>`, x(s.Min), y+rowHeight/2, x(s.Max))
		fmt.Fprintf(b, `<text x="%.1f" y="%d">%s</text>`+"\n", max(x(s.Median), x(s.Max))+6, y+13, number(s.Median))
		y += rowHeight
	}
	return y
}

// axis is what the full width stands for: the greatest, unless that is far more than
// the others.
func (d *Document) axis(m metric) float64 {
	var all []float64
	for _, p := range d.Peers {
		if s, ok := p.Summary[m.key]; ok {
			all = append(all, s.Median)
		}
	}
	if len(all) == 0 {
		return 1
	}
	slices.Sort(all)
	return min(all[len(all)-1], 4*all[len(all)/2])
}

func (p Peer) colour() string {
	switch {
	case strings.HasPrefix(p.Name, "signpost"):
		return oursColour
	case p.Reference:
		return bestColour
	}
	return otherColour
}
