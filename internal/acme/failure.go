package acme

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	acmez "github.com/mholt/acmez/v3/acme"
)

// Why says what sort of failure an authority's is.
type Why int

// The sorts of failure.
const (
	Unreachable Why = iota // it is not reached, has trouble of its own, or does not speak ACME; trying again may help
	Limited                // it has had too many requests of this kind
	Refused                // it will not; trying again does not help
	NotSeen                // it did not find the challenge, or another one
)

func (w Why) String() string {
	switch w {
	case Limited:
		return "the certificate authority's limit is reached"
	case Refused:
		return "the certificate authority refuses"
	case NotSeen:
		return "the certificate authority did not see the challenge"
	default:
		return "the certificate authority is not available"
	}
}

// Failure is what an authority answered instead of what was wanted.
type Failure struct {
	Why    Why
	Op     string    // what was tried
	Type   string    // the problem's type (RFC 8555 section 6.7) without its name space; may be empty
	Detail string    // in the authority's words: printable, one line, at most 600 octets; may be empty
	Until  time.Time // when to try again at the earliest; zero: it did not say
	Cause  error     // may be nil
}

// Error is one line.
func (f *Failure) Error() string {
	var b strings.Builder
	b.WriteString(f.Op + ": " + f.Why.String())
	if f.Type != "" {
		b.WriteString(": " + f.Type)
	}
	if f.Detail != "" {
		b.WriteString(": " + f.Detail)
	}
	if !f.Until.IsZero() {
		b.WriteString("; try again after " + f.Until.UTC().Format(time.RFC3339))
	}
	return b.String()
}

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Cause }

// AccountGone reports whether the authority does not know the account (any more), so that
// it must be registered anew.
func (f *Failure) AccountGone() bool { return f.Type == "accountDoesNotExist" }

// failed says what err, met while doing op, is. An error of the caller's context stays one.
func (s *session) failed(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, context.Cause(ctx))
	}
	status, until := s.wire.last()
	f := &Failure{Why: Unreachable, Op: op, Until: until, Cause: err}
	p, ok := problemIn(err)
	if !ok {
		f.Detail = printable(err.Error())
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			f.Detail = "it does not answer in time"
		case status == http.StatusTooManyRequests:
			f.Why = Limited
		case status >= 400 && status < 500:
			f.Why = Refused
		}
		if status >= 400 {
			// What came with it is a page for browsers, not for whoever asked for a certificate.
			f.Detail = fmt.Sprintf("HTTP %d without a problem document", status)
		}
		return f
	}
	f.Type = printable(strings.TrimPrefix(p.Type, acmez.ProblemTypeNamespace))
	f.Detail = detailOf(p)
	_, challenged := p.Resource.(acmez.Authorization)
	f.Why = whyOf(p, challenged)
	return f
}

// whyOf, with the first row that fits:
//
// problem                              while validating   otherwise
// rateLimited, or HTTP 429             Limited            Limited
// serverInternal, badNonce, HTTP 5xx   Unreachable        Unreachable
// dns, unauthorized, connection,
// incorrectResponse, none              NotSeen            Refused
// any other                            Refused            Refused
func whyOf(p acmez.Problem, validating bool) Why {
	switch {
	case p.Type == acmez.ProblemTypeRateLimited || p.Status == http.StatusTooManyRequests:
		return Limited
	case p.Type == acmez.ProblemTypeServerInternal || p.Type == acmez.ProblemTypeBadNonce || p.Status >= 500:
		return Unreachable
	case !validating:
		return Refused
	}
	switch p.Type {
	case acmez.ProblemTypeDNS, acmez.ProblemTypeUnauthorized, acmez.ProblemTypeConnection, acmez.ProblemTypeIncorrectResponse, "":
		return NotSeen
	}
	return Refused
}

// problemIn finds a problem document by value or by pointer: an order holds a pointer.
func problemIn(err error) (acmez.Problem, bool) {
	var p acmez.Problem
	if errors.As(err, &p) {
		return p, true
	}
	var at *acmez.Problem
	if errors.As(err, &at) && at != nil {
		return *at, true
	}
	return acmez.Problem{}, false
}

func detailOf(p acmez.Problem) string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	for _, sub := range p.Subproblems {
		text += "; " + sub.Identifier.Value + ": " + sub.Detail
	}
	return printable(text)
}

// mostDetail is how many octets of an authority's words are kept.
const mostDetail = 600

// printable is text on one line, without what a terminal or a log would take for its own,
// and bounded.
func printable(text string) string {
	const more = "…"
	var b strings.Builder
	for _, r := range text {
		if !unicode.IsPrint(r) {
			r = ' '
		}
		if b.Len()+len(string(r))+len(more) > mostDetail {
			b.WriteString(more)
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
