// Package rights answers one question: which users and roles must etcd have, so that
// each of our processes may do what it needs and nothing else? It says what is wanted,
// compares that with what etcd has, and makes the difference.
package rights

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store"
)

// root is what etcd itself calls the user, and its role, who may change users.
const root = "root"

// Options is for whom there are to be users. A user's name is the common name of its
// certificate.
type Options struct {
	Prefix   string            // of all keys
	DNS      []string          // users of name servers
	Control  []string          // users of control services
	Monitors map[string]string // the user of each site's monitor
}

// A role is what a user may do. Those of the same role share it.
type role struct {
	name   string
	rights []store.Right
	users  []string
}

var site = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// wanted is the roles besides etcd's own "root". Errors are of kind Invalid; all that is
// wrong is said at once.
func (o Options) wanted() ([]role, error) {
	roles := []role{
		{"signpost-dns", store.NameServerRights(o.Prefix), o.DNS},
		{"signpost-control", store.ControlRights(o.Prefix), o.Control},
	}
	var problems []error
	for _, s := range slices.Sorted(maps.Keys(o.Monitors)) {
		if !site.MatchString(s) {
			problems = append(problems, model.E(model.Invalid, "plan rights", s).In("site").
				Because("a site's name has 1 to 63 small letters, digits and hyphens, and none of these at its ends"))
		}
		roles = append(roles, role{"signpost-monitor-" + s, store.MonitorRights(o.Prefix, s), []string{o.Monitors[s]}})
	}
	has := map[string]string{root: root}
	for _, r := range roles {
		for _, u := range r.users {
			bad := func(why, hint string) {
				problems = append(problems, model.E(model.Invalid, "plan rights", u).In("user").Because(why).Hint(hint))
			}
			switch other := has[u]; {
			case u == "" || strings.ContainsAny(u, "/\x00\r\n"):
				bad("it is no name of a user", "give the common name of its certificate")
			case other == r.name:
				bad("it is given twice", "give it once")
			case other != "":
				bad("it would have the role "+r.name+" and the role "+other+", and may then do more than either", "give each kind of process a user of its own")
			}
			has[u] = r.name
		}
	}
	return roles, errors.Join(problems...)
}

// permission is a right in etcd's words.
type permission struct {
	key, end string
	how      clientv3.PermissionType
}

func inEtcd(rights []store.Right) []permission {
	var out []permission
	for _, r := range rights {
		p := permission{key: r.Key, how: clientv3.PermissionType(clientv3.PermRead)}
		switch {
		case r.Read && r.Write:
			p.how = clientv3.PermissionType(clientv3.PermReadWrite)
		case r.Write:
			p.how = clientv3.PermissionType(clientv3.PermWrite)
		}
		if r.Below {
			p.end = clientv3.GetPrefixRangeEnd(r.Key)
		}
		out = append(out, p)
	}
	return out
}

var does = map[clientv3.PermissionType]string{
	clientv3.PermissionType(clientv3.PermRead):      "read",
	clientv3.PermissionType(clientv3.PermWrite):     "write",
	clientv3.PermissionType(clientv3.PermReadWrite): "read and write",
}

func (p permission) String() string {
	switch p.end {
	case "":
		return does[p.how] + " " + p.key
	case clientv3.GetPrefixRangeEnd(p.key):
		return does[p.how] + " " + p.key + "*"
	}
	return does[p.how] + " from " + p.key + " to before " + p.end
}
