package control

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"signpost/internal/access/oidc"
)

func TestOpenFilesWithSecretsAreTold(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, nil, mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var log bytes.Buffer
	Config{
		MasterKeyFile: file("master.key", 0o600), AdminTokenFile: file("admin.token", 0o640), TLSKey: file("open.tls", 0o644), TLSCert: file("cert", 0o644),
		EtcdKey: file("open.etcd", 0o602), EtcdPasswordFile: file("open.password", 0o777), FurtherKeyFiles: []string{file("open.key", 0o604), "none"},
		Issuers: []oidc.Issuer{{IntrospectionSecretFile: file("open.secret", 0o644)}, {}},
	}.tellOpenFiles(slog.New(slog.NewTextHandler(&log, nil)))
	if n := strings.Count(log.String(), "\n"); n != 5 || strings.Count(log.String(), "/open.") != 5 {
		t.Errorf("%d files are told, want 5:\n%s", n, &log)
	}
}
