package access

import (
	"slices"

	"github.com/miekg/dns"

	"signpost/internal/model"
)

// role is what a person is to a resource; one may be several.
type role uint

const (
	zoneAdmin role = 1 << iota // of the zone that it is in, or that it is
	registrar                  // may register names in that zone
	owner                      // of the host that it is or belongs to
	editor                     // likewise
	offered                    // is offered that host, at whose name it is
)

// rights is what each role may do; an action without a row is for operators only. What
// is written at and below a host by its owner and editors is bounded by ownersTypes.
var rights = map[Action]role{
	ZoneRead:   zoneAdmin | registrar,
	ZoneUpdate: zoneAdmin,
	ZoneOpen:   zoneAdmin,
	ZoneAccept: zoneAdmin,
	ZoneImport: zoneAdmin,
	ZoneExport: zoneAdmin,

	HostCreate:   zoneAdmin | registrar,
	HostRead:     zoneAdmin | owner | editor | offered,
	HostUpdate:   zoneAdmin | owner | editor,
	HostDelete:   zoneAdmin | owner,
	SetAddresses: zoneAdmin | owner | editor,
	RotateSecret: zoneAdmin | owner,
	HostShare:    zoneAdmin | owner,
	HostTransfer: zoneAdmin | owner,
	HostAccept:   offered | owner, // who has accepted, may ask again for the answer
	HostLeave:    editor,
	HostBlock:    zoneAdmin,
	HostDisable:  zoneAdmin | owner,

	RecordRead:   zoneAdmin | owner | editor,
	RecordSet:    zoneAdmin | owner | editor,
	RecordDelete: zoneAdmin | owner | editor,

	EndpointRead:         zoneAdmin | owner | editor,
	EndpointSet:          zoneAdmin | owner | editor,
	EndpointRemove:       zoneAdmin | owner | editor,
	EndpointRotateSecret: zoneAdmin | owner,
	EndpointSetAddresses: zoneAdmin | owner | editor,
	EndpointBeat:         zoneAdmin | owner | editor,
	EndpointWord:         zoneAdmin | owner | editor,
	EndpointDrain:        zoneAdmin | owner | editor,
	HostWord:             zoneAdmin | owner | editor,
	PolicyRead:           zoneAdmin | owner | editor,
	PolicySet:            zoneAdmin | owner | editor,
	CheckRead:            zoneAdmin | owner | editor,
	CheckSet:             zoneAdmin | owner | editor,
	CheckRemove:          zoneAdmin | owner | editor,

	CertRead:  zoneAdmin | owner | editor,
	CertIssue: zoneAdmin | owner | editor,

	AuditRead:  zoneAdmin | owner | editor,
	StatusRead: zoneAdmin | owner | editor,
	Watch:      zoneAdmin | owner | editor,
}

// ownersTypes is what owners and editors write at and below their host; NS, DS, DNAME
// and what is rarer are the zone's administrators'.
var ownersTypes = []uint16{
	dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeMX, dns.TypeSRV, dns.TypeCAA, dns.TypeCNAME,
	dns.TypeHTTPS, dns.TypeSVCB, dns.TypeTLSA, dns.TypeSSHFP,
}

func decideUser(p Principal, a Action, r Resource) error {
	if a == ZoneList || a == HostList {
		return nil
	}
	if (isOfTokens(a) || a == PrincipalRead) && (r.Owner == "" || r.Owner == p.Name()) {
		return nil
	}
	is := roles(p, r)
	may := is & rights[a]
	denied := func(why, hint string) error {
		return model.E(model.Denied, string(a), r.Name.Text()).Because(why).Hint(hint)
	}
	switch {
	case may&zoneAdmin != 0:
		return nil
	case r.Blocked != nil && is&(owner|editor|offered) != 0 && !reads(a):
		return blocked(a, r)
	case a == HostCreate && may != 0 && r.Obstacle != nil:
		return model.E(model.Denied, string(a), r.Name.Text()).Because(r.Obstacle.Why).
			Hint("choose another name, or ask an administrator of the zone").From(r.Obstacle.Cause)
	case (a == RecordSet || a == RecordDelete) && may != 0 && !slices.Contains(ownersTypes, r.Type):
		return denied("records of type "+model.TypeName(r.Type)+" are for the zone's administrators", "ask one of them")
	case may != 0:
		return nil
	case r.Name != "" && (is == 0 || is == registrar && r.Name != r.Zone):
		e := notFound(a, r)
		if r.Host != "" && r.Host == r.Name {
			return e.From(model.ErrOthers)
		}
		return e
	case isOfTokens(a):
		return denied("they are another's tokens", "ask an operator")
	case a == PrincipalRead:
		return denied("it is about another", "ask an operator")
	case r.Name == "":
		return denied("it is about everything", "say which host or zone of yours you mean")
	}
	return denied("what you are to it does not give you that", "ask its owner, an administrator of the zone or an operator")
}

// roles is all that a person is to a resource.
func roles(p Principal, r Resource) role {
	var is role
	if r.Policy != nil {
		if p.Among(r.Policy.Admins) {
			is |= zoneAdmin
		}
		if r.Policy.Register == model.RegisterEveryone || r.Policy.Register == model.RegisterGroups && p.Among(r.Policy.Groups) {
			is |= registrar
		}
	}
	if r.Host != "" {
		if r.Owner == p.Name() {
			is |= owner
		}
		if p.Among(r.Editors) {
			is |= editor
		}
		if r.Name == r.Host && r.Offered != "" && p.Person == r.Offered {
			is |= offered
		}
	}
	return is
}

// Holds reports whether the person owns or edits a host.
func (p Principal) Holds(h *model.HostControl) bool { return h.Owner == p.Name() || p.Among(h.Editors) }

// Among reports whether a list names the person or a group of theirs.
func (p Principal) Among(list []model.PrincipalName) bool {
	return slices.Contains(list, p.Person) || slices.ContainsFunc(p.Groups, func(g model.PrincipalName) bool { return slices.Contains(list, g) })
}
