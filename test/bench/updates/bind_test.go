package updates

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"signpost/test/bench/peer"
	"signpost/test/proctest"
)

// bind is a named with a zone that takes updates signed with a key (RFC 2136, RFC 8945).
type bind struct{ dir, server, port string }

const bindConf = `options {
	directory "{dir}"; listen-on port {port} { 127.0.0.1; }; listen-on-v6 { none; };
	pid-file "{dir}/pid"; session-keyfile "{dir}/session.key"; lock-file none; managed-keys-directory "{dir}";
	recursion no; notify no; empty-zones-enable no; dnssec-validation no; querylog no;
};
controls { };
logging { category default { null; }; };
include "{dir}/key";
zone "bench.test" { type primary; file "{dir}/zone"; allow-update { key bench; }; };
`

func startBIND(t *testing.T) *bind {
	t.Helper()
	if why := (&peer.Site{Install: true}).Need("bind9 bind9-dnsutils", func() bool {
		_, server := exec.LookPath("named")
		_, client := exec.LookPath("nsupdate")
		return server == nil && client == nil
	}); why != "" {
		t.Skip(why)
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		t.Fatal(err)
	}
	b := &bind{dir: t.TempDir(), server: proctest.Addr(proctest.DNSPort(t))}
	_, b.port, _ = strings.Cut(b.server, ":")
	zone := "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns.example.net.\n"
	for i := range hosts {
		zone += fmt.Sprintf("h%d A 192.0.2.1\n", i)
	}
	for name, text := range map[string]string{
		"named.conf": strings.NewReplacer("{dir}", b.dir, "{port}", b.port).Replace(bindConf),
		"key":        `key "bench" { algorithm hmac-sha256; secret "` + base64.StdEncoding.EncodeToString(secret) + `"; };` + "\n",
		"zone":       zone,
	} {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	named, err := exec.LookPath("named")
	if err != nil {
		t.Skip(err)
	}
	proctest.Run(t, b.dir, "named", named, "-f", "-c", filepath.Join(b.dir, "named.conf"))
	proctest.Until(t, "named to answer", func() error { return proctest.Answers(b.server, "h0.bench.test", dns.TypeA, "192.0.2.1") })
	return b
}

// round is how many updates a second so many nsupdate get done, each one after the other.
func (b *bind) round(t *testing.T, clients int) float64 {
	t.Helper()
	texts, last := make([]string, clients), make([]string, clients)
	for c := range texts {
		var text strings.Builder
		fmt.Fprintf(&text, "server 127.0.0.1 %s\nzone bench.test\n", b.port)
		for i := range *count / clients {
			last[c] = fmt.Sprintf("h%d.bench.test %s", (c+i*clients)%hosts, nextAddress())
			name, address, _ := strings.Cut(last[c], " ")
			fmt.Fprintf(&text, "update delete %s. A\nupdate add %s. 60 A %s\nsend\n", name, name, address)
		}
		texts[c] = text.String()
	}
	var running sync.WaitGroup
	began := time.Now()
	for _, text := range texts {
		running.Go(func() {
			cmd := exec.CommandContext(t.Context(), "nsupdate", "-k", filepath.Join(b.dir, "key"))
			cmd.Stdin = strings.NewReader(text)
			out, err := cmd.CombinedOutput()
			if len(out) > 0 {
				err = errors.Join(err, errors.New(string(out)))
			}
			if err != nil {
				t.Error("nsupdate: ", err)
			}
		})
	}
	running.Wait()
	took := time.Since(began)
	for _, l := range last { // it was done
		name, address, _ := strings.Cut(l, " ")
		if err := proctest.Answers(b.server, name, dns.TypeA, address); err != nil {
			t.Error(err)
		}
	}
	return float64(*count/clients*clients) / took.Seconds()
}
