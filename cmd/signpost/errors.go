package main

import (
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"signpost/internal/remote"
)

// inWords is an error as one line: what was tried, why not, what to do. The
// service's own errors are such lines; those of the way there are not.
func (s *service) inWords(tried string, err error) error {
	st, ok := status.FromError(err)
	switch {
	case !ok:
		return errors.New(tried + ": " + err.Error())
	case s.answered:
		return errors.New(s.answeredWords(tried, st))
	}
	switch st.Code() {
	case codes.Unavailable, codes.Internal, codes.Unknown:
		why := remote.Reason(st.Message())
		return errors.New(tried + ": cannot reach " + s.url + ": " + why + "; " + remedy(why))
	case codes.DeadlineExceeded:
		return errors.New(tried + ": no answer from " + s.url + " in time; it may be done all the same, look before you try again")
	case codes.Canceled:
		return errors.New(tried + ": interrupted; it may be done all the same, look before you try again")
	}
	return errors.New(tried + ": " + st.Message())
}

func (s *service) answeredWords(tried string, st *status.Status) string {
	switch st.Code() {
	case codes.Unimplemented:
		return tried + ": " + s.url + " does not know this call; is it an older Signpost, or something else?"
	case codes.Unauthenticated:
		if s.token == nil {
			return st.Message() + "; run signpost login, or set SIGNPOST_TOKEN or SIGNPOST_TOKEN_FILE"
		}
	}
	if st.Message() == "" {
		return tried + ": " + st.Code().String()
	}
	return st.Message()
}

func remedy(why string) string {
	switch {
	case strings.Contains(why, "x509: certificate signed by unknown authority"):
		return "give its authority's certificate with --ca or SIGNPOST_CA_FILE"
	case strings.Contains(why, "server preface"), strings.Contains(why, "first record does not look like a TLS handshake"):
		return "is it http:// or https://, and is this port Signpost's?"
	}
	return "is it running? say where it is with --server or SIGNPOST_SERVER"
}
