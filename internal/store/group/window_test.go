package group

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func isShared(key string) bool { return strings.HasPrefix(key, "rev/") }

// change reads one as text: "?k" compares a key, "?a-b" a range, "=k" puts, "~k" puts
// nothing, "-k" deletes.
func change(words string) Change {
	var ch Change
	for w := range strings.FieldsSeq(words) {
		key, to, isRange := strings.Cut(w[1:], "-")
		switch {
		case w[0] == '?' && isRange:
			ch.If = append(ch.If, Compare{Key: key, End: to, Mod: 1})
		case w[0] == '?':
			ch.If = append(ch.If, Compare{Key: key})
		case w[0] == '=':
			ch.Then = append(ch.Then, Write{Key: key, Value: []byte("v")})
		case w[0] == '~':
			ch.Then = append(ch.Then, Write{Key: key})
		default:
			ch.Then = append(ch.Then, Write{Key: key, Delete: true})
		}
	}
	return ch
}

func pendingOf(ch Change) *pending { return &pending{Change: ch, footprint: ch.footprint(isShared)} }

func windowOf(changes ...Change) *window {
	w := newWindow()
	for _, ch := range changes {
		w.add(pendingOf(ch))
	}
	return w
}

func TestApart(t *testing.T) {
	tests := []struct {
		name, one, other string
		want             bool
	}{
		{"nothing in common", "?a =a", "?b =b", true},
		{"both compare a key", "?z ?a =a", "?z ?b =b", true},
		{"both compare a range", "?a-c =x", "?a-c =y", true},
		{"one compares what the other puts", "?z =a", "=z", false},
		{"one compares what the other deletes", "?z =a", "-z", false},
		{"one compares what the other puts as shared", "?rev/z =a", "=b ~rev/z", false},
		{"one compares a range in which the other puts", "?a-c =x", "=b", false},
		{"one compares a range in which the other deletes", "?a-c =x", "-a", false},
		{"one compares a range in which the other puts as shared", "?rev/-rev0 =x", "=b ~rev/z", false},
		{"the end of a range is not in it", "?a-c =x", "=c", true},
		{"both put a key", "=a", "=a", false},
		{"both delete a key", "-a", "-a", false},
		{"one puts, one deletes", "=a", "-a", false},
		{"both put a shared key", "=a ~rev/z", "=b ~rev/z", true},
		{"one puts a shared key with a value of its own", "=a =rev/z", "=b ~rev/z", true},
		{"one deletes a shared key", "=a -rev/z", "=b ~rev/z", false},
		{"one puts nothing to a key that is not shared", "~a", "~a", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			one, other := change(tt.one), change(tt.other)
			if got := windowOf(one).apart(pendingOf(other)); got != tt.want {
				t.Errorf("%s | %s: apart %v, want %v", tt.one, tt.other, got, tt.want)
			}
			if got := windowOf(other).apart(pendingOf(one)); got != tt.want {
				t.Errorf("%s | %s: apart %v, want %v", tt.other, tt.one, got, tt.want)
			}
			if got := windowOf(change("=far"), one).fits(pendingOf(other)); got != tt.want {
				t.Errorf("%s | %s beside a third: fits %v, want %v", tt.one, tt.other, got, tt.want)
			}
		})
	}
}

func TestFitsIsWithinTheLimits(t *testing.T) {
	many := func(word string, n int) Change {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%s%d/%d ", word, n, i)
		}
		return change(b.String())
	}
	notes := func(n int) Change {
		var ch Change
		for range n {
			ch.Then = append(ch.Then, Write{Key: "note", Joins: true})
		}
		return ch
	}
	large := func(key string, size int) Change {
		return Change{Then: []Write{{Key: key, Value: bytes.Repeat([]byte("v"), size)}}}
	}
	var full []Change
	for i := range maxMembers {
		full = append(full, change(fmt.Sprintf("=f%d ~rev/z", i)))
	}
	tests := []struct {
		name string
		w    *window
		ch   Change
		want bool
	}{
		{"too large for others, but alone", windowOf(), many("=", maxOps), true},
		{"one more", windowOf(full[1:]...), full[0], true},
		{"one too many", windowOf(full...), change("=x"), false},
		{"as many operations as two leave", windowOf(change("=x")), many("=", maxOps-2), true},
		{"one operation too many", windowOf(change("=x")), many("=", maxOps-1), false},
		{"one compare too many", windowOf(change("=x")), many("?", maxOps-1), false},
		{"a shared key counts", windowOf(change("=x ~rev/z")), many("=", maxOps-2), false},
		{"the larger one is there already", windowOf(many("=", maxOps-2)), change("=x"), true},
		{"so is one that is too large", windowOf(many("=", maxOps-1)), change("=x"), false},
		{"octets", windowOf(large("a", maxSize/2)), large("b", maxSize/4), true},
		{"too many octets", windowOf(large("a", maxSize/2)), large("b", maxSize/2), false},
		{"as many that join as ids can tell apart", windowOf(notes(100), notes(100)), notes(56), true},
		{"too many that join", windowOf(notes(100), notes(100)), notes(57), false},
		{"as many deletions as no guard minds", windowOf(many("-", maxDeletes/2)), many("-", maxDeletes/2-1), true},
		{"too many deletions", windowOf(many("-", maxDeletes/2)), many("-", maxDeletes/2+1), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.w.fits(pendingOf(tt.ch)); got != tt.want {
				t.Errorf("fits %v, want %v", got, tt.want)
			}
		})
	}
}

func TestFullIsWhatCanBeMadeAtOnce(t *testing.T) {
	tests := []struct {
		name, words string
		want        int
	}{
		{"small ones", "?z ?a%[1]d =a%[1]d ~rev/z", maxMembers},
		{"two compares of its own", "?z ?a%[1]d ?b%[1]d =a%[1]d ~rev/z", (maxOps-1-3)/2 + 1},
		{"three writes of its own", "?z =a%[1]d =b%[1]d -c%[1]d ~rev/z", (maxOps-1-4)/3 + 1},
		{"so large that they are made each by itself", "?z =a%[1]d =b%[1]d =c%[1]d =d%[1]d =e%[1]d ~rev/z", enough},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWindow()
			for i := 0; !w.full(); i++ {
				w.add(pendingOf(change(fmt.Sprintf(tt.words, i))))
			}
			if got := len(w.members); got != tt.want {
				t.Errorf("full with %d, want %d", got, tt.want)
			}
			if _, ok := appendFlat(nil, w.members, w.together()); ok != (tt.want > enough) {
				t.Errorf("all can be made at once: %v", ok)
			}
		})
	}
}

func TestAClearedWindowIsEmpty(t *testing.T) {
	w := windowOf(change("?a-c =a ~rev/z -d"), change("-b"))
	w.clear()
	for _, other := range []string{"?a =c", "-a", "=b ~rev/z", "?rev/z =q"} {
		if !w.fits(pendingOf(change(other))) {
			t.Errorf("%s does not fit", other)
		}
	}
}
