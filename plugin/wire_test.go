package signpost_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// What is no plain question gets what the RFCs and BIND say, from us or from
// CoreDNS before us, over UDP and TCP alike.
func TestWhatIsNoPlainQuestion(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	s := start(t, block("endpoint "+w.etcd.Endpoint()))
	chaos := start(t, block("endpoint "+w.etcd.Endpoint(), "chaos"))
	s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	chaos.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	question := func(qtype uint16, change func(*dns.Msg)) []byte {
		m := new(dns.Msg)
		m.SetQuestion("ns1.example.org.", qtype)
		if change != nil {
			change(m)
		}
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	opcode := func(o int) func(*dns.Msg) { return func(m *dns.Msg) { m.Opcode = o } }
	class := func(c uint16) func(*dns.Msg) { return func(m *dns.Msg) { m.Question[0].Qclass = c } }
	count := func(at int, n uint16) []byte { // a message whose header counts what is not there
		b := question(dns.TypeA, nil)
		binary.BigEndian.PutUint16(b[at:], n)
		return b
	}
	for _, c := range []struct {
		what  string
		send  []byte
		rcode int
	}{
		{"opcode IQUERY", question(dns.TypeA, opcode(dns.OpcodeIQuery)), dns.RcodeNotImplemented},
		{"opcode STATUS", question(dns.TypeA, opcode(dns.OpcodeStatus)), dns.RcodeNotImplemented},
		{"opcode 3, not assigned", question(dns.TypeA, opcode(3)), dns.RcodeNotImplemented},
		{"opcode 15, not assigned", question(dns.TypeA, opcode(15)), dns.RcodeNotImplemented},
		{"UPDATE", question(dns.TypeSOA, opcode(dns.OpcodeUpdate)), dns.RcodeNotImplemented},
		{"NOTIFY for our zone", question(dns.TypeSOA, opcode(dns.OpcodeNotify)), dns.RcodeRefused},
		{"class CH", question(dns.TypeTXT, class(dns.ClassCHAOS)), dns.RcodeRefused},
		{"class HS", question(dns.TypeTXT, class(dns.ClassHESIOD)), dns.RcodeRefused},
		{"class ANY", question(dns.TypeA, class(dns.ClassANY)), dns.RcodeRefused},
		{"class NONE", question(dns.TypeA, class(dns.ClassNONE)), dns.RcodeRefused},
		{"EDNS version 1", question(dns.TypeA, func(m *dns.Msg) { m.SetEdns0(1232, false); m.IsEdns0().SetVersion(1) }), dns.RcodeBadVers},
		{"two OPT", question(dns.TypeA, func(m *dns.Msg) { m.SetEdns0(1232, false); m.SetEdns0(1232, false) }), dns.RcodeFormatError},
		{"OPT that is not the root's", question(dns.TypeA, func(m *dns.Msg) { m.SetEdns0(1232, false); m.IsEdns0().Hdr.Name = "a." }), dns.RcodeFormatError},
		{"AXFR without the transfer plugin", question(dns.TypeAXFR, nil), dns.RcodeRefused},
		{"IXFR without the transfer plugin", question(dns.TypeIXFR, nil), dns.RcodeRefused},
		{"type OPT", question(dns.TypeOPT, nil), dns.RcodeFormatError},
		{"type TSIG", question(dns.TypeTSIG, nil), dns.RcodeFormatError},
		{"type NXNAME (RFC 9824)", question(128, nil), dns.RcodeFormatError},
		{"type MAILB", question(dns.TypeMAILB, nil), dns.RcodeNotImplemented},
		{"a type nobody knows", question(65280, nil), dns.RcodeSuccess},
		{"type 0", question(0, nil), dns.RcodeSuccess},
		{"no question", count(4, 0), dns.RcodeFormatError},
		{"two questions", count(4, 2), dns.RcodeFormatError},
		{"two answers in a question", count(6, 2), dns.RcodeFormatError},
		{"two authority records in a question", count(8, 2), dns.RcodeFormatError},
		{"three additional records in a question", count(10, 3), dns.RcodeFormatError},
		// CoreDNS's own, where BIND says FORMERR: nothing of it comes to a plugin.
		{"a header and nothing else", question(dns.TypeA, nil)[:12], dns.RcodeServerFailure},
		{"a question cut short", question(dns.TypeA, nil)[:20], dns.RcodeFormatError},
		{"a label that points to itself", append(question(dns.TypeA, nil)[:12], 0xc0, 12, 0, 1, 0, 1), dns.RcodeFormatError},
	} {
		for _, network := range []string{"udp", "tcp"} {
			for plugins, addr := range map[string]string{"alone": s.addr, "with chaos": chaos.addr} {
				got := exchange(t, network, addr, c.send)
				if got == nil || !bytes.Equal(got[:2], c.send[:2]) {
					t.Errorf("%s over %s, %s: no answer or one to something else", c.what, network, plugins)
					continue
				}
				if rcode := rcodeOf(got); rcode != c.rcode || got[2]&0x80 == 0 || got[3]&0x80 != 0 {
					t.Errorf("%s over %s, %s: want %s, QR and not RA; got %s\n%s", c.what, network, plugins,
						dns.RcodeToString[c.rcode], dns.RcodeToString[rcode], hex.Dump(got))
				}
			}
		}
	}
	// A response is no question: to answer it would be a loop.
	response := question(dns.TypeA, func(m *dns.Msg) { m.Response = true })
	if got := exchange(t, "udp", s.addr, response, question(dns.TypeSOA, func(m *dns.Msg) { m.Id = 7 })); got == nil || binary.BigEndian.Uint16(got) != 7 {
		t.Errorf("a response was answered: %x", got)
	}
	if got := exchange(t, "udp", s.addr, []byte("too short"), question(dns.TypeSOA, func(m *dns.Msg) { m.Id = 7 })); got == nil || binary.BigEndian.Uint16(got) != 7 {
		t.Errorf("what is shorter than a header was answered: %x", got)
	}
}

// A query over HTTPS does not pass where the others are looked at; the opcode is
// looked at all the same.
func TestUPDATEOverHTTPSIsRefused(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	dir := t.TempDir()
	_, pool := certificate(t, dir)
	s := start(t, strings.Replace(block("endpoint "+w.etcd.Endpoint(), "tls "+dir+"/client.crt "+dir+"/client.key"), ".:{port}", "https://.:{port}", 1))
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	post := func(m *dns.Msg) (status int, body []byte) {
		t.Helper()
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Post("https://"+s.addr+"/dns-query", "application/dns-message", bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err = io.ReadAll(resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, body
	}
	query := new(dns.Msg)
	query.SetQuestion("ns1.example.org.", dns.TypeA)
	eventually(t, func() bool {
		r := new(dns.Msg)
		_, body := post(query)
		return r.Unpack(body) == nil && line(r) == "NOERROR 192.0.2.53"
	}, func() string { return "no answer over HTTPS" })
	update := new(dns.Msg)
	update.SetUpdate("example.org.")
	if status, body := post(update); status != http.StatusBadRequest {
		t.Errorf("UPDATE over HTTPS: %d %x", status, body)
	}
}

// rcodeOf is the rcode in the header with the upper part in the OPT record, which
// is last here.
func rcodeOf(msg []byte) int {
	m := new(dns.Msg)
	if m.Unpack(msg) == nil {
		return m.Rcode
	}
	return int(msg[3] & 0xf)
}

// exchange sends messages and gives the first that comes back, nil when none does.
func exchange(t *testing.T, network, addr string, messages ...[]byte) []byte {
	t.Helper()
	conn, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if network == "tcp" {
			m = append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...)
		}
		if _, err := conn.Write(m); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 65536)
	if network == "udp" {
		n, err := conn.Read(buf)
		if err != nil {
			return nil
		}
		return buf[:n]
	}
	if _, err := io.ReadFull(conn, buf[:2]); err != nil {
		return nil
	}
	n := binary.BigEndian.Uint16(buf)
	if _, err := io.ReadFull(conn, buf[:n]); err != nil {
		return nil
	}
	return buf[:n]
}
