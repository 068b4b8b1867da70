package agent

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"signpost/internal/access"
)

func write(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWhereTheSecretComesFrom(t *testing.T) {
	dir := t.TempDir()
	inFile, inEnv, inCredential := access.NewHostSecret(), access.NewHostSecret(), access.NewHostSecret()
	file := write(t, filepath.Join(dir, "file"), inFile+"\n", 0o600)
	write(t, filepath.Join(dir, credential), inCredential, 0o440) // as systemd makes it
	for _, tt := range []struct {
		name string
		file string
		env  map[string]string
		want string
	}{
		{"the file before all", file, map[string]string{secretVariable: inEnv, "CREDENTIALS_DIRECTORY": dir}, inFile},
		{"then the environment", "", map[string]string{secretVariable: inEnv, "CREDENTIALS_DIRECTORY": dir}, inEnv},
		{"then the credential of systemd", "", map[string]string{"CREDENTIALS_DIRECTORY": dir}, inCredential},
		{"no secret", "", nil, ""},
		{"no credential", "", map[string]string{"CREDENTIALS_DIRECTORY": filepath.Join(dir, "none")}, ""},
		{"no file", filepath.Join(dir, "none"), map[string]string{secretVariable: inEnv}, ""},
	} {
		var log bytes.Buffer
		s, err := Config{Host: "app.example.org", SecretFile: tt.file}.findSecret(func(name string) string { return tt.env[name] }, slog.New(slog.NewTextHandler(&log, nil)))
		if (err == nil) != (tt.want != "") {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if err == nil {
			if got, err := s.now(); got != tt.want || err != nil {
				t.Errorf("%s: another one, %v", tt.name, err)
			}
		}
		if log.Len() > 0 {
			t.Errorf("%s: %s", tt.name, log.String())
		}
	}
}

func TestAFileThatOthersCanReadIsWarnedOfAndANewSecretNeedsNoRestart(t *testing.T) {
	first, next := access.NewHostSecret(), access.NewHostSecret()
	file := filepath.Join(t.TempDir(), "secret")
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o644: true} {
		_ = os.Remove(file)
		write(t, file, first, mode)
		var log bytes.Buffer
		s, err := Config{SecretFile: file}.findSecret(os.Getenv, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil || strings.Contains(log.String(), "others than its owner") != warned || strings.Contains(log.String(), first) {
			t.Errorf("%o: %v, %s", mode, err, log.String())
		}
		_ = os.Remove(file)
		if got, _ := s.now(); got != first {
			t.Error("without the file it is forgotten")
		}
		write(t, file, first[:9], 0o600) // half written
		if got, _ := s.now(); got != first {
			t.Error("half a secret is taken")
		}
		write(t, file, next, 0o600)
		if got, _ := s.now(); got != next {
			t.Error("the new one is not taken")
		}
	}
}

func TestSecretsOfAnotherKindAreRefusedAndNotShown(t *testing.T) {
	none := slog.New(slog.DiscardHandler)
	for _, tt := range []struct{ secret, endpoint, want string }{
		{access.NewHostSecret(), "", ""},
		{access.NewEndpointSecret(), "a", ""},
		{access.NewHostSecret(), "a", "it is the host's"},
		{access.NewEndpointSecret(), "", "it is an endpoint's"},
		{access.NewToken(), "", "it is a token"},
		{access.NewAdminToken(), "a", "it is a token"},
		{access.NewHostSecret()[:31], "", "not a whole one"},
		{access.NewHostSecret() + "\n" + access.NewHostSecret(), "", "not a whole one"},
		{"hunter2", "", "it is no secret"},
	} {
		_, err := Config{Host: "app.example.org", Endpoint: tt.endpoint}.findSecret(func(name string) string { return map[string]string{secretVariable: tt.secret}[name] }, none)
		switch {
		case (err == nil) != (tt.want == ""), err != nil && !strings.Contains(err.Error(), tt.want):
			t.Errorf("%.5s… of %q: %v", tt.secret, tt.endpoint, err)
		case err != nil && strings.Contains(err.Error(), tt.secret):
			t.Errorf("the secret is shown: %v", err)
		}
	}
}
