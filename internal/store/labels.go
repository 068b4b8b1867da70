package store

import (
	"fmt"
	"strconv"
	"strings"

	"signpost/internal/model"
)

func reversed(n model.Name) string { return string(appendReversed(make([]byte, 0, 64), n)) }

func appendReversed(to []byte, n model.Name) []byte {
	if n == model.Root {
		return append(to, '.')
	}
	return appendRelative(to, n, model.Root)
}

// relative is n below z, reversed; empty for z itself.
func relative(n, z model.Name) string { return string(appendRelative(nil, n, z)) }

func appendRelative(to []byte, n, z model.Name) []byte {
	if n == z {
		return to
	}
	if all, ok := appendPlain(to, strings.TrimSuffix(string(n), rest(z)), model.Root); ok {
		return all
	}
	labels := n.Labels()
	return append(to, reverseLabels(labels[:len(labels)-z.CountLabels()])...)
}

func reverseLabels(labels []string) string {
	var b strings.Builder
	for i := len(labels) - 1; i >= 0; i-- {
		b.WriteString(escape(labels[i]))
		b.WriteByte('.')
	}
	return b.String()
}

func unreverse(s string) (model.Name, error) {
	if s == "." {
		return model.Root, nil
	}
	if n := plainName(s, model.Root); n != "" {
		return n, nil
	}
	labels, err := splitReversed(s)
	if err != nil || len(labels) == 0 {
		return "", badKey(s, "it is no domain name")
	}
	n, err := model.NameFromLabels(labels...)
	if err != nil {
		return "", err
	}
	if reversed(n) != s {
		return "", badKey(s, "it is not in canonical form")
	}
	return n, nil
}

// plainName is the name below z that s says in reverse, or "" when that takes more
// than turning labels round.
func plainName(s string, z model.Name) model.Name {
	var buf [longestPlain]byte
	b, _ := appendPlain(buf[:0], s, z)
	return model.Name(b)
}

// splitReversed gives the labels in the usual order.
func splitReversed(s string) ([]string, error) {
	if s == "" || s[len(s)-1] != '.' {
		return nil, badKey(s, "it does not end in a dot")
	}
	parts := strings.Split(s[:len(s)-1], ".")
	labels := make([]string, len(parts))
	for i, p := range parts {
		l, err := unescape(p)
		if err != nil || l == "" {
			return nil, badKey(s, "a label is empty or badly escaped")
		}
		labels[len(parts)-1-i] = l
	}
	return labels, nil
}

func plainOctet(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '*'
}

func escape(s string) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = plainOctet(s[i])
	}
	if plain {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if plainOctet(s[i]) {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String()
}

func unescape(s string) (string, error) {
	if strings.IndexByte(s, '%') < 0 {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+3 > len(s) {
			return "", badKey(s, "an escape is cut short")
		}
		c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", badKey(s, "an escape is no hexadecimal number")
		}
		b.WriteByte(byte(c))
		i += 2
	}
	return b.String(), nil
}
