package store

import (
	"encoding/hex"
	"strconv"
	"strings"

	"signpost/internal/model"
)

// keys builds and parses every key there is. All are under one prefix:
//
//	v1/dns/schema                         the least schema all readers must know
//	v1/dns/zone/<zone>                    storepb.Zone
//	v1/dns/name/<zone>/<gen>/<name>       storepb.Name
//	v1/dns/rev/<zone>, v1/dns/rev/all     a mark (newMark); put by every change of answers
//	v1/dns/accept/<zone>                  a number; put when losing names is meant
//	v1/dns/checker/<site>                 storepb.Checker
//	v1/dns/vote/<site>/<zone>/<name>/<endpoint>   storepb.Vote
//	v1/dns/admin/site/<site>              storepb.Word
//	v1/dns/admin/host/<zone>/<name>       storepb.Word
//	v1/dns/admin/endpoint/<zone>/<name>/<endpoint>   storepb.Word
//	v1/dns/admin/freeze                   storepb.Freeze
//	v1/dns/over/<zone>/<name>/<endpoint>  storepb.Over
//	v1/check/<zone>/<inc>/<name>          storepb.Check
//	v1/ctl/masterkey                      storepb.MasterKey
//	v1/ctl/token/<sha256 hex>             storepb.Token
//	v1/ctl/user/<principal>               storepb.TokenOwner
//	v1/ctl/used/token/<sha256 hex>        storepb.Use
//	v1/ctl/used/host/<zone>/<inc>/<name>  storepb.Use
//	v1/ctl/host/<zone>/<inc>/<name>       storepb.HostControl
//	v1/ctl/own/<principal>/<zone>/<inc>/<name>   "owner" or "editor"
//	v1/ctl/principal/<principal>          storepb.Principal
//	v1/ctl/kept/<zone>/<inc>/<name>       storepb.KeptName
//	v1/ctl/zone/<zone>/<inc>              storepb.ZonePolicy
//	v1/ctl/cert/<zone>/<inc>/<name>       storepb.Certificate
//	v1/ctl/acme/order/<zone>/<inc>/<name>      storepb.CertificateOrder, leased
//	v1/ctl/acme/challenge/<zone>/<inc>/<name>  storepb.Challenge
//	v1/ctl/acme/orders/names/<name>       storepb.Orders
//	v1/ctl/acme/orders/owner/<principal>  storepb.Orders
//	v1/ctl/acme/orders/zone/<zone>        storepb.Orders
//	v1/ctl/acme/account/<sha256 hex>      storepb.Account
//	v1/ctl/imported/<zone>/<inc>/<name>   storepb.Imported; of the apex with an empty name
//	v1/ctl/request/<principal>/<id>       storepb.Request
//	v1/ctl/import/<zone>                  storepb.Import, leased
//	v1/ctl/hook/<name>                    storepb.HookPosition
//	v1/live/import/<zone>                 storepb.ImportProgress, leased
//	v1/live/control/<random hex>          storepb.ControlService, leased
//	v1/live/checker/<site>                storepb.CheckerLife, leased
//	v1/live/word/<lease, hex>             empty, leased
//	v1/live/hook/<name>                   empty, leased
//	v1/beat/<zone>/<name>/<endpoint>      storepb.Beat, leased
//	v1/audit/<id>                         storepb.AuditRecords
//
// dns/held is in snapshots only. Keys of what is said of endpoints are in judgedkeys.go.
//
// A <zone> is its labels reversed, each ended by a dot, so that the key of a name
// is a prefix of exactly the keys of the names below it; <name> likewise, relative
// to its zone. Octets other than lower-case letters, digits, "-", "_" and "*" are
// written %XX. The root zone is ".". <gen> and <inc> are decimal.
type keys struct{ root string }

// What the copy of a control service leaves out is under these.
const requestsUnder, holdingsUnder, hostUsesUnder, certsUnder = "ctl/request/", "ctl/own/", "ctl/used/host/", "ctl/cert/"

func newKeys(prefix string) keys { return keys{strings.TrimRight(prefix, "/") + "/v1/"} }

func (k keys) base() string               { return strings.TrimSuffix(k.root, "v1/") }
func (k keys) dns() string                { return k.root + "dns/" }
func (k keys) schema() string             { return k.root + "dns/schema" }
func (k keys) zones() string              { return k.root + "dns/zone/" }
func (k keys) zone(z model.Name) string   { return k.zones() + reversed(z) }
func (k keys) revs() string               { return k.root + "dns/rev/" }
func (k keys) revAll() string             { return k.root + "dns/rev/all" }
func (k keys) rev(z model.Name) string    { return k.revs() + reversed(z) }
func (k keys) isRev(key string) bool      { return strings.HasPrefix(key, k.revs()) }
func (k keys) accept(z model.Name) string { return k.root + "dns/accept/" + reversed(z) }
func (k keys) held(z model.Name) string   { return k.root + "dns/held/" + reversed(z) }
func (k keys) names(z model.Name) string  { return k.root + "dns/name/" + reversed(z) + "/" }
func (k keys) masterKey() string          { return k.root + "ctl/masterkey" }
func (k keys) tokens() string             { return k.root + "ctl/token/" }
func (k keys) token(sum []byte) string    { return k.tokens() + hex.EncodeToString(sum) }
func (k keys) users() string              { return k.root + "ctl/user/" }
func (k keys) user(p string) string       { return k.users() + escape(p) }
func (k keys) tokenUse(sum []byte) string {
	return k.root + "ctl/used/token/" + hex.EncodeToString(sum)
}
func (k keys) hostUses() string            { return k.root + hostUsesUnder }
func (k keys) requests() string            { return k.root + requestsUnder }
func (k keys) audits() string              { return k.root + "audit/" }
func (k keys) audit(id string) string      { return k.audits() + id }
func (k keys) anyHost() string             { return k.root + "ctl/host/" }
func (k keys) principal(p string) string   { return k.root + "ctl/principal/" + escape(p) }
func (k keys) anyKept() string             { return k.root + "ctl/kept/" }
func (k keys) anyImported() string         { return k.root + "ctl/imported/" }
func (k keys) anyPolicy() string           { return k.root + "ctl/zone/" }
func (k keys) holdings() string            { return k.root + holdingsUnder }
func (k keys) ownBy(p string) string       { return k.holdings() + escape(p) + "/" }
func (k keys) anyName() string             { return k.root + "dns/name/" }
func (k keys) imports(z model.Name) string { return k.root + "ctl/import/" + reversed(z) }
func (k keys) live(z model.Name) string    { return k.root + "live/import/" + reversed(z) }
func (k keys) controls() string            { return k.root + "live/control/" }
func (k keys) hook(name string) string     { return k.root + "ctl/hook/" + escape(name) }
func (k keys) hookLife(name string) string { return k.root + "live/hook/" + escape(name) }
func (k keys) hosts(z model.Zone) string   { return k.hostsOf(z.Name, z.Incarnation) }
func (k keys) namesOf(z model.Zone) string { return k.gen(z.Name, z.Generation) }

func (k keys) gen(z model.Name, gen uint64) string { return k.numbered("dns/name/", z, gen, z) }

func (k keys) hostsOf(z model.Name, inc uint64) string { return k.numbered("ctl/host/", z, inc, z) }

// name is also the prefix of the keys of all names below n.
func (k keys) name(z model.Name, gen uint64, n model.Name) string {
	return k.numbered("dns/name/", z, gen, n)
}

func (k keys) host(z model.Zone, n model.Name) string {
	return k.numbered("ctl/host/", z.Name, z.Incarnation, n)
}

// numbered is the key of a name in a generation or incarnation of a zone.
func (k keys) numbered(under string, z model.Name, number uint64, n model.Name) string {
	b := append(append(make([]byte, 0, 128), k.root...), under...)
	b = append(appendReversed(b, z), '/')
	b = append(strconv.AppendUint(b, number, 10), '/')
	return string(appendRelative(b, n, z))
}

func (k keys) kept(z model.Zone, n model.Name) string {
	return k.anyKept() + reversed(z.Name) + "/" + strconv.FormatUint(z.Incarnation, 10) + "/" + relative(n, z.Name)
}

func (k keys) request(principal, id string) string {
	return k.requests() + escape(principal) + "/" + escape(id)
}

// policy ends in a slash, as hosts does: what belongs to an incarnation goes with it.
func (k keys) policy(z model.Zone) string {
	return k.anyPolicy() + reversed(z.Name) + "/" + strconv.FormatUint(z.Incarnation, 10) + "/"
}

func (k keys) hostUse(z model.Zone, n model.Name) string {
	return k.hostUses() + strings.TrimPrefix(k.host(z, n), k.anyHost())
}

// ownIn is the prefix of what a principal has in a zone.
func (k keys) ownIn(p string, z model.Zone) string {
	return k.ownBy(p) + reversed(z.Name) + "/" + strconv.FormatUint(z.Incarnation, 10) + "/"
}

func (k keys) own(p string, z model.Zone, n model.Name) string {
	return k.ownIn(p, z) + relative(n, z.Name)
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
	return k.ofJudged(n)
}

// parse reads a key that is followed; ok is false for keys of no kind known here.
func (k keys) parse(key string) (model.Key, bool, error) {
	rest, in := strings.CutPrefix(key, k.dns())
	if !in {
		return k.parseBeside(key)
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
	case "checker", "vote", "admin", "over":
		return parseJudged(word, rest)
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

func badKey(key, why string) error {
	return model.E(model.Invalid, "read key", strconv.Quote(key)).Because(why)
}
