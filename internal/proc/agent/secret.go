package agent

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"signpost/internal/access"
	"signpost/internal/model"
)

// The secret comes from a file, from secretVariable, or from the systemd credential of
// this name.
const (
	secretVariable = "SIGNPOST_SECRET"
	credential     = "signpost-secret"
)

// secret is where the machine's secret is. A file is read at each call, so that a new
// secret needs no restart.
type secret struct {
	file string // "": it is fixed
	mu   sync.Mutex
	last string
}

// findSecret finds the secret and checks that it is of the right kind. Errors never show
// it.
func (c Config) findSecret(getenv func(string) string, log *slog.Logger) (*secret, error) {
	s := &secret{file: c.SecretFile}
	where := "of the file " + c.SecretFile
	if s.file == "" {
		if s.last, where = strings.TrimSpace(getenv(secretVariable)), "of "+secretVariable; s.last == "" {
			dir := getenv("CREDENTIALS_DIRECTORY")
			if dir == "" {
				return nil, model.E(model.Invalid, "find the secret", "of "+c.Host).Because("there is none").
					Hint("give --secret-file, the credential " + credential + " of systemd, or " + secretVariable)
			}
			s.file = filepath.Join(dir, credential)
			where = "of the credential " + credential
		}
	}
	if s.file != "" {
		if err := s.open(c.SecretFile != "", log); err != nil {
			return nil, err
		}
	}
	bad := func(why string) (*secret, error) {
		return nil, model.E(model.Invalid, "read the secret", where).Because(why)
	}
	parsed, err := access.ParseSecret(s.last)
	switch {
	case err != nil:
		return bad("it is no secret, or not a whole one")
	case parsed.Kind == access.EndpointSecret && c.Endpoint == "":
		return bad("it is an endpoint's; say with --endpoint of which")
	case parsed.Kind == access.HostSecret && c.Endpoint != "":
		return bad("it is the host's, not that of the endpoint " + c.Endpoint + "; make one with signpost endpoint rotate-secret")
	case parsed.Kind != access.EndpointSecret && parsed.Kind != access.HostSecret:
		return bad("it is a token, which may do more than a machine should; give a host's or an endpoint's secret")
	}
	return s, nil
}

// open reads the file, and warns when others can.
func (s *secret) open(warn bool, log *slog.Logger) error {
	raw, err := os.ReadFile(s.file)
	if err != nil {
		return model.E(model.Invalid, "read the secret", s.file).From(err)
	}
	s.last = strings.TrimSpace(string(raw))
	if info, err := os.Stat(s.file); warn && err == nil && info.Mode().Perm()&0o077 != 0 {
		log.Warn("others than its owner can read the secret; chmod 0600 "+s.file, "mode", info.Mode().Perm().String())
	}
	return nil
}

// now is the secret as it is now: a file that cannot be read, or holds none, leaves the
// last one.
func (s *secret) now() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == "" {
		return s.last, nil
	}
	if raw, err := os.ReadFile(s.file); err == nil {
		text := strings.TrimSpace(string(raw))
		if _, err := access.ParseSecret(text); err == nil {
			s.last = text
		}
	}
	return s.last, nil
}
