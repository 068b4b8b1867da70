package model

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Kind says what sort of failure an error is. Each protocol translates kinds in
// one table of its own.
type Kind int

// The kinds of error.
const (
	Internal        Kind = iota // a bug or a broken invariant of ours
	Invalid                     // the caller's input is wrong; trying again does not help
	NotFound                    // there is no such thing, or the caller may not know of it
	AlreadyExists               // what was to be created is there
	Unauthenticated             // no credential, or not a right one
	Denied                      // a right credential that may not do this
	Aborted                     // somebody changed it meanwhile; read again and decide anew
	Precondition                // the state forbids it until something else is done
	Exhausted                   // a limit or a quota is reached
	Unavailable                 // we cannot commit or cannot know now; try again
	Compacted                   // the history that was asked for is no longer kept
	kinds                       // how many there are
)

var kindNames = [kinds]string{"internal error", "invalid", "not found", "already exists", "not authenticated", "not allowed", "changed meanwhile", "not possible now", "limit reached", "unavailable", "no longer kept"}

// String is the kind in words.
func (k Kind) String() string {
	if k < 0 || k >= kinds {
		return kindNames[Internal]
	}
	return kindNames[k]
}

// Causes by which a protocol that has words for them tells refusals of one kind apart.
var (
	ErrBlocked  = errors.New("the host is blocked")  // by the zone's administrators
	ErrDisabled = errors.New("the host is disabled") // by its owner
	ErrBarred   = errors.New("the caller is barred") // by those who run the service
	ErrBadAgent = errors.New("the user agent is barred")

	ErrOthers   = errors.New("the host is another's") // of those who are told that it is not there
	ErrTooDeep  = errors.New("the name has too many labels")
	ErrReserved = errors.New("the name is reserved")
	ErrRecords  = errors.New("the name has records that are no host's")
	ErrNotFree  = errors.New("the name is not free for the caller")

	ErrNoCertificate = errors.New("the host has no certificate")
	ErrNoAuthority   = errors.New("no certificate authority is configured")
)

// Kinds lists all kinds, for tables that must have a row for each.
func Kinds() []Kind {
	all := make([]Kind, kinds)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// Error is a failure as the one who met it knows it: what was being tried, on
// what, and why not. It is made once and then only wrapped.
type Error struct {
	Kind    Kind
	Op      string        // what was tried: "create host"
	Subject string        // on what: "www.example.org"
	Field   string        // the input's field at fault, in the API's words; may be empty
	Reason  string        // why not
	Advice  string        // what to do; may be empty
	Retry   time.Duration // after which trying again may help; 0: nobody can say
	Cause   error         // may be nil
}

// E makes an error of a kind about trying op on subject.
func E(k Kind, op, subject string) *Error { return &Error{Kind: k, Op: op, Subject: subject} }

// In names the input's field at fault.
func (e *Error) In(field string) *Error { e.Field = field; return e }

// Because says why not.
func (e *Error) Because(reason string) *Error { e.Reason = reason; return e }

// Hint says what to do.
func (e *Error) Hint(advice string) *Error { e.Advice = advice; return e }

// After says when to try again.
func (e *Error) After(d time.Duration) *Error { e.Retry = d; return e }

// RetryAfter is when the first *Error in err's chain says to try again; 0: it does not.
func RetryAfter(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.Retry
	}
	return 0
}

// From keeps the cause for errors.Is and for the log.
func (e *Error) From(cause error) *Error { e.Cause = cause; return e }

// mostQuoted is how many octets of a subject and of a reason are said: both may quote what
// somebody sent, who must not fill logs with it.
const mostQuoted = 1000

func short(text string) string {
	if len(text) <= mostQuoted {
		return text
	}
	return strings.ToValidUTF8(text[:mostQuoted], "") + "… (" + strconv.Itoa(len(text)) + " octets)"
}

// Error is one line: what was tried, why not, what to do.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Subject != "" {
		b.WriteString(" " + short(e.Subject))
	}
	b.WriteString(": ")
	if e.Field != "" {
		b.WriteString(e.Field + ": ")
	}
	switch {
	case e.Reason != "":
		b.WriteString(short(e.Reason))
	case e.Cause != nil:
		b.WriteString(short(e.Cause.Error()))
	default:
		b.WriteString(e.Kind.String())
	}
	if e.Advice != "" {
		b.WriteString("; " + e.Advice)
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// KindOf is the kind of the first *Error in err's chain; an error that was not
// made here is Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}
