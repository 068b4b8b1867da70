package cert

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"signpost/internal/acme/pebbletest"
	proccontrol "signpost/internal/proc/control"
	pb "signpost/proto/signpost/v1"
)

// What the settings of signpostd say reaches the authority: who vouches for it, the
// external account, and the account's key, which goes on under another master key.
func TestTheSettingsOfTheAuthority(t *testing.T) {
	w := newWorld(t, 1)
	const hmac = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	ca := pebbletest.Start(t, w.servers[0], pebbletest.WithEAB("kid-1", hmac))
	w.ca = ca
	dir := t.TempDir()
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		w.check(os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	c := proccontrol.Config{
		EtcdEndpoints: []string{etcd.Endpoint()}, EtcdPrefix: w.prefix, HTTPListen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", NameServers: w.servers,
		MasterKeyFile: file("master.key", w.key.Text()), AdminTokenFile: file("admin.token", w.token), LogLevel: "error", PerAddress: 256,
		ACMEDirectory: ca.Directory, ACMECA: file("ca.pem", string(ca.RootsPEM)), ACMEEABKeyID: "kid-1", ACMEEABFile: file("eab", hmac+"\n"), ACMEZoneLimit: 5,
	}
	var running *proccontrol.Server
	serve := func(c proccontrol.Config) *control { // in the place of the one before
		t.Helper()
		if running != nil {
			w.check(running.Close())
		}
		var err error
		running, err = proccontrol.Start(t.Context(), c, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})))
		w.check(err)
		conn, err := grpc.NewClient(strings.TrimPrefix(running.URL(), "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
		w.check(err)
		t.Cleanup(func() { conn.Close() })
		return &control{
			w: w, ctx: bearer(t.Context(), w.token), zones: pb.NewZoneServiceClient(conn), hosts: pb.NewHostServiceClient(conn),
			certs: pb.NewCertificateServiceClient(conn),
		}
	}
	defer func() { w.check(running.Close()) }()
	order := func(s *control, fqdn string) error {
		t.Helper()
		out, err := s.certs.IssueCertificate(s.ctx, &pb.IssueCertificateRequest{Fqdn: fqdn, Csr: request(t, newKey(t), fqdn)})
		if err == nil {
			w.verify(out.Certificate.Chain, fqdn)
		}
		return err
	}

	wrong := c
	wrong.ACMEEABFile = file("wrong", "bm90IHRoZSBrZXk")
	s := serve(wrong)
	s.zone("vo.example.org")
	_, err := s.hosts.CreateHost(s.ctx, &pb.CreateHostRequest{Fqdn: "web.vo.example.org"})
	w.check(err)
	if err := order(s, "web.vo.example.org"); status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "the certificate authority refuses") {
		t.Errorf("with another's external account: %v", err)
	}
	unknown := c
	unknown.ACMECA = ""
	if err := order(serve(unknown), "web.vo.example.org"); status.Code(err) != codes.Unavailable {
		t.Errorf("of an authority that nobody vouches for: %v", err)
	}
	newKeyFile := filepath.Join(dir, "new.key")
	w.check(proccontrol.MakeKey(newKeyFile, io.Discard))
	c.FurtherKeyFiles = []string{newKeyFile}
	if err := order(serve(c), "web.vo.example.org"); err != nil {
		t.Error(err)
	}
	accounts := ca.Count(pebbletest.NewAccount)

	var out bytes.Buffer
	if err := proccontrol.Rekey(t.Context(), c, newKeyFile, &out, io.Discard); err != nil || !strings.Contains(out.String(), "sealed anew: 1\n") {
		t.Fatal(err, out.String())
	}
	c.MasterKeyFile, c.FurtherKeyFiles = newKeyFile, nil
	after := serve(c)
	if err := order(after, "web.vo.example.org"); err != nil {
		t.Error(err)
	}
	if n := ca.Count(pebbletest.NewAccount); n != accounts {
		t.Errorf("it has registered %d times more", n-accounts)
	}
	// 80 % of 5 in the zone: the first, of which the authority would not hear, is one.
	_, err = after.hosts.CreateHost(after.ctx, &pb.CreateHostRequest{Fqdn: "two.vo.example.org"})
	w.check(err)
	if err := order(after, "two.vo.example.org"); err != nil {
		t.Error(err)
	}
	if err := order(after, "two.vo.example.org"); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "in zone vo.example.org were ordered 4 times") {
		t.Errorf("over the zone's limit: %v", err)
	}
}

// What is in the files of the settings is looked at before anything is served.
func TestBadFilesOfTheAuthority(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	base := proccontrol.Config{
		EtcdEndpoints: []string{etcd.Endpoint()}, EtcdPrefix: "/none", HTTPListen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", ACMEZoneLimit: 50,
		MasterKeyFile: filepath.Join(dir, "m"), AdminTokenFile: filepath.Join(dir, "a"), LogLevel: "error", ACMEDirectory: "https://ca.example.org/dir",
	}
	for want, change := range map[string]func(*proccontrol.Config){
		"acme-ca-file: open":                           func(c *proccontrol.Config) { c.ACMECA = filepath.Join(dir, "none") },
		"has no certificate in PEM":                    func(c *proccontrol.Config) { c.ACMECA = file("ca", "x") },
		"acme-eab-hmac-file: open":                     func(c *proccontrol.Config) { c.ACMEEABKeyID, c.ACMEEABFile = "k", filepath.Join(dir, "none") },
		"acme-eab-hmac-file: the HMAC key is not base": func(c *proccontrol.Config) { c.ACMEEABKeyID, c.ACMEEABFile = "k", file("eab", "?") },
	} {
		c := base
		change(&c)
		s, err := proccontrol.Start(t.Context(), c, slog.New(slog.DiscardHandler))
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
