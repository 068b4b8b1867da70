package access

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"signpost/internal/model"
)

// Narrow is what an API token leaves of its owner's rights.
type Narrow struct {
	Token string // its public id
	// Limits is its own and those of the tokens that made it: all must allow.
	Limits []model.TokenLimits
}

// Grant is the word by which a token may do what makes credentials or hands rights on.
const Grant = "grant"

// handsOn is those actions, with what they give to others: a token gives no more than it
// has. What token.create makes is narrowed as its maker is, so it gives nothing more.
var handsOn = map[Action][]Action{
	TokenCreate:  nil,
	RotateSecret: secretRights,

	EndpointRotateSecret: endpointRights,
	HostAccept:           secretRights,
	HostShare:            rightsOf(editor),
	HostTransfer:         rightsOf(owner),
	PrincipalTransfer:    rightsOf(owner),
	ZoneOpen:             rightsOf(zoneAdmin),
	CutoverImport:        rightsOf(zoneAdmin),
}

// secretRights is what a host's secret may do.
var secretRights = []Action{HostRead, Watch, SetAddresses, RecordSet, RecordDelete}

// endpointRights is what an endpoint's secret may do to its endpoint.
var endpointRights = []Action{EndpointRead, EndpointSetAddresses, EndpointBeat, EndpointDrain}

// rightsOf is what a role may do, but to give it up, which is nobody's to give.
func rightsOf(r role) []Action {
	var out []Action
	for a, may := range rights {
		if may&r != 0 && a != HostLeave {
			out = append(out, a)
		}
	}
	return out
}

// CheckTokenAction says whether a word will do in a token's Actions: an action that hands
// no rights on, "grant", or a "*" that stands for all such actions, alone or as what
// follows the first dot. Errors are of kind Invalid and name the field.
func CheckTokenAction(field, word string) error {
	if word == Grant || slices.ContainsFunc(Actions(), func(a Action) bool { return listed([]string{word}, a) && !isForAll(a) }) {
		return nil
	}
	why, hint := "there is no such action", `say one such as host.set-addresses, host.*, * or grant`
	if _, hands := handsOn[Action(word)]; hands {
		why, hint = "it makes a credential or hands rights on", "say grant, which all such actions need"
	}
	return model.E(model.Invalid, "read action of a token", word).In(field).Because(why).Hint(hint)
}

// listed reports whether words have an action that hands no rights on.
func listed(words []string, a Action) bool {
	if _, hands := handsOn[a]; hands {
		return false
	}
	of, _, _ := strings.Cut(string(a), ".")
	return len(words) == 0 || slices.ContainsFunc(words, func(w string) bool { return w == string(a) || w == "*" || w == of+".*" })
}

func (n *Narrow) token() string {
	if n == nil {
		return ""
	}
	return n.Token
}

// MayComeFrom reports whether the principal's token may be used from where the call comes.
func (p Principal) MayComeFrom() bool { return p.allowedFrom("", Resource{}) == nil }

func (p Principal) allowedFrom(a Action, r Resource) error {
	if p.Narrow == nil {
		return nil
	}
	for _, l := range p.Narrow.Limits {
		if len(l.Sources) == 0 || slices.ContainsFunc(l.Sources, func(s netip.Prefix) bool { return s.Contains(p.From.Unmap()) }) {
			continue
		}
		if p.Kind == HostSecret || p.Kind == EndpointSecret {
			return model.E(model.Denied, string(a), r.Name.Text()).Because("the token that made this secret may not be used from your address").
				Hint(another(p.Kind))
		}
		return narrowed(a, r, "it may not be used from your address")
	}
	return nil
}

// Narrowed says whether the principal's token lets through what its owner may. The first
// row that matches, for the token and for those that made it:
//
//	action                        limit      lets it through if
//	any                           actions    it is listed, or nothing is
//	one that hands rights on      actions    grant is listed, and all that it gives
//	token.list, token.revoke      any        the tokens are its owner's
//	token.create                  any        yes
//	zone.list, host.list          any        yes: what is shown is decided by zone.read, host.read
//	any                           zone       it is about that zone or a name in it
//	one about zones               host       no
//	host.create                   host       the name matches
//	any                           host       the nearest host at or above the name matches; where
//	                                         there is none, the name or one above it
//	record.set, record.delete     types      the type is listed
//	host.set-addresses,           types      A and AAAA are listed
//	endpoint.set-addresses
//	any that changes something    types      no
//	any                           any        yes
func (p Principal) Narrowed(a Action, r Resource) error {
	if p.Narrow == nil {
		return nil
	}
	for _, l := range p.Narrow.Limits {
		if why := refusal(l, a, r, r.Owner == "" || r.Owner == p.Name()); why != "" {
			return narrowed(a, r, why)
		}
	}
	return nil
}

func narrowed(a Action, r Resource, why string) error {
	return model.E(model.Denied, string(a), r.Name.Text()).Because("the token is narrowed: " + why).Hint("signpost whoami shows how; use one that may")
}

// refusal is why a limit lets something not through; "": it does.
func refusal(l model.TokenLimits, a Action, r Resource, own bool) string {
	gives, hands := handsOn[a]
	switch {
	case hands && !slices.Contains(l.Actions, Grant):
		return "it has not the action grant, without which no token makes a credential or hands rights on"
	case hands && slices.ContainsFunc(gives, func(b Action) bool { _, too := handsOn[b]; return !too && !listed(l.Actions, b) }):
		return "it would give more than it has"
	case !hands && !listed(l.Actions, a):
		return "it has not this action"
	case isOfTokens(a):
		if !own {
			return "it is for its owner's tokens"
		}
		return ""
	case a == ZoneList || a == HostList:
		return ""
	}
	place := r.Zone
	if IsOfZones(a) {
		place = r.Name
	}
	switch {
	case l.Zone != "" && l.Zone != place:
		return "it is for zone " + l.Zone.Text()
	case l.Host != "" && (IsOfZones(a) || !coversHost(l.Host, a, r)):
		return "it is for hosts " + string(l.Host)
	case len(l.Types) > 0 && !writesOnly(l.Types, a, r):
		return "it is for records of other types"
	}
	return ""
}

func coversHost(p model.NamePattern, a Action, r Resource) bool {
	switch {
	case r.Name == "":
		return false
	case a == HostCreate:
		return p.Matches(r.Name)
	case r.Host != "":
		return p.Matches(r.Host)
	}
	return p.Covers(r.Name)
}

// writesOnly reports whether an action writes nothing, or only records of these types.
func writesOnly(types []uint16, a Action, r Resource) bool {
	switch a {
	case ZoneRead, ZoneExport, HostRead, RecordRead, AuditRead, StatusRead, Watch, EndpointRead, PolicyRead, CheckRead, SiteList, CheckerList, FreezeRead, CertRead, PrincipalRead:
		return true
	case RecordSet, RecordDelete:
		return slices.Contains(types, r.Type)
	case SetAddresses, EndpointSetAddresses:
		return slices.Contains(types, dns.TypeA) && slices.Contains(types, dns.TypeAAAA)
	}
	return false
}

// MayHoldSecret reports whether the principal may be shown the secret of a host that it
// creates: a token that might not do itself what the secret does may not.
func (p Principal) MayHoldSecret() bool {
	return p.Narrow == nil || !slices.ContainsFunc(p.Narrow.Limits, func(l model.TokenLimits) bool {
		return slices.ContainsFunc(secretRights, func(a Action) bool { return !listed(l.Actions, a) })
	})
}
