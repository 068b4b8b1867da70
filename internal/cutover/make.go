package cutover

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"signpost/internal/cutover/dump"
	"signpost/internal/model"
)

type maker struct {
	dump     *dump.Dump
	options  Options
	plan     *Plan
	owners   map[*dump.User]model.PrincipalName
	reserved []string
	problems []error
}

func (m *maker) note(about, name, text string) {
	m.plan.Notes = append(m.plan.Notes, Note{about, name, text})
}

func (m *maker) problem(what, why, hint string) {
	m.problems = append(m.problems, model.E(model.Invalid, "import", what).Because(why).Hint(hint))
}

func (m *maker) make() (*Plan, error) {
	m.blacklist()
	zones := map[*dump.Domain]*zoneMaker{}
	met := map[model.Name]bool{}
	for _, d := range m.dump.Domains {
		name, err := model.ParseName(d.Name)
		if err != nil {
			m.problem("domain "+strconv.Quote(d.Name), "it is no domain name", "leave it out of the dump")
			continue
		}
		met[name] = true
		if slices.Contains(m.options.Skip, name) {
			m.note(AboutLeftOut, d.Name, "the domain, as was asked for")
			continue
		}
		file := m.options.Zones[name]
		if file == nil {
			m.problem("domain "+d.Name, "there is no zone for it", "give --zone-file "+d.Name+"=FILE or --axfr "+d.Name+"=SERVER, or leave it out with --skip-domain "+d.Name)
			continue
		}
		zones[d] = m.zone(name, d, file)
	}
	for name := range m.options.Zones {
		if !met[name] {
			m.problem("zone "+name.Text(), "the dump has no such domain", "take it in with signpost zone import")
		}
	}
	for _, name := range m.options.Skip {
		if !met[name] {
			m.problem("domain "+name.Text(), "the dump has no such domain to leave out", "")
		}
	}
	for _, h := range m.dump.Hosts {
		if z := zones[h.Domain]; z != nil {
			z.host(h)
		}
	}
	for _, r := range m.dump.Related {
		if z := zones[r.Main.Domain]; z != nil {
			z.relate(r)
		}
	}
	for _, d := range m.dump.Domains {
		if z := zones[d]; z != nil {
			z.records()
			m.plan.Zones = append(m.plan.Zones, z.Zone)
		}
	}
	for _, what := range []struct{ model, text string }{
		{"main.serviceupdater", "services elsewhere that hosts' addresses were passed on to"},
		{"main.serviceupdaterhostconfig", "hosts' credentials at services elsewhere; their addresses are passed on no more"},
	} {
		if n := m.dump.NotCarried[what.model]; n > 0 {
			m.note(AboutLeftOut, what.model, strconv.Itoa(n)+" "+what.text)
		}
	}
	if len(m.problems) > 0 {
		return nil, errors.Join(m.problems[:min(len(m.problems), 20)]...)
	}
	order := func(n Note) int {
		return slices.IndexFunc(Abouts, func(a struct{ About, Title string }) bool { return a.About == n.About })
	}
	slices.SortStableFunc(m.plan.Notes, func(a, b Note) int { return order(a) - order(b) })
	return m.plan, nil
}

// owner is who a person is here: the one account that they have at the issuers that were
// given. People are never known by an address.
func (m *maker) owner(u *dump.User) model.PrincipalName {
	if who, known := m.owners[u]; known {
		return who
	}
	var found []model.PrincipalName
	var elsewhere []string
	for _, a := range u.Accounts {
		alias, given := m.options.Issuers[a.Provider]
		who, err := model.Person(alias, a.Subject)
		switch {
		case !given:
			elsewhere = append(elsewhere, a.Provider)
		case err == nil && !slices.Contains(found, who):
			found = append(found, who)
		case err != nil:
			elsewhere = append(elsewhere, a.Provider+" with a subject that cannot be: "+err.Error())
		}
	}
	who := m.options.Orphans
	if len(found) == 1 {
		who = found[0]
	} else {
		why := "no account"
		if len(found) > 1 {
			why = fmt.Sprintf("%d accounts at given issuers, %s", len(found), joined(found))
		}
		if len(elsewhere) > 0 {
			why += "; others: " + strings.Join(elsewhere, ", ")
		}
		if who != "" {
			why += "; to " + string(who)
		}
		m.plan.Orphans = append(m.plan.Orphans, u.Key)
		hosts := 0
		for _, h := range m.dump.Hosts {
			if h.Owner == u {
				hosts++
			}
		}
		m.note(AboutOrphans, "user "+u.Key, fmt.Sprintf("%s (hosts: %d)", why, hosts))
	}
	m.owners[u] = who
	return who
}

func joined(names []model.PrincipalName) string {
	texts := make([]string, len(names))
	for i, n := range names {
		texts[i] = string(n)
	}
	return strings.Join(texts, ", ")
}

// zone is a zone with who may do what in it.
func (m *maker) zone(name model.Name, d *dump.Domain, file *model.ZoneFile) *zoneMaker {
	z := &Zone{Name: name, File: file, Reserved: m.reserved}
	if owner := m.owner(d.Owner); owner != "" {
		z.Admins = []model.PrincipalName{owner}
	}
	said := "administrators: " + joined(z.Admins)
	switch org := d.Organization; {
	case !d.Public:
		said += "; nobody else registers names"
	case org == nil:
		z.Register = model.RegisterEveryone
		said += "; everyone registers names"
	default:
		if z.Groups = m.groups(d, org); len(z.Groups) > 0 {
			z.Register = model.RegisterGroups
			said += "; " + joined(z.Groups) + " register names"
		} else {
			said += "; nobody else registers names, for its virtual organisation is no group"
		}
	}
	m.note(AboutDomains, d.Name, said)
	if d.Comment != "" {
		m.note(AboutLeftOut, d.Name, "the domain's comment "+strconv.Quote(d.Comment))
	}
	if d.HasKey {
		m.note(AboutLeftOut, d.Name, "the key with which the service changed the domain's name server")
	}
	return &zoneMaker{Zone: z, maker: m, hosts: map[model.Name]*Name{}, wild: map[model.Name]*Name{}, related: map[model.Name]*dump.Related{}}
}

// groups is what a domain's virtual organisation becomes. Its name is an entitlement up to
// its last colon, NAMESPACE:group:GROUP, and its members were those who had any one that
// goes on with a role.
func (m *maker) groups(d *dump.Domain, org *dump.Organization) []model.PrincipalName {
	of := func(groups []model.PrincipalName, why string) []model.PrincipalName {
		m.note(AboutGroups, org.Name, why+" (domain "+d.Name+")")
		return groups
	}
	if given, ok := m.options.Groups[org.Name]; ok {
		return of(given, "becomes "+joined(given)+", as was asked for")
	}
	if org.Private {
		return of(nil, fmt.Sprintf("was made in the former service, with %d members, whom no issuer knows: it becomes nothing; give --vo %q for the group that stands for it", org.Members, org.Name+"=GROUP"))
	}
	_, group, found := strings.Cut(org.Name, ":group:")
	if group, _, _ = strings.Cut(group, "#"); !found || group == "" {
		return of(nil, fmt.Sprintf("is no group of an issuer: it becomes nothing; give --vo %q for the group that stands for it", org.Name+"=GROUP"))
	}
	decoded, err := unescape(group)
	if err != nil {
		return of(nil, "is no group of an issuer: it becomes nothing")
	}
	var out []model.PrincipalName
	for _, text := range []string{decoded, decoded + ":role=member"} {
		g, err := model.Group(m.options.GroupIssuer, text)
		if err != nil {
			return of(nil, "is no group that can be: "+err.Error())
		}
		out = append(out, g)
	}
	return of(out, "becomes "+joined(out))
}
