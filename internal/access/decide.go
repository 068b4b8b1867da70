// Package access answers one question: who is asking, and may they? It decides
// on words alone: it opens no socket and looks nothing up.
package access

import (
	"slices"

	"github.com/miekg/dns"

	"signpost/internal/model"
)

// Challenge is the label below a host at which certificate authorities look
// (RFC 8555 section 8.4).
const Challenge = "_acme-challenge"

// Decide says whether a principal may do something. The first row that matches:
//
//	principal  action                        resource                     answer
//	any        any                           from where a token may not   Denied
//	                                         be used, or a secret that
//	                                         it made
//	any        whoami                        any                          yes
//	any        login.read                    any                          yes
//	nobody     any                           any                          Unauthenticated
//	admin      any                           any                          yes
//	operator   any                           any                          yes
//	host       any but watch, host.read      its own host, blocked        Denied (model.ErrBlocked)
//	host       watch, host.read,             its own host                 yes
//	           host.set-addresses
//	host       record.set, record.delete     TXT at _acme-challenge.HOST  yes
//	host       any about one host or record  not its host, nor below it   NotFound
//	host       any                           any                          Denied
//	endpoint   any but endpoint.read         of its own host, blocked     Denied (model.ErrBlocked)
//	endpoint   endpoint.read,                its own endpoint             yes
//	           endpoint.set-addresses,
//	           endpoint.beat, endpoint.drain
//	endpoint   any about one host, endpoint  not its host, nor below it   NotFound
//	           or record
//	endpoint   any                           any                          Denied
//	user       zone.list, host.list          any                          yes: what is shown is decided by zone.read, host.read
//	user       token.create, token.list,     their own tokens             yes
//	           token.revoke
//	user       principal.read                themselves                   yes
//	user       one that rights gives to      any                          yes
//	           zone's administrators, who
//	           they are
//	user       any but a reading one, of a   it belongs to a blocked      Denied (model.ErrBlocked)
//	           host's owner, editor, or who  host
//	           is offered it
//	user       one that rights gives to      any                          yes
//	           something they are to it
//	user       host.create                   in a zone where they may     Denied, because of the obstacle
//	                                         register, with an obstacle
//	user       any                           they are nothing to it       NotFound; Denied when it is about no one thing
//	user       any                           any                          Denied
//
// A change feed is opened with watch at the name that it is about, and each event
// in it is decided by the action that reads what it shows.
//
// What a person may so may their token, if Narrow lets it: of a yes it may make Denied.
//
// What is there for others is NotFound, so that a secret is no way to find out
// which names exist.
func Decide(p Principal, a Action, r Resource) error {
	if err := p.allowedFrom(a, r); err != nil {
		return err
	}
	if err := decide(p, a, r); err != nil || isForAll(a) {
		return err
	}
	return p.Narrowed(a, r)
}

func decide(p Principal, a Action, r Resource) error {
	switch {
	case isForAll(a):
		return nil
	case p.Kind == Nobody:
		return model.E(model.Unauthenticated, string(a), r.Name.Text()).
			Because("no credential was shown").Hint("send Authorization: Bearer TOKEN, or Basic HOST:SECRET")
	case p.Kind == Admin, p.Kind == User && p.Operator:
		return nil
	case p.Kind == User:
		return decideUser(p, a, r)
	case p.Kind == EndpointSecret:
		return decideEndpoint(p, a, r)
	case r.Blocked != nil && r.Host == p.Host && r.Name.In(p.Host) && !reads(a):
		return blocked(a, r)
	case (a == Watch || a == HostRead || a == SetAddresses) && r.Name == p.Host:
		return nil
	case (a == RecordSet || a == RecordDelete) && r.Type == dns.TypeTXT && isChallengeOf(r.Name, p.Host):
		return nil
	case aboutOneName(a) && !r.Name.In(p.Host):
		return notFound(a, r)
	}
	return model.E(model.Denied, string(a), r.Name.Text()).
		Because("a host's secret reads and watches its host, sets its addresses and TXT at " + Challenge + " below it, nothing else").
		Hint("use a token that may")
}

func decideEndpoint(p Principal, a Action, r Resource) error {
	switch {
	case r.Blocked != nil && r.Host == p.Host && r.Name.In(p.Host) && !reads(a):
		return blocked(a, r)
	case slices.Contains(endpointRights, a) && r.Name == p.Host && r.ID == p.ID:
		return nil
	case aboutOneName(a) && !r.Name.In(p.Host):
		return notFound(a, r)
	}
	return model.E(model.Denied, string(a), r.Name.Text()).
		Because("an endpoint's secret reads and drains its endpoint, sets its addresses and sends its heartbeats, nothing else").
		Hint("use a token that may")
}

func notFound(a Action, r Resource) *model.Error {
	return model.E(model.NotFound, string(a), r.Name.Text()).Because("there is no such name, or it is not yours")
}

// blocked refuses whoever may otherwise change a host.
func blocked(a Action, r Resource) error {
	why := "host " + r.Host.Text() + " is blocked"
	if r.Blocked.Reason != "" {
		why += ": " + r.Blocked.Reason
	}
	return model.E(model.Denied, string(a), r.Name.Text()).Because(why).Hint("ask an administrator of the zone").From(model.ErrBlocked)
}

// reads reports whether an action changes nothing.
func reads(a Action) bool {
	switch a {
	case HostRead, RecordRead, AuditRead, StatusRead, Watch, EndpointRead, PolicyRead, CheckRead, CertRead:
		return true
	}
	return false
}

func isChallengeOf(name, host model.Name) bool {
	c, err := host.Child(Challenge)
	return err == nil && name == c
}

// isForAll reports whether everybody may do it, nobody included.
func isForAll(a Action) bool { return a == WhoAmI || a == LoginRead }

func isOfTokens(a Action) bool { return a == TokenCreate || a == TokenList || a == TokenRevoke }

// IsOfZones reports whether the resource of an action is a zone.
func IsOfZones(a Action) bool {
	switch a {
	case ZoneCreate, ZoneRead, ZoneUpdate, ZoneLimits, ZoneOpen, ZoneDelete, ZoneAccept, ZoneImport, ZoneReplace, ZoneExport:
		return true
	}
	return false
}

func aboutOneName(a Action) bool {
	switch a {
	case HostRead, HostUpdate, HostDelete, SetAddresses, RotateSecret, HostShare, HostTransfer, HostAccept, HostLeave, HostBlock, HostDisable, RecordRead, RecordSet, RecordDelete,
		EndpointRead, EndpointSet, EndpointRemove, EndpointRotateSecret, EndpointSetAddresses, EndpointBeat, EndpointWord, EndpointDrain,
		HostWord, PolicyRead, PolicySet, CheckRead, CheckSet, CheckRemove, CertRead, CertIssue:
		return true
	}
	return false
}
