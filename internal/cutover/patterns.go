package cutover

import (
	"iter"
	"maps"
	"net/url"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"signpost/internal/model"
)

// secretForm is a secret as Django's SHA-1 hasher writes it.
var secretForm = regexp.MustCompile(`^sha1\$[^$]{1,128}\$[0-9a-fA-F]{40}$`)

func unescape(s string) (string, error) { return url.PathUnescape(s) }

func keysOf[V any](m map[model.Name]V) iter.Seq[model.Name] { return maps.Keys(m) }

// mostPatterns is how many patterns a zone may have, mostMade how many one expression may
// become.
const mostPatterns, mostMade = 64, 32

// blacklist makes patterns of the black list, beside those that all zones have.
func (m *maker) blacklist() {
	if len(m.dump.Blacklist) == 0 {
		return
	}
	m.reserved = slices.Clone(model.DefaultReserved)
	for _, b := range m.dump.Blacklist {
		made, wider, why := patternsOf(b.Pattern)
		fresh := slices.DeleteFunc(slices.Clone(made), func(p string) bool { return slices.Contains(m.reserved, p) })
		switch {
		case why != "":
			m.note(AboutReserved, b.Pattern, "is not carried: "+why+"; see signpost zone set --reserved")
			continue
		case len(m.reserved)+len(fresh) > mostPatterns:
			m.note(AboutReserved, b.Pattern, "is not carried: a zone has at most 64 patterns; see signpost zone set --reserved")
			continue
		case wider:
			m.note(AboutReserved, b.Pattern, "becomes "+strings.Join(made, " ")+", which reserves more")
		default:
			m.note(AboutReserved, b.Pattern, "becomes "+strings.Join(made, " "))
		}
		m.reserved = append(m.reserved, fresh...)
	}
}

// What stands for the beginning and the end of a text while patterns are made.
const begins, ends = "\x01", "\x02"

// patternsOf is the patterns of a zone that match what an expression is found in. wider says
// that they match more. why says why there are none. Labels have lower-case letters, digits,
// "-" and "_": what is found in no label needs no pattern.
func patternsOf(expression string) (patterns []string, wider bool, why string) {
	re, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil, false, "it is written as only Python reads it, or not at all"
	}
	texts, ok := alternatives(re, &wider)
	if !ok {
		return nil, false, "it has something in it that * in a pattern cannot stand for, or needs more than " + strconv.Itoa(mostMade) + " patterns"
	}
	for _, t := range texts {
		t, fromStart := strings.CutPrefix(t, begins)
		t, toEnd := strings.CutSuffix(t, ends)
		if !fromStart {
			t = "*" + t
		}
		if !toEnd {
			t += "*"
		}
		for strings.Contains(t, "**") {
			t = strings.ReplaceAll(t, "**", "*")
		}
		if strings.ContainsAny(t, begins+ends) {
			return nil, false, "it looks for the beginning or the end within"
		}
		if t == "" || len(t) > 63 || strings.Trim(t, "abcdefghijklmnopqrstuvwxyz0123456789-_*") != "" {
			continue
		}
		if t == "*" && wider {
			return nil, false, "its pattern would reserve every name"
		}
		if !slices.Contains(patterns, t) {
			patterns = append(patterns, t)
		}
	}
	if len(patterns) == 0 {
		return nil, false, "no name of a host has in it what it looks for"
	}
	return patterns, wider, ""
}

// alternatives is the texts that an expression matches, with "*" for any letters.
func alternatives(re *syntax.Regexp, wider *bool) ([]string, bool) {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return []string{""}, true
	case syntax.OpLiteral:
		return []string{strings.ToLower(string(re.Rune))}, true
	case syntax.OpBeginText, syntax.OpBeginLine:
		return []string{begins}, true
	case syntax.OpEndText, syntax.OpEndLine:
		return []string{ends}, true
	case syntax.OpCapture:
		return alternatives(re.Sub[0], wider)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		*wider = true
		return []string{"*"}, true
	case syntax.OpCharClass:
		return classOf(re, wider), true
	case syntax.OpQuest:
		some, ok := alternatives(re.Sub[0], wider)
		return append([]string{""}, some...), ok
	case syntax.OpStar:
		if re.Sub[0].Op != syntax.OpAnyChar && re.Sub[0].Op != syntax.OpAnyCharNotNL {
			*wider = true
		}
		return []string{"*"}, true
	case syntax.OpPlus, syntax.OpRepeat:
		*wider = true
		if re.Op == syntax.OpRepeat && re.Min == 0 {
			return []string{"*"}, true
		}
		first, ok := alternatives(re.Sub[0], wider)
		for i := range first {
			first[i] += "*"
		}
		return first, ok
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			some, ok := alternatives(sub, wider)
			if all = append(all, some...); !ok || len(all) > mostMade {
				return nil, false
			}
		}
		return all, true
	case syntax.OpConcat:
		all := []string{""}
		for _, sub := range re.Sub {
			some, ok := alternatives(sub, wider)
			if !ok || len(all)*len(some) > mostMade {
				return nil, false
			}
			var longer []string
			for _, a := range all {
				for _, s := range some {
					longer = append(longer, a+s)
				}
			}
			all = longer
		}
		return all, true
	}
	return nil, false
}

// classOf is a small class of letters one by one, and a large one as any letters.
func classOf(re *syntax.Regexp, wider *bool) []string {
	var out []string
	for i := 0; i+1 < len(re.Rune); i += 2 {
		for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
			letter := strings.ToLower(string(r))
			if strings.Trim(letter, "abcdefghijklmnopqrstuvwxyz0123456789-_") == "" && !slices.Contains(out, letter) {
				out = append(out, letter)
			}
			if len(out) > 10 || r > 0x7f {
				*wider = true
				return []string{"*"}
			}
		}
	}
	if len(out) == 0 {
		return []string{"\x00"} // no label has it: no pattern is made of it
	}
	return out
}
