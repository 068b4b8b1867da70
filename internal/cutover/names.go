package cutover

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"signpost/internal/cutover/dump"
	"signpost/internal/model"
)

// zoneMaker makes the names of a zone.
type zoneMaker struct {
	*Zone
	maker   *maker
	hosts   map[model.Name]*Name
	wild    map[model.Name]*Name // hosts by the names of their wildcards
	related map[model.Name]*dump.Related
}

// Why hosts are not answered.
const (
	whyBlocked = "blocked for abuse in the former service"
	whyAbuse   = "found to be abused in the former service"
	whyOff     = "switched off in the former service"
)

// host makes a host:
//
//	there                  here
//	abuse_blocked          blocked: its owner cannot change it
//	abuse                  disabled: its owner may enable it, as there
//	not available          disabled
func (z *zoneMaker) host(h *dump.Host) {
	name, err := model.ParseHostName("name", h.FQDN())
	if err != nil {
		z.maker.problem(h.Where, "field name: "+strconv.Quote(h.FQDN())+" cannot be a host: "+err.Error(), "mend or delete it there")
		return
	}
	out := &Host{
		Owner: z.maker.owner(h.Owner), Comment: h.Comment, Wildcard: h.Wildcard, CreateTime: h.CreateTime,
		UpdateTime4: h.UpdateTime4, UpdateTime6: h.UpdateTime6,
	}
	switch {
	case strings.HasPrefix(h.Secret, "sha1$") && secretForm.MatchString(h.Secret):
		out.Secret = h.Secret
	case h.Secret == "" || strings.HasPrefix(h.Secret, "!"):
		z.maker.note(AboutSecrets, h.FQDN(), "it has none")
	default:
		kind, _, _ := strings.Cut(h.Secret, "$")
		z.maker.note(AboutSecrets, h.FQDN(), "it is no salted SHA-1, but "+strconv.Quote(kind[:min(len(kind), 20)]))
	}
	var why []string
	if h.AbuseBlocked {
		out.Blocked = whyBlocked
		why = append(why, whyBlocked)
	}
	switch {
	case h.Abuse && !h.AbuseBlocked:
		out.Disabled = whyAbuse
	case !h.Available:
		out.Disabled = whyOff
	}
	if out.Disabled != "" {
		why = append(why, out.Disabled)
	}
	if len(why) > 0 {
		z.maker.note(AboutBlocked, h.FQDN(), strings.Join(why, ", "))
	}
	if out.Certificate = h.Certificate; h.Certificate != "" {
		z.maker.note(AboutCertificates, h.FQDN(), "a chain of "+strconv.Itoa(strings.Count(h.Certificate, "-----BEGIN CERTIFICATE-----"))+" certificates, which is kept until it ends")
	}
	at := &Name{Name: name, Host: out}
	z.hosts[name] = at
	z.Names = append(z.Names, at)
	z.maker.plan.Hosts++
	if star, err := name.Child("*"); h.Wildcard && err == nil {
		z.wild[star] = at
	}
}

// relate makes a host of a related one, which follows its main host. One that cannot be said
// so stays what it is in the zone, records of its main host.
func (z *zoneMaker) relate(r *dump.Related) {
	name, err := model.ParseHostName("name", r.FQDN())
	above, _ := name.Parent()
	main := z.hosts[above]
	if err != nil || main == nil {
		z.maker.problem("related host "+r.FQDN(), "field name: it cannot be a host", "mend or delete it there")
		return
	}
	f, why := following(r, main.Name)
	if f == nil {
		z.related[name] = r
		z.maker.note(AboutRelated, r.FQDN(), "its records become those of "+r.Main.FQDN()+" and follow its addresses no more: "+why)
		return
	}
	out := &Host{Owner: main.Host.Owner, Comment: r.Comment, Follows: f}
	if !r.Available {
		out.Disabled = whyOff
	}
	at := &Name{Name: name, Host: out}
	z.hosts[name] = at
	z.Names = append(z.Names, at)
	z.maker.note(AboutRelated, r.FQDN(), "becomes a host that follows "+f.String())
}

// following is how a related host has its addresses: in each family for which it has an
// interface identifier, after as many bits of the main host's address as its netmask has.
func following(r *dump.Related, main model.Name) (f *model.Following, why string) {
	f = &model.Following{Main: main}
	for _, of := range []struct {
		text string
		bits int
		v4   bool
		to   *netip.Prefix
	}{{r.Interface4, orBits(r.Main.Netmask4, 32), true, &f.IPv4}, {r.Interface6, orBits(r.Main.Netmask6, 64), false, &f.IPv6}} {
		if of.text == "" {
			continue
		}
		share, err := model.ParseShare("interface", of.text+"/"+strconv.Itoa(of.bits), of.v4)
		if err != nil {
			return nil, "its interface " + of.text + " is none after " + strconv.Itoa(of.bits) + " bits"
		}
		*of.to = share
	}
	if !f.IPv4.IsValid() && !f.IPv6.IsValid() {
		return nil, "it has no interface"
	}
	return f, ""
}

func orBits(bits, without int) int {
	if bits == 0 {
		return without
	}
	return bits
}

// records gives names what the zone holds.
func (z *zoneMaker) records() {
	signed := 0
	apex := &Name{Name: z.Name, Sets: unsigned(z.File.Zone.Apex, &signed)}
	z.Names = append(z.Names, apex)
	stars := map[model.Name][]model.RRset{}
	for name, sets := range z.File.Names("") {
		sets = unsigned(slices.Clone(sets), &signed)
		if len(sets) == 0 {
			continue
		}
		switch at := z.hosts[name]; {
		case at != nil:
			at.Host.Addresses = z.ownAddresses(at, addressesOf(sets))
			at.Sets = model.WithoutRRset(model.WithoutRRset(sets, dns.TypeA), dns.TypeAAAA)
		case z.wild[name] != nil:
			stars[name] = sets
		default:
			z.Names = append(z.Names, &Name{Name: name, Sets: sets})
			if z.related[name] == nil && !z.belongs(name) {
				z.maker.note(AboutUnknown, name.Text(), typesIn(sets))
			}
		}
	}
	z.compare(stars)
	slices.SortFunc(z.Names, func(a, b *Name) int { return model.CompareNames(a.Name, b.Name) })
	for _, at := range z.Names {
		if at.Host != nil && at.Host.Follows == nil && len(at.Host.Addresses) == 0 && at.Host.Blocked == "" && at.Host.Disabled == "" {
			z.maker.note(AboutNoRecords, at.Name.Text(), "it comes without an address")
		}
	}
	if signed > 0 {
		z.maker.note(AboutLeftOut, z.Name.Text(), strconv.Itoa(signed)+" record sets of DNSSEC, which belong to the signer that the zone had")
	}
}

// ownAddresses is the addresses of a name that it has not from whom it follows.
func (z *zoneMaker) ownAddresses(at *Name, addrs []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(addrs, func(a netip.Addr) bool { return at.Host.Follows.Of(a.Is4()).IsValid() })
}

// compare says which wildcards were not answered as their hosts.
func (z *zoneMaker) compare(stars map[model.Name][]model.RRset) {
	for _, star := range slices.SortedFunc(keysOf(z.wild), model.CompareNames) {
		sets, host := stars[star], z.wild[star].Host
		if got := addressesOf(sets); len(sets) > 0 && !slices.Equal(got, host.Addresses) {
			z.maker.note(AboutWildcards, star.Text(), "it had "+textOf(got)+", its host has "+textOf(host.Addresses))
		}
		if rest := model.WithoutRRset(model.WithoutRRset(sets, dns.TypeA), dns.TypeAAAA); len(rest) > 0 {
			z.maker.note(AboutLeftOut, star.Text(), "records of a wildcard of a host: "+typesIn(rest))
		}
	}
}

// belongs reports whether a name is below a host.
func (z *zoneMaker) belongs(name model.Name) bool {
	for n, ok := name.Parent(); ok && n.Below(z.Name); n, ok = n.Parent() {
		if z.hosts[n] != nil {
			return true
		}
	}
	return false
}

func addressesOf(sets []model.RRset) []netip.Addr {
	var out []netip.Addr
	for _, s := range sets {
		if s.Type != dns.TypeA && s.Type != dns.TypeAAAA {
			continue
		}
		for _, data := range s.Data {
			if a, ok := netip.AddrFromSlice(data); ok {
				out = append(out, a)
			}
		}
	}
	return model.NormalizeAddresses(out)
}

func textOf(addrs []netip.Addr) string {
	if len(addrs) == 0 {
		return "none"
	}
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, " ")
}

func typesIn(sets []model.RRset) string {
	texts := make([]string, len(sets))
	for i, s := range sets {
		texts[i] = model.TypeName(s.Type)
	}
	return strings.Join(texts, " ")
}

// unsigned is record sets without those that a signer makes; n counts these.
func unsigned(sets []model.RRset, n *int) []model.RRset {
	return slices.DeleteFunc(slices.Clone(sets), func(s model.RRset) bool {
		switch s.Type {
		case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNSEC3PARAM, dns.TypeDNSKEY, dns.TypeCDS, dns.TypeCDNSKEY, 65534:
			*n++
			return true
		}
		return false
	})
}
