package serve

import (
	"context"
	"errors"
	"net/http"
)

// answerHead answers HEAD as GET: net/http leaves the body out. What would go on, a
// stream or a long file, ends when its header is out.
func answerHead(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		get := r.WithContext(ctx)
		get.Method = http.MethodGet
		h := &headWriter{ResponseWriter: w, cancel: cancel}
		defer h.forgive()
		next.ServeHTTP(h, get)
	})
}

type headWriter struct {
	http.ResponseWriter
	cancel  context.CancelFunc
	written bool
}

// forgive lets a handler break off that was stopped by the end of what it read from: of a
// body that is not sent nothing can be missing.
func (h *headWriter) forgive() {
	p := recover()
	if err, ok := p.(error); p == nil || ok && h.written && errors.Is(err, http.ErrAbortHandler) {
		return
	}
	panic(p)
}

func (h *headWriter) Write(b []byte) (int, error) {
	defer h.cancel()
	h.written = true
	return h.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (h *headWriter) Unwrap() http.ResponseWriter { return h.ResponseWriter }
