package signpost_test

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/plugin/metrics/vars"
	"github.com/coredns/coredns/plugin/test"
	"github.com/coredns/coredns/request"
	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	signpost "signpost/plugin"
)

// What is answered in batches is counted as if the prometheus plugin had seen it.
func TestBatchesAreCountedAsTheChainCounts(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	w.zone("example.net")
	w.set("alias.example.org", "CNAME ns1.example.org.")
	measure := func(more string) map[string]string {
		page := httpAddr(t)
		s := startUnstopped(t, block("endpoint "+w.etcd.Endpoint()+more, "prometheus "+page, "errors"))
		s.says(t, "ns1.example.net", "A", "NOERROR 192.0.2.53")
		s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
		begin := countedAll(t, page, s.addr, float64(s.sent.Load()))
		conn, asked := dial(t, s.addr), 0
		for _, name := range []string{"ns1.example.org.", "ns1.example.net.", "nobody.example.org.", "alias.example.org."} {
			for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeTXT, dns.TypeCAA, dns.TypeNS} {
				for _, packet := range variants(t, dns.Question{Name: name, Qtype: qtype, Qclass: dns.ClassINET}) {
					if asked++; swap(t, conn, packet) == nil {
						t.Fatal("no answer")
					}
				}
			}
		}
		now := countedAll(t, page, s.addr, replies(begin)+float64(asked))
		if answered, _ := signpost.BatchPackets(s.addr); more != "" && answered < float64(asked)/2 {
			t.Errorf("only %.0f of %d packets were answered at once", answered, asked)
		}
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		grown := map[string]string{}
		for series, n := range now {
			if !strings.Contains(series, "duration_seconds_bucket") && !strings.Contains(series, "_sum") && n != begin[series] {
				grown[series] = strconv.FormatFloat(n-begin[series], 'g', -1, 64)
			}
		}
		return grown
	}
	batches, chain := measure("\nlisten batch 1"), measure("")
	if diff := cmp.Diff(chain, batches); diff != "" || len(chain) < 20 {
		t.Errorf("of %d series of the chain these differ (- chain, + batches):\n%s", len(chain), diff)
	}
}

// What the limit holds back was asked nevertheless.
func TestBatchesOverTheLimitAreCountedAsTheChainCounts(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	measure := func(more string) map[string]bool {
		page := httpAddr(t)
		s := start(t, block("endpoint "+w.etcd.Endpoint()+"\nlimit 1"+more, "prometheus "+page))
		eventually(t, func() bool { return line(s.ask(t, "tcp", "ns1.example.org", "A")) == "NOERROR 192.0.2.53" }, func() string { return "no answer over TCP" })
		conn, q := dial(t, s.addr), pack(t, new(dns.Msg).SetQuestion("ns1.example.org.", dns.TypeA))
		const asked = 20
		for range asked {
			if _, err := conn.Write(q); err != nil {
				t.Fatal(err)
			}
		}
		series := map[string]bool{}
		for name := range countedAll(t, page, s.addr, float64(s.sent.Load()+asked)) {
			if !strings.Contains(name, "_seconds_bucket") && !strings.Contains(name, "SERVFAIL") { // of before the state
				series[name] = true
			}
		}
		return series
	}
	batches, chain := measure("\nlisten batch 1"), measure("")
	if diff := cmp.Diff(chain, batches); diff != "" {
		t.Errorf("the series differ (- chain, + batches):\n%s", diff)
	}
}

// countedAll is counted once so many replies are: they are counted after they were
// sent, in their last series last, and a page is not made in one moment.
func countedAll(t *testing.T, page, addr string, want float64) map[string]float64 {
	t.Helper()
	var n float64
	eventually(t, func() bool { n = replies(counted(t, page, addr)); return n >= want }, func() string {
		return fmt.Sprintf("%v of %v replies are counted", n, want)
	})
	return counted(t, page, addr)
}

func replies(series map[string]float64) (n float64) {
	for name, v := range series {
		if strings.HasPrefix(name, "responses_total{") {
			n += v
		}
	}
	return n
}

// counted is CoreDNS's series of a server, with its address left out.
func counted(t *testing.T, page, addr string) map[string]float64 {
	t.Helper()
	_, body := get(t, "http://"+page+"/metrics")
	out := map[string]float64{}
	for text := range strings.Lines(body) {
		series, value, ok := strings.Cut(strings.TrimSpace(text), "} ")
		if !ok || !strings.HasPrefix(series, "coredns_dns_") && !strings.HasPrefix(series, "coredns_signpost_answers") || !strings.Contains(series, "dns://"+addr+`"`) {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.NewReplacer("coredns_dns_", "", "dns://"+addr, "").Replace(series)+"}"] = n
	}
	return out
}

func TestTypesAreCountedAsPrometheusNamesThem(t *testing.T) {
	for qtype := range 65536 {
		m := new(dns.Msg).SetQuestion("example.org.", uint16(qtype))
		vars.Report("types", request.Request{Req: m, W: &test.ResponseWriter{}}, "z", "", "NOERROR", "p", 0, time.Now())
	}
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, f := range families {
		if f.GetName() != "coredns_dns_requests_total" {
			continue
		}
		for _, m := range f.Metric {
			labels := map[string]string{}
			for _, l := range m.Label {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["server"] == "types" && labels["type"] != "other" {
				named[labels["type"]] = true
			}
		}
	}
	for _, left := range []string{"AXFR", "IXFR", "ANY"} { // no plain questions
		delete(named, left)
	}
	if want := signpost.Monitored(); !maps.Equal(named, want) {
		t.Errorf("prometheus names %v, we %v", named, want)
	}
}
