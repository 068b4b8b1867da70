package access

import "signpost/internal/model"

// Action is what is to be done, in the words of audit records.
type Action string

// The actions.
const (
	ZoneCreate   Action = "zone.create"
	ZoneRead     Action = "zone.read"
	ZoneList     Action = "zone.list"
	ZoneUpdate   Action = "zone.update"
	ZoneDelete   Action = "zone.delete"
	ZoneAccept   Action = "zone.accept"
	ZoneImport   Action = "zone.import"
	ZoneReplace  Action = "zone.replace" // an import that takes hosts away
	ZoneExport   Action = "zone.export"
	HostCreate   Action = "host.create"
	HostRead     Action = "host.read"
	HostList     Action = "host.list"
	HostUpdate   Action = "host.update"
	HostDelete   Action = "host.delete"
	SetAddresses Action = "host.set-addresses"
	RotateSecret Action = "host.rotate-secret"
	RecordRead   Action = "record.read"
	RecordSet    Action = "record.set"
	RecordDelete Action = "record.delete"
	AuditRead    Action = "audit.read"
	StatusRead   Action = "status.read"
	WhoAmI       Action = "whoami"
	LoginRead    Action = "login.read"
	Watch        Action = "watch"
	ZoneLimits   Action = "zone.limits" // the settings of a zone that guard others against it
	ZoneOpen     Action = "zone.open"   // who administers a zone and who registers in it
	HostShare    Action = "host.share"
	HostTransfer Action = "host.transfer"
	HostAccept   Action = "host.accept" // of what its owner offers
	HostLeave    Action = "host.leave"  // by an editor, of what is shared with them by name
	TokenCreate  Action = "token.create"
	TokenList    Action = "token.list"
	TokenRevoke  Action = "token.revoke"
	HostBlock    Action = "host.block"   // and unblock
	HostDisable  Action = "host.disable" // and enable

	PrincipalRead     Action = "principal.read"
	PrincipalDisable  Action = "principal.disable"  // and enable
	PrincipalTransfer Action = "principal.transfer" // of a person's hosts

	EndpointRead         Action = "endpoint.read"
	EndpointSet          Action = "endpoint.set"
	EndpointRemove       Action = "endpoint.remove"
	EndpointRotateSecret Action = "endpoint.rotate-secret"
	EndpointSetAddresses Action = "endpoint.set-addresses"
	EndpointBeat         Action = "endpoint.beat"
	EndpointWord         Action = "endpoint.word"  // up and down
	EndpointDrain        Action = "endpoint.drain" // and to take a drain back; other words need EndpointWord, too
	HostWord             Action = "host.word"
	PolicyRead           Action = "policy.read"
	PolicySet            Action = "policy.set"
	CheckRead            Action = "check.read"
	CheckSet             Action = "check.set"
	CheckRemove          Action = "check.remove"
	SiteList             Action = "site.list"
	SiteWord             Action = "site.word"
	CheckerList          Action = "checker.list"
	CheckerRemove        Action = "checker.remove"
	FreezeRead           Action = "freeze.read"
	FreezeSet            Action = "freeze.set"
	CutoverImport        Action = "cutover.import"     // from another service, in the words of other actions
	CutoverList          Action = "cutover.list"       // of what was
	EndpointPassOver     Action = "endpoint.pass-over" // of nobody but the service's own automation
	EndpointAuto         Action = "endpoint.auto"      // in records: a word was taken back, for which EndpointDrain and EndpointWord are asked

	CertRead      Action = "cert.read"
	CertIssue     Action = "cert.issue"
	CertChallenge Action = "cert.challenge" // what is set and taken away for an order; of the service's own automation
)

// Actions lists all that somebody may do, for tables that must have a row for each.
func Actions() []Action {
	return []Action{
		ZoneCreate, ZoneRead, ZoneList, ZoneUpdate, ZoneDelete, ZoneAccept, ZoneImport, ZoneReplace, ZoneExport,
		HostCreate, HostRead, HostList, HostUpdate, HostDelete, SetAddresses, RotateSecret,
		RecordRead, RecordSet, RecordDelete, AuditRead, StatusRead, WhoAmI, LoginRead, Watch,
		ZoneLimits, ZoneOpen, HostShare, HostTransfer, HostAccept, HostLeave,
		HostBlock, HostDisable, PrincipalRead, PrincipalDisable, PrincipalTransfer,
		TokenCreate, TokenList, TokenRevoke,
		EndpointRead, EndpointSet, EndpointRemove, EndpointRotateSecret, EndpointSetAddresses, EndpointBeat, EndpointWord, EndpointDrain,
		HostWord, PolicyRead, PolicySet, CheckRead, CheckSet, CheckRemove,
		SiteList, SiteWord, CheckerList, CheckerRemove, FreezeRead, FreezeSet,
		CertRead, CertIssue,
		CutoverImport, CutoverList,
	}
}

// Looks reports whether what is to be done changes nothing.
func (a Action) Looks() bool {
	switch a {
	case ZoneRead, ZoneList, ZoneExport, HostRead, HostList, RecordRead, AuditRead, StatusRead, WhoAmI, LoginRead, Watch, TokenList, PrincipalRead,
		EndpointRead, PolicyRead, CheckRead, SiteList, CheckerList, FreezeRead, CertRead, CutoverList:
		return true
	}
	return false
}

// Obstacle is why a name is not for everybody who may register.
type Obstacle struct {
	Why   string
	Cause error // for protocols that tell obstacles apart
}

// Resource is what it is to be done to, with what is known of it. For people, whoever
// asks for a decision has looked all of it up; for others Name, Type and ID are enough.
type Resource struct {
	Name model.Name // a zone's, a host's or a record's owner; "" when there is none, or none that can be read
	Type uint16     // of the record set, for the Record actions; 0 for all types
	ID   string     // of the endpoint, for the Endpoint actions; "" for all of the host's

	Zone   model.Name        // that the name is in; "" when none of ours contains it
	Policy *model.ZonePolicy // of the zone; nil for none

	Host    model.Name // the nearest host at the name or above it; "": none
	Owner   string     // of Host; for the Token actions and PrincipalRead: whom they are about, "": the caller
	Editors []model.PrincipalName
	Offered model.PrincipalName // whom the owner of Host offers it, if the offer still stands
	Blocked *model.Withdrawal   // of Host, by the zone's administrators; looked up for hosts' secrets, too

	// Obstacle is why only the zone's administrators may register the name; nil: nothing.
	Obstacle *Obstacle
}
