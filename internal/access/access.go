// Package access answers one question: who is asking, and may they? It decides
// on words alone: it opens no socket and looks nothing up.
package access

import (
	"github.com/miekg/dns"

	"signpost/internal/model"
)

// Kind is a kind of principal.
type Kind int

// The kinds of principal.
const (
	Nobody     Kind = iota // no credential was shown
	Admin                  // the holder of an admin token
	HostSecret             // the holder of one host's secret
	kinds
)

var kindNames = [kinds]string{"nobody", "admin", "host"}

// String is the kind as the API calls it.
func (k Kind) String() string { return kindNames[k] }

// Principal is who is asking. The zero Principal is nobody.
type Principal struct {
	Kind  Kind
	Token string     // Admin: the token's public id
	Host  model.Name // HostSecret: whose secret it is
}

// String is the principal as it is written in audit records: "admin/TOKEN-ID",
// "host/FQDN" or "nobody".
func (p Principal) String() string {
	switch p.Kind {
	case Admin:
		return "admin/" + p.Token
	case HostSecret:
		return "host/" + p.Host.Text()
	}
	return "nobody"
}

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
	Watch        Action = "watch"
)

// Actions lists them all, for tables that must have a row for each.
func Actions() []Action {
	return []Action{
		ZoneCreate, ZoneRead, ZoneList, ZoneUpdate, ZoneDelete, ZoneAccept, ZoneImport, ZoneExport,
		HostCreate, HostRead, HostList, HostUpdate, HostDelete, SetAddresses, RotateSecret,
		RecordRead, RecordSet, RecordDelete, AuditRead, StatusRead, WhoAmI, Watch,
	}
}

// Resource is what it is to be done to.
type Resource struct {
	Name model.Name // a zone's, a host's or a record's owner; "" when there is none, or none that can be read
	Type uint16     // of the record set, for the Record actions; 0 for all types
}

// challenge is the label below a host at which certificate authorities look
// (RFC 8555 section 8.4).
const challenge = "_acme-challenge"

// Decide says whether a principal may do something. The first row that matches:
//
//	principal  action                        resource                     answer
//	any        whoami                        any                          yes
//	nobody     any                           any                          Unauthenticated
//	admin      any                           any                          yes
//	host       watch, host.read,             its own host                 yes
//	           host.set-addresses
//	host       record.set, record.delete     TXT at _acme-challenge.HOST  yes
//	host       any about one host or record  not its host, nor below it   NotFound
//	host       any                           any                          Denied
//
// A change feed is opened with watch at the name that it is about, and each event
// in it is decided by the action that reads what it shows.
//
// What is there for others is NotFound, so that a secret is no way to find out
// which names exist.
func Decide(p Principal, a Action, r Resource) error {
	switch {
	case a == WhoAmI:
		return nil
	case p.Kind == Nobody:
		return model.E(model.Unauthenticated, string(a), r.Name.Text()).
			Because("no credential was shown").Hint("send Authorization: Bearer TOKEN, or Basic HOST:SECRET")
	case p.Kind == Admin:
		return nil
	case (a == Watch || a == HostRead || a == SetAddresses) && r.Name == p.Host:
		return nil
	case (a == RecordSet || a == RecordDelete) && r.Type == dns.TypeTXT && isChallengeOf(r.Name, p.Host):
		return nil
	case aboutOneName(a) && !r.Name.In(p.Host):
		return model.E(model.NotFound, string(a), r.Name.Text()).Because("there is no such name, or it is not yours")
	}
	return model.E(model.Denied, string(a), r.Name.Text()).
		Because("a host's secret reads and watches its host, sets its addresses and TXT at " + challenge + " below it, nothing else").
		Hint("use a token that may")
}

func isChallengeOf(name, host model.Name) bool {
	c, err := host.Child(challenge)
	return err == nil && name == c
}

func aboutOneName(a Action) bool {
	switch a {
	case HostRead, HostUpdate, HostDelete, SetAddresses, RotateSecret, RecordRead, RecordSet, RecordDelete:
		return true
	}
	return false
}
