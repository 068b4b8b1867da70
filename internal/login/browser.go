package login

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"

	ours "signpost/internal/access/oidc"
)

// browserTime is how long a person may take.
const browserTime = 10 * time.Minute

// Browser gets a token by the authorization code flow with PKCE (RFC 7636), the way of
// RFC 8252: open shows the person a page, from which their browser comes back to a port
// on loopback.
func Browser(ctx context.Context, client *http.Client, i Issuer, open func(page string)) (*oauth2.Token, error) {
	p, err := i.ask(ctx, client)
	if err != nil {
		return nil, err
	}
	page, err := url.Parse(p.Endpoint.AuthURL)
	if err != nil || !ours.Private(page) {
		return nil, fmt.Errorf("the login page %q of the issuer %s is neither https nor on loopback", p.Endpoint.AuthURL, i.URL)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("wait for the browser: %w", err)
	}
	p.RedirectURL = "http://" + l.Addr().String() + "/callback"
	state, verifier := rand.Text(), oauth2.GenerateVerifier()
	back := &callback{issuer: i.URL, saysWho: p.saysWho, state: state, result: make(chan result, 1)}
	s := &http.Server{Handler: back, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second) // the browser gets its page, whatever ended the wait
		defer cancel()
		if s.Shutdown(stop) != nil {
			_ = s.Close() // nobody reads its page any more
		}
	}()
	open(p.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier)))
	wait, cancel := context.WithTimeout(ctx, browserTime)
	defer cancel()
	select {
	case r := <-back.result:
		if r.err != nil {
			return nil, fmt.Errorf("log in at %s: %w", i.URL, r.err)
		}
		token, err := p.Exchange(p.context(ctx), r.code, oauth2.VerifierOption(verifier))
		if err != nil {
			return nil, fmt.Errorf("log in at %s: %w", i.URL, inWords(err))
		}
		return token, nil
	case err := <-ended:
		return nil, fmt.Errorf("wait for the browser: %w", err)
	case <-wait.Done():
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, errors.New("nobody logged in in time; try again")
	}
}

// callback is what the browser comes back to. Requests without our state are of
// somebody else and change nothing.
type callback struct {
	issuer, state string
	saysWho       bool // the issuer, so that an answer that does not is another's
	result        chan result
}

type result struct {
	code string
	err  error
}

func (c *callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	iss := q.Get("iss")
	switch {
	case r.Method != http.MethodGet || r.URL.Path != "/callback":
		http.Error(w, "There is nothing here.", http.StatusNotFound)
		return
	case q.Get("state") != c.state:
		http.Error(w, "This is not the login that signpost waits for.", http.StatusBadRequest)
		return
	case iss != "" && iss != c.issuer: // RFC 9207
		c.give(result{err: fmt.Errorf("it was %s that answered", iss)})
	case iss == "" && c.saysWho:
		c.give(result{err: errors.New("the answer does not say whose it is, as this issuer's do")})
	case q.Get("error") != "":
		c.give(result{err: inWords(&oauth2.RetrieveError{ErrorCode: q.Get("error"), ErrorDescription: q.Get("error_description")})})
	case q.Get("code") == "":
		c.give(result{err: errors.New("the answer has no code")})
	default:
		c.give(result{code: q.Get("code")})
		fmt.Fprintln(w, "You may close this page and go back to signpost.")
		return
	}
	http.Error(w, "The login did not work; signpost says why.", http.StatusBadRequest)
}

// give hands over the first result.
func (c *callback) give(r result) {
	select {
	case c.result <- r:
	default:
	}
}
