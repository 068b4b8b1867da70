package store

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"signpost/internal/model"
)

// meaning is what an error of etcd's is to those who called us.
type meaning struct {
	kind         model.Kind
	reason, hint string
}

var (
	tooLarge = meaning{model.Exhausted, "the change is too large for one transaction", "make it in smaller parts"}
	// Our own rights in etcd are no fault of the caller: as Denied they would tell a
	// client that its own credential is bad.
	noRights = meaning{model.Unavailable, "etcd does not accept our user or gives it too few rights", "check the user, its password or certificate, and its role in etcd"}
	noAnswer = meaning{model.Unavailable, "etcd did not answer in time", "try again"}
)

// byError comes before byCode. What is lost: which of etcd's errors it was; it stays
// in the chain as the cause.
var byError = map[error]meaning{
	context.DeadlineExceeded: noAnswer,
	context.Canceled:         {model.Unavailable, "the call was given up", "try again"},

	rpctypes.ErrNoSpace:         {model.Exhausted, "etcd's database is full", "compact and defragment etcd or raise its quota, then disarm its alarm"},
	rpctypes.ErrRequestTooLarge: tooLarge,
	rpctypes.ErrTooManyOps:      tooLarge,
	rpctypes.ErrCompacted:       {model.Aborted, "etcd no longer has that revision", "read again"},
	rpctypes.ErrFutureRev:       {model.Aborted, "etcd does not have that revision yet: it was restored from a backup", "read again"},
	rpctypes.ErrTooManyRequests: {model.Unavailable, "etcd is overloaded", "try again"},

	rpctypes.ErrAuthFailed:       noRights,
	rpctypes.ErrInvalidAuthToken: noRights,
	rpctypes.ErrAuthOldRevision:  noRights,
	rpctypes.ErrUserEmpty:        noRights,
	rpctypes.ErrPermissionDenied: noRights,
}

var byCode = map[codes.Code]meaning{
	codes.Unavailable:       {model.Unavailable, "etcd cannot be reached or has no leader", "try again"},
	codes.Canceled:          {model.Unavailable, "the call to etcd was given up", "try again"},
	codes.DeadlineExceeded:  noAnswer,
	codes.ResourceExhausted: tooLarge, // gRPC's own limit of a message's size
	codes.Unauthenticated:   noRights,
	codes.PermissionDenied:  noRights,
	codes.DataLoss:          {model.Unavailable, "etcd says that its data is corrupt", "restore etcd from a backup"},
}

// translate gives an error from etcd one of our kinds: Unavailable (the outcome of a
// change is then not known), Exhausted, Aborted, or Internal for what should not
// happen. An error that was made here passes through.
func translate(err error, op, subject string) error {
	if err == nil {
		return nil
	}
	var ours *model.Error
	if errors.As(err, &ours) {
		return err
	}
	m := meaningOf(err)
	return model.E(m.kind, op, subject).Because(m.reason).Hint(m.hint).From(err)
}

// Refused reports whether err comes from etcd's not giving us the rights: a matter for
// whoever runs it, and not one of trying again.
func Refused(err error) bool { return err != nil && meaningOf(err) == noRights }

// unknownOutcome is translate for a commit: an error that etcd itself has not sent
// may have come after the change was made, so it is Unavailable whatever it says.
func unknownOutcome(err error) error {
	out := translate(err, "commit change", "")
	if model.KindOf(out) == model.Internal {
		return model.E(model.Unavailable, "commit change", "").Because("the connection to etcd broke in the middle").Hint("try again").From(err)
	}
	return out
}

func meaningOf(err error) meaning {
	for known, m := range byError {
		if errors.Is(err, known) || errors.Is(rpctypes.Error(err), known) {
			return m
		}
	}
	code := status.Code(err)
	var e rpctypes.EtcdError
	if errors.As(err, &e) {
		code = e.Code()
	}
	if m, ok := byCode[code]; ok {
		return m
	}
	return meaning{kind: model.Internal}
}
