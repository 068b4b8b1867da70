package store

import (
	"strconv"
	"strings"

	"signpost/internal/model"
)

func (k keys) checks() string              { return k.root + "check/" }
func (k keys) lives() string               { return k.root + "live/" }
func (k keys) beats() string               { return k.root + "beat/" }
func (k keys) checkers() string            { return k.root + "dns/checker/" }
func (k keys) checker(site string) string  { return k.checkers() + escape(site) }
func (k keys) anyVote() string             { return k.root + "dns/vote/" }
func (k keys) votes(site string) string    { return k.anyVote() + escape(site) + "/" }
func (k keys) checkerLives() string        { return k.root + "live/checker/" }
func (k keys) life(site string) string     { return k.checkerLives() + escape(site) }
func (k keys) markers() string             { return k.root + "live/word/" }
func (k keys) marker(id string) string     { return k.markers() + escape(id) }
func (k keys) words() string               { return k.root + "dns/admin/" }
func (k keys) freeze() string              { return k.words() + "freeze" }
func (k keys) siteWords() string           { return k.words() + "site/" }
func (k keys) siteWord(site string) string { return k.siteWords() + escape(site) }
func (k keys) hostWords() string           { return k.words() + "host/" }
func (k keys) endpointWords() string       { return k.words() + "endpoint/" }
func (k keys) overs() string               { return k.root + "dns/over/" }

// ofEndpointsUnder is what keys begin with that end in an endpoint's id.
var ofEndpointsUnder = []string{"dns/vote/", "dns/over/", "dns/admin/endpoint/"}

func (k keys) hostWord(z, n model.Name) string { return k.hostWords() + hostPart(z, n) }

// What is about the endpoints of a host has its keys under hostPart, a slash after it.
func (k keys) endpointWord(z, n model.Name, id string) string {
	return k.endpointWords() + hostPart(z, n) + "/" + escape(id)
}

func (k keys) over(z, n model.Name, id string) string {
	return k.overs() + hostPart(z, n) + "/" + escape(id)
}

func (k keys) vote(site string, z, n model.Name, id string) string {
	return k.votes(site) + hostPart(z, n) + "/" + escape(id)
}

func (k keys) beat(z, n model.Name, id string) string {
	return k.beats() + hostPart(z, n) + "/" + escape(id)
}

func (k keys) check(z model.Name, inc uint64, n model.Name) string {
	return k.numbered("check/", z, inc, n)
}

func hostPart(z, n model.Name) string {
	b := append(appendReversed(make([]byte, 0, 64), z), '/')
	return string(appendRelative(b, n, z))
}

// ofJudged builds the keys that parseJudged and parseBeside read.
func (k keys) ofJudged(n model.Key) string {
	switch n.Kind {
	case model.CheckerKey:
		return k.checker(n.Site)
	case model.VoteKey:
		return k.vote(n.Site, n.Zone, n.Name, n.Endpoint)
	case model.SiteWordKey:
		return k.siteWord(n.Site)
	case model.HostWordKey:
		return k.hostWord(n.Zone, n.Name)
	case model.EndpointWordKey:
		return k.endpointWord(n.Zone, n.Name, n.Endpoint)
	case model.OverKey:
		return k.over(n.Zone, n.Name, n.Endpoint)
	case model.FreezeKey:
		return k.freeze()
	case model.CheckKey:
		return k.check(n.Zone, n.Generation, n.Name)
	case model.LifeKey:
		return k.life(n.Site)
	case model.BeatKey:
		return k.beat(n.Zone, n.Name, n.Endpoint)
	}
	panic("store: a key of no known kind") // it can only come from a program
}

// parseJudged reads what follows after dns/, a word and a slash.
func parseJudged(word, rest string) (n model.Key, ok bool, err error) {
	switch word {
	case "checker":
		n.Kind = model.CheckerKey
		n.Site, err = parsePart(rest)
	case "vote":
		site, rest, _ := strings.Cut(rest, "/")
		if n, err = parseEndpoint(model.VoteKey, rest); err == nil {
			n.Site, err = parsePart(site)
		}
	case "over":
		n, err = parseEndpoint(model.OverKey, rest)
	case "admin":
		return parseWord(rest)
	}
	return n, err == nil, err
}

func parseWord(rest string) (n model.Key, ok bool, err error) {
	if rest == "freeze" {
		return model.Key{Kind: model.FreezeKey}, true, nil
	}
	on, rest, _ := strings.Cut(rest, "/")
	switch on {
	case "site":
		n.Kind = model.SiteWordKey
		n.Site, err = parsePart(rest)
	case "host":
		n.Kind = model.HostWordKey
		zone, name, _ := strings.Cut(rest, "/")
		n.Zone, n.Name, err = parseHostPart(zone, name)
	case "endpoint":
		n, err = parseEndpoint(model.EndpointWordKey, rest)
	}
	return n, n.Kind != 0 && err == nil, err
}

// parseBeside reads keys beside those under dns(): what only monitors follow.
func (k keys) parseBeside(key string) (n model.Key, ok bool, err error) {
	if site, is := strings.CutPrefix(key, k.checkerLives()); is {
		n.Kind = model.LifeKey
		n.Site, err = parsePart(site)
	} else if rest, is := strings.CutPrefix(key, k.beats()); is {
		n, err = parseEndpoint(model.BeatKey, rest)
	} else if rest, is := strings.CutPrefix(key, k.checks()); is {
		zone, rest, _ := strings.Cut(rest, "/")
		inc, name, _ := strings.Cut(rest, "/")
		n.Kind = model.CheckKey
		n.Generation, n.Zone, n.Name, err = parseNameKey(zone, inc, name)
	}
	return n, n.Kind != 0 && err == nil, err
}

func parseEndpoint(kind model.KeyKind, rest string) (n model.Key, err error) {
	zone, rest, _ := strings.Cut(rest, "/")
	name, id, _ := strings.Cut(rest, "/")
	n.Kind = kind
	if n.Zone, n.Name, err = parseHostPart(zone, name); err == nil {
		n.Endpoint, err = parsePart(id)
	}
	return n, err
}

func parseHostPart(zone, name string) (z, n model.Name, err error) {
	_, z, n, err = parseNameKey(zone, "0", name)
	return z, n, err
}

// parsePart reads a site or an id as escape has written it.
func parsePart(s string) (string, error) {
	plain, err := unescape(s)
	if err != nil {
		return "", err
	}
	if plain == "" || escape(plain) != s {
		return "", badKey(strconv.Quote(s), "it is empty or not in canonical form")
	}
	return plain, nil
}
