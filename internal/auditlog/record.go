// Package auditlog answers one question: how does what people do get into a file that is
// kept, without anybody waiting for the disk?
package auditlog

import (
	"log/slog"
	"time"
)

// Outcome is what became of what somebody did.
type Outcome string

// The outcomes.
const (
	Changed         Outcome = "changed"
	MaybeChanged    Outcome = "maybe changed" // etcd did not say whether it has made the change
	Refused         Outcome = "refused"
	WrongCredential Outcome = "wrong credential"
	AdminTokenUsed  Outcome = "admin token used" // each use stands out: it is for the day when no other way is left
	MoreRefused     Outcome = "more refused"     // that many refusals have no lines of their own
	lost            Outcome = "lost"             // that many lines were not written before this one
)

// less reports whether lines of an outcome give way to others when there is little room:
// anybody can be refused as often as they like.
func (o Outcome) less() bool { return o == Refused || o == WrongCredential }

// mostAgent is how many octets of what a client calls itself are kept.
const mostAgent = 256

// Record is what is written down of one change, one refusal or one use of an admin token.
// Nothing in it is a secret.
type Record struct {
	Time      time.Time
	Outcome   Outcome
	Request   string // joins the lines and audit records of one request
	Principal string
	Issuer    string // who vouches for a person
	Subject   string // the issuer's name for the person
	Token     string // the public id of an admin or API token
	Admin     bool   // an admin token was used
	Source    string // the client's address
	Agent     string // what the client calls itself
	Action    string
	Zone      string
	Name      string
	Detail    string
	Before    string
	After     string
	Reason    string // for which sort of reason it was refused
	Revision  int64  // etcd's, of a change
	Lines     int64  // MoreRefused: how many; Source and Action are those of most
	Kinds     int64  // MoreRefused: how many pairs of network and action
}

// Attrs is what a line says of the record besides time and outcome, in the words of both
// the service's log and the file. What is empty is left out.
func (r *Record) Attrs() []slog.Attr {
	attrs := make([]slog.Attr, 0, 16)
	for _, a := range []struct{ key, value string }{
		{"request", r.Request}, {"principal", r.Principal}, {"issuer", r.Issuer}, {"subject", r.Subject}, {"token", r.Token},
		{"source", r.Source}, {"agent", beginning(r.Agent)}, {"action", r.Action}, {"zone", r.Zone}, {"name", r.Name},
		{"detail", r.Detail}, {"before", r.Before}, {"after", r.After}, {"reason", r.Reason},
	} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, a.value))
		}
	}
	if r.Admin {
		attrs = append(attrs, slog.Bool("admin_token", true))
	}
	if r.Revision != 0 {
		attrs = append(attrs, slog.Int64("revision", r.Revision))
	}
	if r.Lines != 0 {
		attrs = append(attrs, slog.Int64("lines", r.Lines), slog.Int64("kinds", r.Kinds))
	}
	return attrs
}

func beginning(agent string) string {
	if len(agent) > mostAgent {
		return agent[:mostAgent]
	}
	return agent
}

// octets is about what the record takes in memory.
func (r *Record) octets() int64 {
	return int64(512 + len(r.Agent) + len(r.Subject) + len(r.Name) + len(r.Detail) + len(r.Before) + len(r.After))
}
