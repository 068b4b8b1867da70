package dump

import (
	"encoding/json"
	"strconv"
	"strings"
)

// join makes of objects what they say together.
func (d *reader) join() *Dump {
	out := &Dump{NotCarried: map[string]int{}}
	d.users = map[string]*User{}
	orgs, domains, hosts := map[*object]*Organization{}, map[*object]*Domain{}, map[*object]*Host{}
	for _, o := range d.ordered {
		switch o.Model {
		case modelAccount:
			d.account(o)
		case modelOrganization:
			org := &Organization{Name: d.text(o, "name", 1), Private: !isNull(o.Fields["created_by"])}
			orgs[o] = org
		}
	}
	for _, o := range d.ordered {
		switch o.Model {
		case modelMembership:
			if org := orgs[d.ref(o, "vo", modelOrganization, true)]; org != nil {
				org.Members++
			}
		case modelDomain:
			domains[o] = d.domain(o, orgs)
			out.Domains = append(out.Domains, domains[o])
		case modelBlacklist:
			out.Blacklist = append(out.Blacklist, &Blacklisted{Pattern: d.text(o, "name_re", 1)})
		case modelService, modelServiceHost:
			out.NotCarried[o.Model]++
		}
	}
	d.onlyOnce("domain", len(out.Domains), func(i int) string { return strings.ToLower(out.Domains[i].Name) })
	for _, o := range d.ordered {
		if o.Model == modelHost {
			if h := d.host(o, domains); h != nil {
				hosts[o] = h
				out.Hosts = append(out.Hosts, h)
			}
		}
	}
	d.onlyOnce("host", len(out.Hosts), func(i int) string { return strings.ToLower(out.Hosts[i].FQDN()) })
	for _, o := range d.ordered {
		if o.Model == modelRelated {
			if main := hosts[d.ref(o, "main_host", modelHost, true)]; main != nil {
				out.Related = append(out.Related, &Related{
					Name: d.text(o, "name", 1), Main: main, Comment: d.text(o, "comment", 0), Available: d.flag(o, "available", true),
					Interface4: strings.TrimSpace(d.text(o, "interface_id_ipv4", 0)), Interface6: strings.TrimSpace(d.text(o, "interface_id_ipv6", 0)),
				})
			}
		}
	}
	d.onlyOnce("related host", len(out.Related), func(i int) string { return strings.ToLower(out.Related[i].FQDN()) })
	return out
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

func (d *reader) onlyOnce(what string, n int, name func(int) string) {
	seen := map[string]bool{}
	for i := range n {
		if at := name(i); seen[at] && at != "" {
			d.problem(what+" "+at, "name", "it is in the dump twice", "")
		} else {
			seen[at] = true
		}
	}
}

func (d *reader) account(o *object) {
	// A number is how the service keeps some providers' subjects; JSON may have it bare.
	subject := strings.Trim(string(o.Fields["uid"]), `"`)
	if raw := o.Fields["uid"]; len(raw) > 0 && raw[0] == '"' {
		subject = d.text(o, "uid", 1)
	} else if _, err := strconv.ParseUint(subject, 10, 64); err != nil {
		d.problem(o.where(), "uid", "it is missing or no string", "")
		return
	}
	a := &Account{Provider: d.text(o, "provider", 1), Subject: subject}
	if u := d.user(o, "user", true); u != nil {
		u.Accounts = append(u.Accounts, a)
	}
}

// user is the person whom a field refers to. People need not be in the dump: of them
// nothing but the key is wanted.
func (d *reader) user(o *object, field string, needed bool) *User {
	raw := string(o.Fields[field])
	if len(d.byKey[modelUser]) > 0 && !isNull(o.Fields[field]) {
		found := d.ref(o, field, modelUser, needed)
		if found == nil {
			return nil
		}
		if key := string(found.Key); key != "" && key != "null" {
			raw = key
		} else {
			raw = "[" + string(found.Fields["username"]) + "]"
		}
	}
	if raw == "" || raw == "null" {
		if needed {
			d.problem(o.where(), field, "it is missing", "")
		}
		return nil
	}
	u := d.users[raw]
	if u == nil {
		u = &User{Key: strings.Trim(raw, `[]"`)}
		d.users[raw] = u
	}
	return u
}

func (d *reader) domain(o *object, orgs map[*object]*Organization) *Domain {
	out := &Domain{
		Name: strings.TrimSuffix(d.text(o, "name", 1), "."), Public: d.flag(o, "public", false), Available: d.flag(o, "available", true),
		Comment: d.text(o, "comment", 0), Owner: d.user(o, "created_by", true), HasKey: d.text(o, "nameserver_update_secret", 0) != "",
		CreateTime: d.time(o, "created"),
	}
	if !isNull(o.Fields["vo"]) {
		out.Organization = orgs[d.ref(o, "vo", modelOrganization, false)]
	}
	return out
}

func (d *reader) host(o *object, domains map[*object]*Domain) *Host {
	domain := domains[d.ref(o, "domain", modelDomain, true)]
	h := &Host{
		Where: o.where(), Name: d.text(o, "name", 1), Domain: domain, Owner: d.user(o, "created_by", true),
		Comment: d.text(o, "comment", 0), Wildcard: d.flag(o, "wildcard", false), Available: d.flag(o, "available", true),
		Abuse: d.flag(o, "abuse", false), AbuseBlocked: d.flag(o, "abuse_blocked", false),
		Secret: d.text(o, "update_secret", 0), Certificate: strings.TrimSpace(d.text(o, "ssl_certificate", 0)),
		Netmask4: d.number(o, "netmask_ipv4"), Netmask6: d.number(o, "netmask_ipv6"),
		CreateTime: d.time(o, "created"), UpdateTime4: d.time(o, "last_update_ipv4"), UpdateTime6: d.time(o, "last_update_ipv6"),
	}
	if domain == nil {
		return nil
	}
	return h
}
