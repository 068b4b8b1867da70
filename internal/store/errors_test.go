package store

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"signpost/internal/model"
)

func TestErrorsOfEtcdAsKinds(t *testing.T) {
	denied := model.E(model.Denied, "do", "it")
	for _, c := range []struct {
		err  error
		want model.Kind
	}{
		{rpctypes.ErrNoSpace, model.Exhausted},
		{rpctypes.ErrRequestTooLarge, model.Exhausted},
		{rpctypes.ErrTooManyOps, model.Exhausted},
		{status.Error(codes.ResourceExhausted, "trying to send message larger than max"), model.Exhausted},
		{rpctypes.ErrCompacted, model.Aborted},
		{rpctypes.ErrFutureRev, model.Aborted},
		{rpctypes.ErrTooManyRequests, model.Unavailable},
		{rpctypes.ErrNoLeader, model.Unavailable},
		{rpctypes.ErrLeaderChanged, model.Unavailable},
		{rpctypes.ErrTimeout, model.Unavailable},
		{rpctypes.ErrTimeoutDueToConnectionLost, model.Unavailable},
		{rpctypes.ErrStopped, model.Unavailable},
		{rpctypes.ErrUnhealthy, model.Unavailable},
		{rpctypes.ErrCorrupt, model.Unavailable},
		{status.Error(codes.Unavailable, "connection refused"), model.Unavailable},
		{status.Error(codes.DeadlineExceeded, "late"), model.Unavailable},
		{status.Error(codes.Canceled, "gone"), model.Unavailable},
		{context.DeadlineExceeded, model.Unavailable},
		{context.Canceled, model.Unavailable},
		{rpctypes.ErrAuthFailed, model.Unavailable},
		{rpctypes.ErrPermissionDenied, model.Unavailable},
		{rpctypes.ErrInvalidAuthToken, model.Unavailable},
		{rpctypes.ErrUserEmpty, model.Unavailable},
		{rpctypes.ErrDuplicateKey, model.Internal},
		{rpctypes.ErrEmptyKey, model.Internal},
		{errors.New("what is this"), model.Internal},
		{denied, model.Denied},
	} {
		for _, err := range []error{c.err, fmt.Errorf("wrapped: %w", c.err)} {
			got := translate(err, "read state", "")
			if model.KindOf(got) != c.want || !errors.Is(got, c.err) {
				t.Errorf("%v: got %v of kind %v, want kind %v with its cause", err, got, model.KindOf(got), c.want)
			}
		}
	}
	if translate(nil, "x", "") != nil {
		t.Error("no error became one")
	}
	// As they come over the wire, before the client has made its own of them.
	if got := translate(rpctypes.ErrGRPCNoSpace, "x", ""); model.KindOf(got) != model.Exhausted {
		t.Errorf("got %v", got)
	}
}
