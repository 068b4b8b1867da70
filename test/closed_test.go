package test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/certs/certstest"
	"signpost/internal/store"
	"signpost/test/proctest"
)

// closed is a cluster whose etcd asks everybody for a certificate, as the manual's section
// "Closing etcd" makes it.
type closed struct {
	*cluster
	pki    string
	client *http.Client // trusts the control service's certificate
}

// manual is the block of shell after a heading of the manual that has a word in it.
func manual(t *testing.T, word string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(m[1], word) {
			return m[1]
		}
	}
	t.Fatalf("the manual has no lines with %s", word)
	return ""
}

func startClosed(t *testing.T) *closed {
	t.Helper()
	c := &closed{cluster: &cluster{dir: t.TempDir()}}
	c.pki = filepath.Join(c.dir, "pki")
	if _, err := exec.LookPath("openssl"); err == nil {
		c.shell(t, c.dir, manual(t, "openssl"))
	} else {
		t.Log("there is no openssl to try the manual's lines with")
		if err := os.Mkdir(c.pki, 0o700); err != nil {
			t.Fatal(err)
		}
		a := certstest.New(t, c.pki)
		for _, member := range []string{"e1", "e2", "e3"} {
			a.Server(member)
		}
		for _, user := range []string{"root", "signpost-dns", "signpost-control", "signpost-monitor-north"} {
			a.Client(user, user)
		}
	}
	own := filepath.Join(c.dir, "own") // what is not the manual's
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	certstest.New(t, own).Server("http")
	pool := x509.NewCertPool()
	raw, err := os.ReadFile(filepath.Join(own, "ca.crt"))
	if err != nil || !pool.AppendCertsFromPEM(raw) {
		t.Fatal(err)
	}
	t.Setenv("SIGNPOST_CA_FILE", filepath.Join(own, "ca.crt"))
	c.client = &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.startEtcd(t)
	return c
}

func (c *closed) startEtcd(t *testing.T) {
	t.Helper()
	var peers, peerURLs []string
	for i := range 3 {
		c.etcdEndpoints = append(c.etcdEndpoints, "https://"+proctest.Addr(proctest.Port(t)))
		peerURLs = append(peerURLs, "https://"+proctest.Addr(proctest.Port(t)))
		peers = append(peers, fmt.Sprintf("e%d=%s", i+1, peerURLs[i]))
	}
	for i := range 3 {
		name := fmt.Sprintf("e%d", i+1)
		file := func(end string) string { return filepath.Join(c.pki, name+end) }
		ca := filepath.Join(c.pki, "ca.crt")
		c.etcds = append(c.etcds, proctest.Start(t, c.dir, name, "etcd", "--name", name, "--data-dir", name,
			"--listen-client-urls", c.etcdEndpoints[i], "--advertise-client-urls", c.etcdEndpoints[i],
			"--listen-peer-urls", peerURLs[i], "--initial-advertise-peer-urls", peerURLs[i],
			"--client-cert-auth", "--trusted-ca-file", ca, "--cert-file", file(".crt"), "--key-file", file(".key"),
			"--peer-client-cert-auth", "--peer-trusted-ca-file", ca, "--peer-cert-file", file(".crt"), "--peer-key-file", file(".key"),
			"--enable-grpc-gateway=false", "--initial-cluster", strings.Join(peers, ","), "--log-level", "error"))
	}
	root := c.as(t, "root")
	proctest.Until(t, "etcd", func() error {
		for _, e := range c.etcdEndpoints {
			if _, err := root.Status(t.Context(), e); err != nil {
				return err
			}
		}
		_, err := root.Get(t.Context(), "x")
		return err
	})
}

// shell runs lines in a folder and gives what they print.
func (c *closed) shell(t *testing.T, dir, lines string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", lines)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(proctest.Bin(t, "signpostd"))+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, lines, out)
	}
	return string(out)
}

// as is a client of etcd's with somebody's certificate.
func (c *closed) as(t *testing.T, user string) *clientv3.Client {
	t.Helper()
	file := func(name string) string { return filepath.Join(c.pki, name) }
	conf, err := store.TLSFromFiles(file(user+".crt"), file(user+".key"), file("ca.crt"), nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := store.Dial(store.Config{Endpoints: c.etcdEndpoints, TLS: conf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// init runs etcd-init with somebody's certificate.
func (c *closed) init(t *testing.T, user string, endpoints []string, more ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), proctest.Bin(t, "signpostd"), append([]string{"etcd-init", "--etcd-endpoints", strings.Join(endpoints, ","),
		"--etcd-ca", "ca.crt", "--etcd-cert", user + ".crt", "--etcd-key", user + ".key", "--site", "north"}, more...)...)
	cmd.Dir = c.pki
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c *closed) startServices(t *testing.T) (redirect string) {
	t.Helper()
	c.servers = []string{proctest.Addr(proctest.DNSPort(t)), proctest.Addr(proctest.DNSPort(t))}
	redirect = proctest.Addr(proctest.Port(t))
	for i := range 2 {
		listen, admin := proctest.Addr(proctest.Port(t)), proctest.Addr(proctest.Port(t))
		c.controlURLs, c.admins = append(c.controlURLs, "https://"+listen), append(c.admins, "http://"+admin)
		args := []string{"serve", "--etcd-endpoints", strings.Join(c.etcdEndpoints, ","), "--http-listen", listen, "--admin-listen", admin,
			"--etcd-ca", "pki/ca.crt", "--etcd-cert", "pki/signpost-control.crt", "--etcd-key", "pki/signpost-control.key",
			"--tls-cert", "own/http.crt", "--tls-key", "own/http.key", "--public-url", "https://dns.example.org", "--name-servers", strings.Join(c.servers, ",")}
		if i == 0 {
			args = append(args, "--http-redirect-listen", redirect)
		}
		c.controls = append(c.controls, proctest.Start(t, c.dir, fmt.Sprintf("control%d", i), "signpostd", args...))
		proctest.Until(t, "control service ready", func() error {
			resp, err := c.client.Get(c.controlURLs[i] + "/readyz")
			if err != nil {
				return err
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				return errors.New(resp.Status)
			}
			return nil
		})
	}
	for i, addr := range c.servers {
		_, port, _ := strings.Cut(addr, ":")
		file := fmt.Sprintf("Corefile%d", i)
		text := fmt.Sprintf(".:%s {\n bind 127.0.0.1\n errors\n signpost {\n endpoint %s\n tls pki/signpost-dns.crt pki/signpost-dns.key pki/ca.crt\n snapshot replica%d\n }\n}\n",
			port, strings.Join(c.etcdEndpoints, " "), i)
		if err := os.WriteFile(filepath.Join(c.dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.names = append(c.names, proctest.Start(t, c.dir, fmt.Sprintf("name%d", i), "coredns", "-conf", file))
	}
	return redirect
}

// TestClosedEtcd is the whole with certificates everywhere and the roles of etcd-init.
func TestClosedEtcd(t *testing.T) {
	c := startClosed(t)
	t.Run("etcd-init locks nobody out", func(t *testing.T) {
		for user, why := range map[string]string{"signpost-control": `common name is "signpost-control"`, "e1": `common name is ""`} {
			if out, err := c.init(t, user, c.etcdEndpoints, "--enable-auth"); err == nil || !strings.Contains(out, why) {
				t.Errorf("as %s: %v, %s", user, err, out)
			}
		}
		if out, err := c.init(t, "root", c.etcdEndpoints[:2], "--enable-auth"); err == nil || !strings.Contains(out, "e3; give all members") {
			t.Errorf("with two of three members: %v, %s", err, out)
		}
	})
	lines := regexp.MustCompile(`(?m)^E=.*$`).ReplaceAllString(manual(t, "signpostd etcd-init"), "E="+strings.Join(c.etcdEndpoints, ","))
	t.Log(c.shell(t, c.pki, lines))
	if out, err := c.init(t, "root", c.etcdEndpoints, "--enable-auth"); err != nil || !strings.Contains(out, "as they should be\nauthentication is on\n") {
		t.Errorf("again: %v, %s", err, out)
	}
	if out, err := c.init(t, "signpost-control", c.etcdEndpoints); err == nil || !strings.Contains(out, "does not take us for root") {
		t.Errorf("as another: %v, %s", err, out)
	}

	redirect := c.startServices(t)
	const www = "www.vo.example.org"
	c.signpost(t, "zone", "create", "vo.example.org", "--ns", "ns1.vo.example.org=192.0.2.53")
	secret := strings.TrimSpace(c.signpost(t, "host", "create", www, "--ip", "192.0.2.1", "--wait", "--quiet"))
	c.everywhere(t, www, dns.TypeA, "192.0.2.1")
	update := func(base, ip string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/nic/update?myip="+ip, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(www, secret)
		resp, err := c.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	change := func(ip string) {
		t.Helper()
		proctest.Until(t, "update", func() error {
			if status, body := update(c.controlURLs[1], ip); status != 200 {
				return fmt.Errorf("%d %s", status, body)
			}
			return nil
		})
		c.everywhere(t, www, dns.TypeA, ip)
	}
	change("192.0.2.2")

	t.Run("what each may not do", func(t *testing.T) { c.refusals(t) })

	t.Run("without TLS", func(t *testing.T) {
		if status, body := update("http://"+redirect, "192.0.2.66"); status != 403 || !strings.Contains(body, "https://dns.example.org") {
			t.Errorf("with a credential: %d %s", status, body)
		}
		resp, err := c.client.Get("http://" + redirect + "/v1/zones?x=1")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if to := resp.Header.Get("Location"); resp.StatusCode != 308 || to != "https://dns.example.org/v1/zones?x=1" {
			t.Errorf("%d, to %s", resp.StatusCode, to)
		}
		if status, body, err := proctest.Get(t.Context(), "http://"+redirect+"/myip", "", ""); err != nil || status != 200 || strings.TrimSpace(body) != "127.0.0.1" {
			t.Errorf("/myip: %d %s, %v", status, body, err)
		}
		if err := proctest.Answers(c.servers[0], www, dns.TypeA, "192.0.2.2"); err != nil {
			t.Error(err)
		}
	})

	t.Run("certificates are renewed in place", func(t *testing.T) {
		own := certstest.New(t, filepath.Join(c.dir, "own"))
		pool := x509.NewCertPool()
		raw, err := os.ReadFile(filepath.Join(c.dir, "own", "ca.crt"))
		if err != nil || !pool.AppendCertsFromPEM(raw) {
			t.Fatal(err)
		}
		c.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool} // the new authority and no other
		own.Serial("http", "", 77, time.Hour)
		proctest.Until(t, "the new certificate", func() error {
			resp, err := c.client.Get(c.controlURLs[0] + "/healthz")
			if err != nil {
				return err
			}
			resp.Body.Close()
			if n := resp.TLS.PeerCertificates[0].SerialNumber.Int64(); n != 77 {
				return fmt.Errorf("certificate %d", n)
			}
			return nil
		})
		_, metrics, err := proctest.Get(t.Context(), c.admins[0]+"/metrics", "", "")
		if err != nil || !strings.Contains(metrics, `signpost_certificate_expiry_timestamp_seconds{use="etcd"}`) ||
			!strings.Contains(metrics, `signpost_etcd_database_quota_bytes{endpoint="`) {
			t.Errorf("%v: the metrics lack certificates or etcd's databases", err)
		}
	})

	t.Run("members come and go", func(t *testing.T) {
		for i, e := range c.etcds {
			e.Kill()
			change(fmt.Sprintf("192.0.2.%d", 10+i))
			e.Restart()
		}
	})
	for _, p := range append(c.controls, c.names...) {
		if log, err := p.Log(); err != nil || strings.Contains(string(log), "does not let us") {
			t.Errorf("%s is refused something: %v", p.Name, err)
		}
		if code := p.Stop(); code != 0 {
			t.Errorf("%s exited with %d", p.Name, code)
		}
	}
}

// refusals tries what a stolen certificate would be tried for. The whole matrix is the
// room "rights"'s; here are the certificates that the processes really have.
func (c *closed) refusals(t *testing.T) {
	const (
		names, host, audit = "/signpost/v1/dns/name/", "/signpost/v1/ctl/host/", "/signpost/v1/audit/"
		north, south       = "/signpost/v1/dns/vote/north/x", "/signpost/v1/dns/vote/south/x"
	)
	get := func(k string) clientv3.Op { return clientv3.OpGet(k, clientv3.WithPrefix()) }
	for _, try := range []struct {
		user string
		what string
		op   clientv3.Op
		may  bool
	}{
		{"signpost-dns", "read what it answers", get(names), true},
		{"signpost-dns", "read secrets", get("/signpost/v1/ctl/"), false},
		{"signpost-dns", "read the audit", get(audit), false},
		{"signpost-dns", "read all", get(""), false},
		{"signpost-dns", "change names", clientv3.OpPut(names+"x", ""), false},
		{"signpost-dns", "remove names", clientv3.OpDelete(names, clientv3.WithPrefix()), false},
		{"signpost-dns", "vote", clientv3.OpPut(north, ""), false},
		{"signpost-dns", "write anywhere", clientv3.OpPut("x", ""), false},
		{"signpost-monitor-north", "read names", get(names), true},
		{"signpost-monitor-north", "vote", clientv3.OpPut(north, ""), true},
		{"signpost-monitor-north", "withdraw its vote", clientv3.OpDelete(north), true},
		{"signpost-monitor-north", "vote for others", clientv3.OpPut(south, ""), false},
		{"signpost-monitor-north", "read secrets", get(host), false},
		{"signpost-monitor-north", "change names", clientv3.OpPut(names+"x", ""), false},
		{"signpost-control", "read secrets", get(host), true},
		{"signpost-control", "write beside the prefix", clientv3.OpPut("/signpost2/x", ""), false},
		{"signpost-control", "read all", get(""), false},
		{"e1", "read names with a member's certificate", get(names), false},
	} {
		_, err := c.as(t, try.user).Do(t.Context(), try.op)
		if denied := errors.Is(err, rpctypes.ErrPermissionDenied) || errors.Is(err, rpctypes.ErrUserEmpty); err != nil && !denied || denied == try.may {
			t.Errorf("%s, %s: %v", try.user, try.what, err)
		}
	}
	// Authentication is whom etcd knows, no more: leases are anybody's.
	lease, err := c.as(t, "signpost-dns").Grant(t.Context(), 60)
	if err != nil {
		t.Errorf("the manual says that a name server may have leases: %v", err)
	} else if _, err := c.as(t, "signpost-dns").Put(t.Context(), names+"x", "", clientv3.WithLease(lease.ID)); !errors.Is(err, rpctypes.ErrPermissionDenied) {
		t.Errorf("a write with a lease: %v", err)
	}
}
