package signpost

import (
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/miekg/dns"

	"signpost/internal/model"
)

// harmless is the plugins that an answer to a plain question, of a name in our zones,
// need not come past, and why.
var harmless = map[string]string{
	pluginName: "it answers",

	"any":         "ANY is no plain question",
	"bufsize":     "its size is known",
	"cache":       "it leaves our zones alone",
	"chaos":       "class CH is no plain question",
	"errors":      "it sees what fails",
	"loadbalance": "answers of several records are left to it",
	"minimal":     "answers of which it takes something are left to it",
	"nsid":        "a query with its option is no plain question",
	"prometheus":  "its counters are kept",
	"transfer":    "AXFR and IXFR are no plain questions",
	"tsig":        "a query with TSIG is no plain question", // but see fit

	// These come after signpost, and are not asked for names in our zones.
	"file": "it comes after", "secondary": "it comes after", "forward": "it comes after", "whoami": "it comes after",
	"auto": "it comes after", "etcd": "it comes after", "grpc": "it comes after", "template": "it comes after",
}

// mustSee is the plugins that have to see every query, and why.
var mustSee = map[string]string{
	"acl":      "it decides who is answered",
	"dns64":    "it makes addresses of others",
	"dnssec":   "it signs answers",
	"dnstap":   "it writes down every query",
	"geoip":    "what it finds is for other plugins to act on",
	"header":   "it changes answers",
	"log":      "it writes down every query",
	"metadata": "what it gathers is for other plugins to act on",
	"rewrite":  "it changes questions",
	"shed":     "it drops queries under load, and its place in CoreDNS is needed",
	"trace":    "it follows every query",
	"view":     "it decides by client which server block answers",
}

// fit refuses a server block in which batches would change answers. Errors are of kind
// Invalid, and tell everything at once.
func fit(c *caddy.Controller, block []*dnsserver.Config) error {
	var problems []string
	config := block[0]
	for _, h := range config.Handlers() {
		if why := unfit(h.Name()); why != "" {
			problems = append(problems, why)
		}
	}
	if len(config.FilterFuncs) > 0 && config.Handler("view") == nil {
		problems = append(problems, "a filter decides which server block answers")
	}
	if config.NumSockets > 1 {
		problems = append(problems, "multisocket opens sockets of its own; give their number here instead")
	}
	if config.ProxyProtoConnPolicy != nil {
		problems = append(problems, "proxyproto: packets have to be unwrapped first")
	}
	if h := config.Handler("tsig"); h != nil && requiresTSIG(h) {
		problems = append(problems, "tsig: it refuses questions without TSIG")
	}
	problems = append(problems, neighbours(c, block)...)
	if len(problems) > 0 {
		return refused(strings.Join(c.ServerBlockKeys, " "), strings.Join(problems, "; ")).Hint("leave out listen batch, or these")
	}
	return nil
}

// unfit is why a plugin does not go with batches; empty: it does.
func unfit(name string) string {
	if why, ok := mustSee[name]; ok {
		return name + " must see every query (" + why + ")"
	}
	if harmless[name] == "" {
		return name + " is not known to work with it"
	}
	return ""
}

// requiresTSIG reports whether the tsig plugin asks for TSIG with more than transfers.
// It keeps that to itself, so it is read where it has it.
func requiresTSIG(h plugin.Handler) (yes bool) {
	defer func() { yes = recover() != nil || yes }() // what cannot be seen may be required
	t := reflect.ValueOf(h).Elem()
	for _, qtype := range t.FieldByName("types").MapKeys() {
		n := uint16(qtype.Uint())
		yes = yes || n != dns.TypeAXFR && n != dns.TypeIXFR
	}
	return yes || t.FieldByName("allTypes").Bool() || t.FieldByName("allOpcodes").Bool() || t.FieldByName("opcodes").Len() > 0
}

// neighbours finds what other server blocks on the same addresses do to the sockets
// there, and what they would be asked in place of this one, or have in its place.
//
//	another block on the same address                     because
//	has listen batch or shed                              there is one way to the server
//	has multisocket                                       CoreDNS's socket must be the only one before ours
//	has proxyproto                                        packets have to be unwrapped first
//	takes other opcodes than CoreDNS does by itself       what is not plain is turned away before it
//	has a zone inside ours                                CoreDNS asks it for those names
//	has a zone of ours, and a filter                      CoreDNS asks it for some clients
func neighbours(c *caddy.Controller, block []*dnsserver.Config) (problems []string) {
	all, err := allConfigs(c)
	if err != nil {
		return []string{err.Error()}
	}
	for _, other := range all {
		if slices.Contains(block, other) || !shareAddress(other, block) {
			continue
		}
		add := func(what string) {
			problems = append(problems, "the server block "+other.Zone+" on the same address "+what)
		}
		if other.UDPDecorateWriterFunc != nil {
			add("has listen batch or shed")
		}
		if other.NumSockets > 1 {
			add("has multisocket, which opens sockets of its own; give their number to listen batch instead")
		}
		if other.ProxyProtoConnPolicy != nil {
			add("has proxyproto: packets have to be unwrapped first")
		}
		if takesOpcodes(other) {
			add("takes messages that are no queries, such as UPDATE")
		}
		for _, config := range block {
			switch name := model.NameOf(other.Zone); {
			case name.Below(model.NameOf(config.Zone)):
				add("lies inside " + config.Zone)
			case name == model.NameOf(config.Zone) && len(other.FilterFuncs) > 0:
				add("has a filter that decides which of the two answers")
			}
		}
	}
	return unique(problems)
}

// shareAddress reports whether two of the configs have a socket in common, as CoreDNS
// puts them together.
func shareAddress(a *dnsserver.Config, block []*dnsserver.Config) bool {
	in := addresses(a)
	return slices.ContainsFunc(block, func(b *dnsserver.Config) bool {
		return slices.ContainsFunc(addresses(b), func(s string) bool { return a.Transport == b.Transport && slices.Contains(in, s) })
	})
}

// addresses is where a config listens, in CoreDNS's way of writing. It has looked the
// hosts up already, so they are known.
func addresses(config *dnsserver.Config) (out []string) {
	for _, host := range config.ListenHosts {
		if addr, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(host, config.Port)); err == nil {
			out = append(out, addr.String())
		}
	}
	return out
}

// takesOpcodes reports whether a plugin of the config has asked for more opcodes than
// QUERY and NOTIFY. CoreDNS keeps that to itself, so it is read where it has it.
func takesOpcodes(config *dnsserver.Config) (yes bool) {
	defer func() { yes = recover() != nil || yes }() // what cannot be seen may be so
	return reflect.ValueOf(config).Elem().FieldByName("allowedOpcodes").Len() > 0
}

// allConfigs is the configs of every server block. CoreDNS keeps them to itself, so
// they are read where it has them.
func allConfigs(c *caddy.Controller) (out []*dnsserver.Config, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("this CoreDNS does not show its server blocks: %v", r)
		}
	}()
	configs := reflect.ValueOf(c.Context()).Elem().FieldByName("configs")
	for i := range configs.Len() {
		out = append(out, (*dnsserver.Config)(configs.Index(i).UnsafePointer()))
	}
	return out, nil
}
