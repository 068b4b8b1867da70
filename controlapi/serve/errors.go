package serve

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"signpost/internal/model"
)

// translations is what each kind of error is in gRPC and in HTTP. Nothing of the
// kind is lost: each has a code of its own, and its name is the reason in
// google.rpc.ErrorInfo. The subject and the cause are only in the message.
var translations = map[model.Kind]struct {
	code codes.Code
	http int
	name string
}{
	model.Internal:        {codes.Internal, http.StatusInternalServerError, "INTERNAL"},
	model.Invalid:         {codes.InvalidArgument, http.StatusBadRequest, "INVALID"},
	model.NotFound:        {codes.NotFound, http.StatusNotFound, "NOT_FOUND"},
	model.AlreadyExists:   {codes.AlreadyExists, http.StatusConflict, "ALREADY_EXISTS"},
	model.Unauthenticated: {codes.Unauthenticated, http.StatusUnauthorized, "UNAUTHENTICATED"},
	model.Denied:          {codes.PermissionDenied, http.StatusForbidden, "DENIED"},
	model.Aborted:         {codes.Aborted, http.StatusConflict, "ABORTED"},
	model.Precondition:    {codes.FailedPrecondition, http.StatusBadRequest, "PRECONDITION"},
	model.Exhausted:       {codes.ResourceExhausted, http.StatusTooManyRequests, "EXHAUSTED"},
	model.Unavailable:     {codes.Unavailable, http.StatusServiceUnavailable, "UNAVAILABLE"},
	model.Compacted:       {codes.OutOfRange, http.StatusGone, "COMPACTED"},
}

// errorDomain is where the reasons in google.rpc.ErrorInfo come from.
const errorDomain = "signpost"

// toStatus is an error as gRPC says it. What a bug of ours says is for the log.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	found := modelErrors(err)
	switch {
	case len(found) == 0 && errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "the caller went away")
	case len(found) == 0 && errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "the caller's time was over")
	}
	t := translations[model.KindOf(err)]
	text := err.Error()
	if t.code == codes.Internal {
		text, found = "internal error; the server's log says more", nil
	} else {
		text = strings.ReplaceAll(text, "\n", " | ")
	}
	details := []protoadapt.MessageV1{protoadapt.MessageV1Of(&errdetails.ErrorInfo{Reason: t.name, Domain: errorDomain})}
	bad := &errdetails.BadRequest{}
	for _, e := range found {
		if e.Field != "" {
			why := *e
			why.Op, why.Subject, why.Field = "", "", ""
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
				Field: e.Field, Description: strings.TrimPrefix(why.Error(), ": "),
			})
		}
	}
	if len(bad.FieldViolations) > 0 {
		details = append(details, protoadapt.MessageV1Of(bad))
	}
	if after := model.RetryAfter(err); after > 0 {
		details = append(details, protoadapt.MessageV1Of(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)}))
	}
	st := status.New(t.code, text)
	if with, err := st.WithDetails(details...); err == nil {
		st = with
	}
	return st.Err()
}

// modelErrors is all errors of ours in err, also when several are joined.
func modelErrors(err error) []*model.Error {
	if e, ok := err.(*model.Error); ok { //nolint:errorlint // the tree is walked here
		return []*model.Error{e}
	}
	var out []*model.Error
	switch u := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() error }:
		out = modelErrors(u.Unwrap())
	case interface{ Unwrap() []error }:
		for _, e := range u.Unwrap() {
			out = append(out, modelErrors(e)...)
		}
	}
	return out
}

// httpStatus is the HTTP status of a gRPC code, also of those that only gRPC
// itself uses.
func httpStatus(c codes.Code) int {
	for _, t := range translations {
		if t.code == c {
			return t.http
		}
	}
	return runtime.HTTPStatusFromCode(c)
}
