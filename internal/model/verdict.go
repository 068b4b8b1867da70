package model

import "time"

// Verdict is what a checker says of a target.
type Verdict int

// The verdicts.
const (
	NoVerdict Verdict = iota // it has not made up its mind
	Up
	Suspect // still up; it may be down soon
	Down
	verdicts
)

var verdictNames = [verdicts]string{"no verdict", "up", "suspect", "down"}

// String is the word for it in the API.
func (v Verdict) String() string { return verdictNames[v] }

// Known reports whether this version knows the verdict.
func (v Verdict) Known() bool { return v >= NoVerdict && v < verdicts }

// Reason says how one attempt to reach a target ended. It is all that is ever shown of
// what a target answered. The numbers are kept in etcd: none is given twice.
type Reason int

// The ends of an attempt.
const (
	Fine                Reason = iota
	Refused                    // nobody listens there
	Unreachable                // routers say that there is no way to it
	NoConnection               // no connection within the time-out
	NoAnswer                   // a connection, but no whole answer within the time-out
	Broken                     // the connection ended before the answer
	NotTheProtocol             // the answer is not of the protocol, or too long
	HandshakeFailed            // TLS, for another reason than the certificate
	CertificateTime            // expired, or not valid yet
	CertificateName            // for another name
	CertificateTrust           // no authority that the checker trusts has signed it
	UnexpectedStatus           // HTTP
	TextMissing                // not in the first 4 KiB of the body
	NotServing                 // grpc.health.v1 says so
	UnknownService             // grpc.health.v1 does not know the service
	UnexpectedRcode            // DNS
	NoSignOfLife               // never
	LateSignOfLife             // the last is too old
	AddressNotAllowed          // this checker may not try this address
	NoRoute                    // this checker's machine has no route to it
	CheckerInDifficulty        // this checker ran out of files, ports or time
	reasons
)

// reasonTable has a row for each reason. Blames says whether it speaks about the target;
// what does not changes no mind. Answers says whether the service itself was heard to say
// so: then it can be reached from here.
var reasonTable = [reasons]struct {
	text    string
	blames  bool
	answers bool
}{
	Fine:                {"as expected", false, true},
	Refused:             {"connection refused", true, false},
	Unreachable:         {"host or network unreachable", true, false},
	NoConnection:        {"no connection in time", true, false},
	NoAnswer:            {"no answer in time", true, false},
	Broken:              {"connection closed before the answer", true, false},
	NotTheProtocol:      {"answer is not of the protocol", true, false},
	HandshakeFailed:     {"TLS handshake failed", true, false},
	CertificateTime:     {"certificate expired or not yet valid", true, false},
	CertificateName:     {"certificate is for another name", true, false},
	CertificateTrust:    {"certificate is not trusted", true, false},
	UnexpectedStatus:    {"HTTP status not as expected", true, true},
	TextMissing:         {"text not in the first 4 KiB of the body", true, true},
	NotServing:          {"service says that it is not serving", true, true},
	UnknownService:      {"service is not known there", true, true},
	UnexpectedRcode:     {"DNS response code not as expected", true, true},
	NoSignOfLife:        {"no sign of life yet", true, false},
	LateSignOfLife:      {"last sign of life is too old", true, false},
	AddressNotAllowed:   {"checker may not try this address", false, false},
	NoRoute:             {"checker has no route to the address", false, false},
	CheckerInDifficulty: {"checker is in difficulty itself", false, false},
}

// Known reports whether this version knows the reason.
func (r Reason) Known() bool { return r >= 0 && r < reasons }

// String is the reason in words.
func (r Reason) String() string { return reasonTable[r].text }

// Blames reports whether the target is at fault. A reason that neither is Fine nor
// blames says nothing about the target.
func (r Reason) Blames() bool { return reasonTable[r].blames }

// Answers reports whether the service itself has answered, as it should or not: who
// hears that reaches it.
func (r Reason) Answers() bool { return reasonTable[r].answers }

// Reasons lists all reasons, for tables that must have a row for each.
func Reasons() []Reason {
	all := make([]Reason, reasons)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}

// Attempt is one attempt to reach a target: how it ended and how long it took.
type Attempt struct {
	Reason Reason
	Took   time.Duration
}
