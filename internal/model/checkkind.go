package model

import (
	"slices"
	"strconv"
	"strings"
)

// CheckKind is how a target is tried.
type CheckKind int

var checkKindNames = [checkKinds]string{"tcp", "http", "https", "grpc", "dns", "heartbeat"}

// String is the word for it in the API.
func (k CheckKind) String() string { return checkKindNames[k] }

// CheckKinds lists all kinds.
func CheckKinds() []CheckKind {
	all := make([]CheckKind, checkKinds)
	for i := range all {
		all[i] = CheckKind(i)
	}
	return all
}

// ParseCheckKind reads the word. Errors are of kind Invalid and name the field.
func ParseCheckKind(field, s string) (CheckKind, error) {
	if i := slices.Index(checkKindNames[:], s); i >= 0 {
		return CheckKind(i), nil
	}
	return 0, E(Invalid, "read kind of check", s).In(field).Because("there is no such word").
		Hint("say " + strings.Join(checkKindNames[:], ", "))
}

// Statuses is a range of HTTP status codes, both ends in it.
type Statuses struct{ From, To int }

// ParseStatuses reads codes and ranges with commas between: "200,429,300-399". Errors
// are of kind Invalid and name the field.
func ParseStatuses(field, s string) ([]Statuses, error) {
	var all []Statuses
	for part := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.ParseUint(first, 10, 16)
		to, err2 := strconv.ParseUint(last, 10, 16)
		if err1 != nil || err2 != nil {
			return nil, E(Invalid, "read HTTP statuses", part).In(field).Because("it is no number").Hint("write 200,429 or 200-299")
		}
		all = append(all, Statuses{int(from), int(to)})
	}
	return all, nil
}

// The kinds of check.
const (
	CheckTCP       CheckKind = iota // a connection
	CheckHTTP                       // a GET without redirects
	CheckHTTPS                      // the same over TLS
	CheckGRPC                       // grpc.health.v1 Check
	CheckDNS                        // a query over UDP
	CheckHeartbeat                  // the agent's sign of life
	checkKinds
)
