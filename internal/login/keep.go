package login

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"
	"golang.org/x/oauth2"
)

// renewBefore is how long before its end a token is renewed: longer than a call takes.
const renewBefore = time.Minute

// Login is a person's login at one control service. Its token goes to no other.
type Login struct {
	Server  string    `json:"server"`
	CAFile  string    `json:"ca_file,omitempty"` // certificates to trust besides the system's
	Issuer  Issuer    `json:"issuer"`
	Access  string    `json:"access_token"`
	Refresh string    `json:"refresh_token,omitempty"`
	Expiry  time.Time `json:"expiry,omitzero"` // of the access token
}

// Take takes the tokens of an answer over.
func (l *Login) Take(t *oauth2.Token) {
	l.Access, l.Refresh, l.Expiry = t.AccessToken, t.RefreshToken, t.Expiry
}

// Keep is the directory in which logins are kept, which is the user's alone. It is
// used by several commands at a time. Without a directory nothing can be kept.
type Keep struct {
	Dir string
}

type kept struct {
	Current string            `json:"current"` // the server of the last login
	Logins  map[string]*Login `json:"logins"`  // by server
}

func (k Keep) file() string { return filepath.Join(k.Dir, "login.json") }

// Find is the login at a server; with no server the last one. It is nil when there is
// none.
func (k Keep) Find(server string) (*Login, error) {
	all, err := k.read()
	if err != nil {
		return nil, err
	}
	if server == "" {
		server = all.Current
	}
	return all.Logins[server], nil
}

// Put keeps a login instead of another one at the same server, as the last one.
func (k Keep) Put(l *Login) error {
	return k.change(func(all *kept) {
		all.Logins[l.Server], all.Current = l, l.Server
	})
}

// Drop forgets the login at a server.
func (k Keep) Drop(server string) error {
	return k.change(func(all *kept) {
		delete(all.Logins, server)
		if all.Current == server {
			all.Current = ""
		}
	})
}

func (k Keep) read() (*kept, error) {
	all := &kept{Logins: map[string]*Login{}}
	if k.Dir == "" {
		return all, nil
	}
	raw, err := os.ReadFile(k.file())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return all, nil
	case err == nil:
		err = json.Unmarshal(raw, all)
	}
	if err != nil {
		return nil, fmt.Errorf("read the login kept in %s: %w; log in again, or remove the file", k.file(), err)
	}
	if all.Logins == nil {
		all.Logins = map[string]*Login{}
	}
	return all, nil
}

func (k Keep) lock() (unlock func(), err error) {
	if k.Dir == "" {
		return nil, errors.New("keep the login: you have no configuration directory; set HOME or XDG_CONFIG_HOME")
	}
	if err := os.MkdirAll(k.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("keep the login: %w", err)
	}
	if err := os.Chmod(k.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("keep the login: %w", err)
	}
	unlock, err = lockedfile.MutexAt(filepath.Join(k.Dir, "login.lock")).Lock()
	if err != nil {
		return nil, fmt.Errorf("keep the login: %w", err)
	}
	return unlock, nil
}

func (k Keep) change(change func(*kept)) error {
	unlock, err := k.lock()
	if err != nil {
		return err
	}
	defer unlock()
	all, err := k.read()
	if err != nil {
		all = &kept{Logins: map[string]*Login{}} // nobody can use what cannot be read
	}
	change(all)
	return k.write(all)
}

// write replaces the file as a whole; the lock is held.
func (k Keep) write(all *kept) error {
	raw, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("keep the login: %w", err)
	}
	f, err := os.CreateTemp(k.Dir, "login-*.tmp") // mode 0600
	if err != nil {
		return fmt.Errorf("keep the login: %w", err)
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), k.file())
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("keep the login: %w", err)
	}
	return nil
}

// ErrEnded is that a login is over: only the person can begin another one.
var ErrEnded = errors.New("your login has ended; log in again with signpost login")

// Fresh is a login's access token, renewed when it is about to end, by one command at
// a time, for an issuer may take a refresh token once only. Errors: ErrEnded, and those
// of the way to the issuer when the token has ended.
func (k Keep) Fresh(ctx context.Context, l *Login, client func() (*http.Client, error)) (string, error) {
	if l.fresh() {
		return l.Access, nil
	}
	unlock, err := k.lock()
	if err != nil {
		return "", err
	}
	defer unlock()
	all, err := k.read()
	if err != nil {
		return "", err
	}
	now := all.Logins[l.Server]
	if now == nil {
		return "", ErrEnded
	}
	if *l = *now; l.fresh() {
		return l.Access, nil
	}
	if err := l.renew(ctx, client); err != nil {
		if !errors.Is(err, ErrEnded) && time.Now().Before(l.Expiry) {
			return l.Access, nil // good for this call still
		}
		return "", err
	}
	all.Logins[l.Server] = l
	return l.Access, k.write(all)
}

func (l *Login) fresh() bool {
	return l.Expiry.IsZero() || time.Until(l.Expiry) > renewBefore
}

func (l *Login) renew(ctx context.Context, client func() (*http.Client, error)) error {
	if l.Refresh == "" {
		if time.Now().Before(l.Expiry) {
			return errors.New("there is no refresh token")
		}
		return ErrEnded
	}
	c, err := client()
	if err != nil {
		return err
	}
	p, err := l.Issuer.ask(ctx, c)
	if err != nil {
		return err
	}
	t, err := p.TokenSource(p.context(ctx), &oauth2.Token{RefreshToken: l.Refresh}).Token()
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused) && refused.ErrorCode == "invalid_grant":
		return ErrEnded
	case err != nil:
		return fmt.Errorf("renew the login at %s: %w", l.Issuer.URL, inWords(err))
	}
	l.Take(t)
	return nil
}

// Revoke tells the issuer that the login has ended (RFC 7009), if it wants to know.
func (l *Login) Revoke(ctx context.Context, client *http.Client) error {
	p, err := l.Issuer.ask(ctx, client)
	if err != nil || p.revocation == "" || l.Refresh == "" {
		return err
	}
	form := url.Values{"token": {l.Refresh}, "token_type_hint": {"refresh_token"}, "client_id": {l.Issuer.ClientID}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.revocation, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the issuer %s answers %s", l.Issuer.URL, resp.Status)
	}
	return nil
}
