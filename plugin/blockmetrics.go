package signpost

import (
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/metrics"
	"github.com/coredns/coredns/plugin/metrics/vars"
	"github.com/coredns/coredns/plugin/pkg/rcode"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"signpost/internal/model"
)

// blockMetrics is what the prometheus plugin of a server block counts, for answers
// that do not come past it.
type blockMetrics struct {
	server string
	writer string       // the plugin that prometheus names: the one after it
	zones  plugin.Zones // of all blocks with prometheus, as it labels by them
	finer  bool         // some of these may lie inside a zone of ours: each name is looked up
}

// newBlockMetrics gives nil when the block has no prometheus. ours is where our zones
// lie.
func newBlockMetrics(server string, handler plugin.Handler, ours []model.Name) *blockMetrics {
	m, ok := handler.(*metrics.Metrics)
	if !ok {
		return nil
	}
	b := &blockMetrics{server: server, writer: m.Next.Name(), zones: m.ZoneNames()}
	for _, z := range b.zones {
		for _, in := range ours {
			b.finer = b.finer || model.NameOf(z).Below(in)
		}
	}
	return b
}

func (m *blockMetrics) label(name model.Name) string {
	if z := m.zones.Matches(name.String()); z != "" {
		return z
	}
	return "."
}

// observed is one goroutine's share of the counting: counters take what a batch has
// gathered, histograms every answer.
type observed struct {
	*blockMetrics
	began time.Time
	zone  model.Name // the last one, and its label
	label string
	seen  map[series]*seen
	last  *seen
	key   series
}

// series is what makes an answer another one to the prometheus plugin.
type series struct {
	label string
	qtype uint16 // 0 for all that it counts as "other"
	rcode int
	do    bool
	v4    bool
	sent  bool // or held back by the limit
}

type seen struct {
	n                       float64
	requests, replies, dos  prometheus.Counter
	duration, asked, answer prometheus.Observer
}

func (m *blockMetrics) observed() *observed {
	return &observed{blockMetrics: m, seen: map[series]*seen{}}
}

func (o *observed) begin() { o.began = time.Now() }

// add counts an answer; its sizes are without the OPT record, as prometheus sees it.
func (o *observed) add(name, zone model.Name, qtype uint16, rcode int, do, v4 bool, asked, answer int) {
	switch {
	case o.finer:
		o.label = o.blockMetrics.label(name)
	case o.zone != zone:
		o.zone, o.label = zone, o.blockMetrics.label(zone)
	}
	if !monitored[qtype] {
		qtype = 0
	}
	key := series{o.label, qtype, rcode, do, v4, answer > 0}
	if o.last == nil || o.key != key {
		if o.last, o.key = o.seen[key], key; o.last == nil {
			o.last = o.open(key)
			o.seen[key] = o.last
		}
	}
	s := o.last
	s.n++
	s.asked.Observe(float64(asked))
	s.answer.Observe(float64(answer))
}

// flush hands on what a batch has gathered. All of its answers took the same time:
// from when it was read to now.
func (o *observed) flush() {
	var took float64
	for _, s := range o.seen {
		if s.n == 0 {
			continue
		}
		if took == 0 {
			took = time.Since(o.began).Seconds()
		}
		s.requests.Add(s.n)
		s.replies.Add(s.n)
		if s.dos != nil {
			s.dos.Add(s.n)
		}
		for ; s.n > 0; s.n-- {
			s.duration.Observe(took)
		}
	}
}

func (o *observed) open(k series) *seen {
	qtype, family := "other", "2"
	if k.qtype != 0 {
		qtype = dns.Type(k.qtype).String()
	}
	if k.v4 {
		family = "1"
	}
	writer := o.writer
	if !k.sent {
		writer = "" // nobody
	}
	const view, proto = "", "udp"
	s := &seen{
		requests: vars.RequestCount.WithLabelValues(o.server, k.label, view, proto, family, qtype),
		replies:  vars.ResponseRcode.WithLabelValues(o.server, k.label, view, rcode.ToString(k.rcode), writer),
		duration: vars.RequestDuration.WithLabelValues(o.server, k.label, view),
		asked:    vars.RequestSize.WithLabelValues(o.server, k.label, view, proto),
		answer:   vars.ResponseSize.WithLabelValues(o.server, k.label, view, proto),
	}
	if k.do {
		s.dos = vars.RequestDo.WithLabelValues(o.server, k.label, view)
	}
	return s
}

// monitored is the types that prometheus counts by name; a test holds it to that.
var monitored = func() (t [65536]bool) {
	for _, qtype := range []uint16{dns.TypeAAAA, dns.TypeA, dns.TypeCNAME, dns.TypeDNSKEY, dns.TypeDS, dns.TypeMX, dns.TypeNSEC3, dns.TypeNSEC,
		dns.TypeNS, dns.TypePTR, dns.TypeRRSIG, dns.TypeSOA, dns.TypeSRV, dns.TypeTXT, dns.TypeHTTPS, dns.TypeSVCB} {
		t[qtype] = true
	}
	return t
}()
