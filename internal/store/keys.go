package store

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"signpost/internal/model"
)

// keys builds and parses every key there is. All are under one prefix:
//
//	v1/dns/schema                         the least schema all readers must know
//	v1/dns/zone/<zone>                    storepb.Zone
//	v1/dns/name/<zone>/<gen>/<name>       storepb.Name
//	v1/dns/rev/<zone>, v1/dns/rev/all     empty; put by every change of answers
//	v1/dns/accept/<zone>                  a number; put when losing names is meant
//	v1/ctl/masterkey                      storepb.MasterKey
//	v1/ctl/token/<sha256 hex>             storepb.Token
//	v1/ctl/host/<zone>/<inc>/<name>       storepb.HostControl
//	v1/ctl/request/<principal>/<id>       storepb.Request
//	v1/audit/<id>                         storepb.AuditRecord
//
// Kept free for what comes later: v1/dns/checker, v1/dns/vote, v1/dns/admin,
// v1/dns/over, v1/check, v1/live, v1/beat, v1/ctl/import; dns/held is in snapshots.
//
// A <zone> is its labels reversed, each ended by a dot, so that the key of a name
// is a prefix of exactly the keys of the names below it; <name> likewise, relative
// to its zone. Octets other than lower-case letters, digits, "-", "_" and "*" are
// written %XX. The root zone is ".". <gen> and <inc> are decimal.
type keys struct{ root string }

func newKeys(prefix string) keys { return keys{strings.TrimRight(prefix, "/") + "/v1/"} }

func (k keys) dns() string                 { return k.root + "dns/" }
func (k keys) schema() string              { return k.root + "dns/schema" }
func (k keys) zones() string               { return k.root + "dns/zone/" }
func (k keys) zone(z model.Name) string    { return k.zones() + reversed(z) }
func (k keys) revs() string                { return k.root + "dns/rev/" }
func (k keys) revAll() string              { return k.root + "dns/rev/all" }
func (k keys) rev(z model.Name) string     { return k.revs() + reversed(z) }
func (k keys) accept(z model.Name) string  { return k.root + "dns/accept/" + reversed(z) }
func (k keys) held(z model.Name) string    { return k.root + "dns/held/" + reversed(z) }
func (k keys) names(z model.Name) string   { return k.root + "dns/name/" + reversed(z) + "/" }
func (k keys) masterKey() string           { return k.root + "ctl/masterkey" }
func (k keys) tokens() string              { return k.root + "ctl/token/" }
func (k keys) token(sum []byte) string     { return k.tokens() + hex.EncodeToString(sum) }
func (k keys) requests() string            { return k.root + "ctl/request/" }
func (k keys) audits() string              { return k.root + "audit/" }
func (k keys) audit(id string) string      { return k.audits() + id }
func (k keys) anyHost() string             { return k.root + "ctl/host/" }
func (k keys) anyName() string             { return k.root + "dns/name/" }
func (k keys) hosts(z model.Zone) string   { return k.hostsOf(z.Name, z.Incarnation) }
func (k keys) namesOf(z model.Zone) string { return k.gen(z.Name, z.Generation) }

func (k keys) gen(z model.Name, gen uint64) string {
	return k.names(z) + strconv.FormatUint(gen, 10) + "/"
}

func (k keys) hostsOf(z model.Name, inc uint64) string {
	return k.anyHost() + reversed(z) + "/" + strconv.FormatUint(inc, 10) + "/"
}

// name is also the prefix of the keys of all names below n.
func (k keys) name(z model.Name, gen uint64, n model.Name) string {
	return k.gen(z, gen) + relative(n, z)
}

func (k keys) host(z model.Zone, n model.Name) string { return k.hosts(z) + relative(n, z.Name) }

func (k keys) request(principal, id string) string {
	return k.requests() + escape(principal) + "/" + escape(id)
}

var ofZone = map[string]model.KeyKind{"zone": model.ZoneKey, "rev": model.ZoneRevKey, "accept": model.AcceptKey, "held": model.HeldKey}

// of builds the key that parse reads as n.
func (k keys) of(n model.Key) string {
	switch n.Kind {
	case model.ZoneKey:
		return k.zone(n.Zone)
	case model.NameKey:
		return k.name(n.Zone, n.Generation, n.Name)
	case model.ZoneRevKey:
		return k.rev(n.Zone)
	case model.AllRevKey:
		return k.revAll()
	case model.AcceptKey:
		return k.accept(n.Zone)
	case model.HeldKey:
		return k.held(n.Zone)
	}
	panic("store: a key of no known kind") // it can only come from a program
}

// parse reads a key under dns(); ok is false for keys of no kind known here.
func (k keys) parse(key string) (model.Key, bool, error) {
	rest, in := strings.CutPrefix(key, k.dns())
	if !in {
		return model.Key{}, false, nil
	}
	word, rest, _ := strings.Cut(rest, "/")
	switch word {
	case "zone", "rev", "accept", "held":
		if word == "rev" && rest == "all" {
			return model.Key{Kind: model.AllRevKey}, true, nil
		}
		if word == "held" && k != snapshotKeys {
			break
		}
		z, err := unreverse(rest) // they have nothing else in them
		return model.Key{Kind: ofZone[word], Zone: z}, err == nil, err
	case "name":
		zone, rest, ok1 := strings.Cut(rest, "/")
		gen, name, ok2 := strings.Cut(rest, "/")
		if !ok1 || !ok2 {
			return model.Key{}, false, badKey(key, "it has too few parts")
		}
		g, z, n, err := parseNameKey(zone, gen, name)
		return model.Key{Kind: model.NameKey, Zone: z, Generation: g, Name: n}, err == nil, err
	}
	return model.Key{}, false, nil
}

// parseHost reads a key under anyHost().
func (k keys) parseHost(key string) (zone model.Name, inc uint64, name model.Name, err error) {
	rest, in := strings.CutPrefix(key, k.anyHost())
	z, rest, ok1 := strings.Cut(rest, "/")
	i, n, ok2 := strings.Cut(rest, "/")
	if !in || !ok1 || !ok2 {
		return "", 0, "", badKey(key, "it is not of a host")
	}
	inc, zone, name, err = parseNameKey(z, i, n)
	return zone, inc, name, err
}

func parseNameKey(zone, number, name string) (uint64, model.Name, model.Name, error) {
	z, err := unreverse(zone)
	if err != nil {
		return 0, "", "", err
	}
	g, err := strconv.ParseUint(number, 10, 64)
	if err != nil || strconv.FormatUint(g, 10) != number {
		return 0, "", "", badKey(number, "it is no number")
	}
	if n := plainName(name, z); n != "" {
		return g, z, n, nil
	}
	labels, err := splitReversed(name)
	if err != nil || len(labels) == 0 {
		return 0, "", "", badKey(name, "it is no relative name")
	}
	n, err := model.NameFromLabels(append(labels, z.Labels()...)...)
	if err != nil {
		return 0, "", "", err
	}
	if relative(n, z) != name {
		return 0, "", "", badKey(name, "it is not in canonical form")
	}
	return g, z, n, nil
}

func reversed(n model.Name) string {
	if n == model.Root {
		return "."
	}
	return reverseLabels(n.Labels())
}

// relative is n below z, reversed; empty for z itself.
func relative(n, z model.Name) string {
	labels := n.Labels()
	return reverseLabels(labels[:len(labels)-z.CountLabels()])
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
// than turning labels round. Nearly all names are plain, and a replica reads millions.
func plainName(s string, z model.Name) model.Name {
	const most = 254 // octets in text; fewer than 256 on the wire, whatever z has escaped
	if len(s)+len(z) > most || s == "" || s[len(s)-1] != '.' {
		return ""
	}
	var buf [most]byte
	b := buf[:0]
	for end := len(s) - 1; end >= 0; {
		i := strings.LastIndexByte(s[:end], '.')
		label := s[i+1 : end]
		if label == "" || len(label) > 63 {
			return ""
		}
		for j := range len(label) {
			if !plainOctet(label[j]) {
				return ""
			}
		}
		b = append(append(b, label...), '.')
		end = i
	}
	if z != model.Root {
		b = append(b, z...)
	}
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

func badKey(key, why string) error {
	return model.E(model.Invalid, "read key", strconv.Quote(key)).Because(why)
}
