package control

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"signpost/internal/access/oidc"
	"signpost/internal/certs/certstest"
	"signpost/internal/store/localetcd"
	"signpost/internal/webhook"
	pb "signpost/proto/signpost/v1"
)

func started(t *testing.T, change ...func(*Config)) (s *Server, token string) {
	t.Helper()
	key, file := files(t.TempDir())
	c := Config{
		EtcdEndpoints: []string{localetcd.New(t).Endpoint()}, EtcdPrefix: "/signpost",
		HTTPListen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", MasterKeyFile: key, AdminTokenFile: file,
	}
	for _, f := range change {
		f(&c)
	}
	s, err := Start(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return s, strings.TrimSpace(string(text))
}

// Every metric that the operator's manual and its alerts name is there.
func TestTheMetricsOfTheManualAreThere(t *testing.T) {
	manual, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certstest.New(t, dir).Server("server") // a service has no metrics of what it is not told to have
	s, _ := started(t, func(c *Config) {
		c.TLSCert, c.TLSKey = filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
		c.AuditFile = filepath.Join(dir, "audit")
		c.Monitor, c.Site = true, "north"
		key := filepath.Join(dir, "hook.key")
		if err := os.WriteFile(key, []byte("whsec_"+strings.Repeat("AAAA", 8)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		c.Webhooks = []webhook.Config{{Name: "ops", URL: "https://example.org/", KeyFile: key}}
		c.Issuers = []oidc.Issuer{{Name: "egi", URL: "http://127.0.0.1:1", Scopes: []string{"x"}}}
	})
	named := regexp.MustCompile(`\bsignpost_[a-z_]+`).FindAllString(string(manual), -1)
	if len(named) < 10 {
		t.Fatalf("the manual names %q", named)
	}
	var missing []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); { // etcd is asked after the start
		resp, err := http.Get("http://" + s.AdminAddr() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		missing = nil
		for _, name := range named {
			if !strings.Contains(string(body), "\n"+name) {
				missing = append(missing, name)
			}
		}
		if missing == nil {
			return
		}
	}
	t.Errorf("there is no %q", missing)
}

func TestAnOpenStreamDoesNotHoldUpTheStop(t *testing.T) {
	s, token := started(t)
	conn, err := grpc.NewClient(strings.TrimPrefix(s.URL(), "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+token)
	stream, err := pb.NewWatchServiceClient(conn).Watch(ctx, &pb.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took >= stopTimeout {
		t.Errorf("it took %s to stop", took)
	}
	if _, err := stream.Recv(); err == nil || !strings.Contains(err.Error(), "the server is stopping; resume from revision ") {
		t.Errorf("%v", err)
	}
}

// The configurations of docs/login.md are taken, and its table has every setting of an
// issuer and no other.
func TestTheManualOfLoggingInIsRight(t *testing.T) {
	manual, err := os.ReadFile("../../../docs/login.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(manual), -1)
	if len(blocks) != 2 {
		t.Fatalf("there are %d configurations", len(blocks))
	}
	for _, b := range blocks {
		c, err := load(t, b[1], nil)
		if err != nil || len(c.Issuers) != 1 {
			t.Errorf("%v\n%s", err, b[1])
		}
	}
	var have, told []string
	for f := range reflect.TypeFor[oidc.Issuer]().NumField() {
		have = append(have, reflect.TypeFor[oidc.Issuer]().Field(f).Tag.Get("koanf"))
	}
	_, table, _ := strings.Cut(string(manual), "| setting |")
	table, _, _ = strings.Cut(table, "\n\n")
	for _, row := range strings.Split(table, "\n")[2:] {
		names := strings.Split(row, "|")[1]
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(names, -1) {
			told = append(told, m[1])
		}
	}
	if diff := cmp.Diff(have, told); diff != "" {
		t.Errorf("settings (-there are +told):\n%s", diff)
	}
}

// The configuration of docs/certificates.md is taken, and its table has every setting of
// the authority and no other.
func TestTheManualOfCertificatesIsRight(t *testing.T) {
	manual, err := os.ReadFile("../../../docs/certificates.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(manual), -1)
	if len(blocks) != 1 {
		t.Fatalf("there are %d configurations", len(blocks))
	}
	if c, err := load(t, blocks[0][1], nil); err != nil || c.ACMEDirectory == "" {
		t.Errorf("%v\n%s", err, blocks[0][1])
	}
	told := map[string]bool{}
	_, table, _ := strings.Cut(string(manual), "| setting |")
	table, _, _ = strings.Cut(table, "\n\n")
	for _, m := range regexp.MustCompile(`(?m)^\|[^|]*`).FindAllString(table, -1) {
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(m, -1) {
			told[name[1]] = true
		}
	}
	have := map[string]bool{}
	for f := range reflect.TypeFor[Config]().NumField() {
		if tag := reflect.TypeFor[Config]().Field(f).Tag.Get("koanf"); strings.HasPrefix(tag, "acme-") {
			have[tag] = true
		}
	}
	if diff := cmp.Diff(have, told); diff != "" {
		t.Errorf("settings (-there are +told):\n%s", diff)
	}
}
