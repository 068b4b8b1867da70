package acme

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	mostAnswer = 1 << 20              // octets of one answer that are read
	mostWait   = 366 * 24 * time.Hour // of a time to wait that is believed
	mostPoll   = 30 * time.Second     // between two looks, whatever the authority says
)

// wire carries a session's requests. It keeps what the library drops, when to come back
// after an error, and lets no answer be endless, no poll a loop without a pause, and no
// authority send us to a URL without TLS.
type wire struct {
	next  http.RoundTripper
	now   func() time.Time
	least time.Duration // between two looks
	plain bool          // the directory itself is without TLS

	mu     sync.Mutex
	status int       // of the last answer, if it was an error
	until  time.Time // that it named
	back   time.Time // that the last answer named, error or not
	muted  string    // see mute
}

// mute, until it is called with nothing, keeps what the library asks on its own with every
// chain from the authority: for other chains, and below prefix, the URL of renewal
// information, for that, up to three times with pauses of seconds, while somebody waits for
// the certificate. We ask once, and do without.
func (w *wire) mute(prefix string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.muted = prefix
}

// unheard is what a muted question is answered: a window that nobody reads.
func unheard(req *http.Request) *http.Response {
	const window = `{"suggestedWindow":{"start":"2000-01-01T00:00:00Z","end":"2000-01-02T00:00:00Z"}}`
	return &http.Response{Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(window)), Request: req}
}

// RoundTrip makes one request.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && !w.plain {
		return nil, errors.New("the authority names a URL without https")
	}
	w.mu.Lock()
	muted := w.muted
	w.mu.Unlock()
	if muted != "" && strings.HasPrefix(req.URL.String(), muted) {
		return unheard(req), nil
	}
	resp, err := w.next.RoundTrip(req)
	if err != nil {
		w.keep(0, time.Time{})
		return nil, err
	}
	at := w.retryAfter(resp.Header.Get("Retry-After"))
	w.keep(resp.StatusCode, at)
	// The library waits as long as it is told, and fails when it cannot read the header.
	switch wait := at.Sub(w.now()); {
	case at.IsZero() || wait < w.least:
		resp.Header.Del("Retry-After")
	default:
		resp.Header.Set("Retry-After", strconv.Itoa(int(min(wait, mostPoll).Seconds()+0.999)))
	}
	if muted != "" {
		resp.Header.Del("Link")
	}
	resp.Body = &bounded{ReadCloser: resp.Body, left: mostAnswer}
	return resp, nil
}

func (w *wire) keep(status int, until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status, w.until, w.back = status, until, until
	if status < 400 {
		w.status, w.until = 0, time.Time{}
	}
}

// comeBack is the time that the last answer named, whatever it was; zero: none.
func (w *wire) comeBack() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.back
}

// last is the status of the last answer, if it was an error, else 0, and the time that it
// named.
func (w *wire) last() (int, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status, w.until
}

// retryAfter reads the header (RFC 9110 section 10.2.3); zero: there is none that can be
// read.
func (w *wire) retryAfter(text string) time.Time {
	now := w.now()
	latest := now.Add(mostWait)
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return earlier(now.Add(time.Duration(n)*time.Second), latest)
	}
	if at, err := http.ParseTime(text); err == nil {
		return earlier(at, latest)
	}
	return time.Time{}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

type bounded struct {
	io.ReadCloser
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("the answer is longer than 1 MiB")
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
