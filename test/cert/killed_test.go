package cert

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"signpost/internal/acme/pebbletest"
	pb "signpost/proto/signpost/v1"
	"signpost/test/proctest"
)

// A control service that is killed in the middle of an order leaves its challenge in the
// zone; started again, it takes that away by itself, and the host gets its certificate.
func TestAKilledServiceLeavesNoChallenge(t *testing.T) {
	t.Parallel()
	w := &world{t: t, prefix: fmt.Sprintf("/test-%d", prefixes.Add(1))}
	w.servers = []string{w.nameServer(etcd.Endpoint())}
	w.ca = pebbletest.Start(t, w.servers[0])
	dir, at := t.TempDir(), proctest.Addr(proctest.Port(t))
	w.check(os.WriteFile(filepath.Join(dir, "ca.pem"), w.ca.RootsPEM, 0o644))
	service := proctest.Start(t, dir, "control", "signpostd", "serve", "--etcd-endpoints", etcd.Endpoint(), "--etcd-prefix", w.prefix,
		"--http-listen", at, "--admin-listen", proctest.Addr(proctest.Port(t)), "--name-servers", w.servers[0],
		"--acme-directory", w.ca.Directory, "--acme-ca-file", "ca.pem")
	ready := func() {
		t.Helper()
		proctest.Until(t, "control service ready", func() error {
			code, body, err := proctest.Get(t.Context(), "http://"+at+"/readyz", "", "")
			if err == nil && code != http.StatusOK {
				err = fmt.Errorf("%d %s", code, body)
			}
			return err
		})
	}
	ready()
	token, err := os.ReadFile(filepath.Join(dir, "admin.token"))
	w.check(err)
	conn, err := grpc.NewClient(at, grpc.WithTransportCredentials(insecure.NewCredentials()))
	w.check(err)
	defer conn.Close()
	ctx := bearer(context.WithoutCancel(t.Context()), strings.TrimSpace(string(token)))
	_, err = pb.NewZoneServiceClient(conn).CreateZone(ctx, &pb.CreateZoneRequest{Name: "vo.example.org", NameServers: []*pb.NameServer{{Name: "ns.example.net"}}})
	w.check(err)
	_, err = pb.NewHostServiceClient(conn).CreateHost(ctx, &pb.CreateHostRequest{Fqdn: "web.vo.example.org"})
	w.check(err)

	var once sync.Once
	killed := make(chan struct{})
	w.ca.Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, pebbletest.Tell) {
			return false
		}
		once.Do(func() { service.Kill(); close(killed) })
		pebbletest.Refuse(rw, http.StatusInternalServerError, "serverInternal", "nobody is there to read it")
		return true
	})
	certs := pb.NewCertificateServiceClient(conn)
	in := &pb.IssueCertificateRequest{Fqdn: "web.vo.example.org", Csr: request(t, newKey(t), "web.vo.example.org")}
	if _, err := certs.IssueCertificate(ctx, in); err == nil {
		t.Fatal("it is not killed in the middle")
	}
	<-killed
	if left := w.txt("web.vo.example.org"); len(left) != 1 {
		t.Errorf("it leaves %q", left)
	}
	w.ca.Intercept(nil)
	service.Restart()
	ready()
	// Its hold on the order lasts 15 s at most, or longer on a busy etcd, and it sweeps every 30 s.
	for deadline := time.Now().Add(5 * time.Minute); len(w.txt("web.vo.example.org")) > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the challenge stays")
		}
	}
	w.nothingLeft()
	out, err := certs.IssueCertificate(ctx, in)
	w.check(err)
	w.verify(out.Certificate.Chain, "web.vo.example.org")
	w.nothingLeft()
}

// A host that is blocked while its challenge is there is not left with it, neither while it is
// silent nor when it is let go.
func TestAHostThatIsBlockedInTheMiddle(t *testing.T) {
	w := newWorld(t, 1)
	s := w.control()
	s.zone("vo.example.org")
	s.host("web.vo.example.org", false)
	w.ca.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, pebbletest.Tell) {
			if _, err := s.hosts.BlockHost(s.ctx, &pb.BlockHostRequest{Fqdn: "web.vo.example.org", Reason: "it is looked at"}); err != nil {
				t.Error(err)
			}
		}
		return false
	})
	in := &pb.IssueCertificateRequest{Fqdn: "web.vo.example.org", Csr: request(t, newKey(t), "web.vo.example.org")}
	if _, err := s.certs.IssueCertificate(s.person("egi/alice"), in); err == nil {
		t.Log("the authority was faster than the name server") // then there is a certificate, and nothing left all the same
	}
	w.nothingLeft()
	_, err := s.hosts.UnblockHost(s.ctx, &pb.UnblockHostRequest{Fqdn: "web.vo.example.org"})
	w.check(err)
	if set, err := s.recs.GetRecordSet(s.ctx, &pb.GetRecordSetRequest{Fqdn: "_acme-challenge.web.vo.example.org", Type: "TXT"}); status.Code(err) != codes.NotFound {
		t.Errorf("left behind: %v, %v", set, err)
	}
}
