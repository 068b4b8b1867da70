package oidc

import (
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4/json"

	"signpost/internal/model"
)

// groups is the groups that a person is in, in order; more reports that there are more
// than are looked at.
func (i *issuer) groups(of attributes) (groups []model.PrincipalName, more bool) {
	if i.Namespace == "" {
		return nil, false
	}
	seen := map[model.PrincipalName]bool{}
	for _, claim := range i.EntitlementClaims {
		var values words
		if raw, ok := of[claim]; !ok || json.Unmarshal(raw, &values) != nil {
			continue
		}
		for _, v := range values {
			text, ok := parseGroup(v, i.Namespace, i.Authorities)
			if !ok {
				continue
			}
			g, err := model.Group(i.Name, text)
			if err != nil || seen[g] {
				continue
			}
			if len(groups) == MaxGroups {
				more = true
				break
			}
			seen[g] = true
			groups = append(groups, g)
		}
	}
	slices.Sort(groups)
	return groups, more
}

const roleMark = "role="

// parseGroup reads an entitlement of the form of AARC-G069,
//
//	<NAMESPACE>:group:<GROUP>[:<SUBGROUP>]*[:role=<ROLE>][#<AUTHORITY>]
//
// as GROUP[:SUBGROUP]*[:role=ROLE], with percent-encoding decoded. Others are not ok:
// of another namespace or authority, and those whose decoded parts hold what divides
// parts, so that no group can be written as another one, its subgroup or its role.
func parseGroup(entitlement, namespace string, authorities []string) (group string, ok bool) {
	rest, ok := strings.CutPrefix(entitlement, namespace+":group:")
	if !ok {
		return "", false
	}
	rest, authority, given := strings.Cut(rest, "#")
	if given && !slices.Contains(authorities, authority) {
		return "", false
	}
	parts := strings.Split(rest, ":")
	for n, part := range parts {
		role := false
		if n > 0 && n == len(parts)-1 {
			part, role = strings.CutPrefix(part, roleMark)
		}
		decoded, err := url.PathUnescape(part)
		if err != nil || decoded == "" || strings.ContainsAny(decoded, ":#") {
			return "", false
		}
		if !role && len(decoded) >= len(roleMark) && strings.EqualFold(decoded[:len(roleMark)], roleMark) {
			return "", false
		}
		if parts[n] = decoded; role {
			parts[n] = roleMark + decoded
		}
	}
	return strings.Join(parts, ":"), true
}
