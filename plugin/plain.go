package signpost

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/coredns/coredns/plugin/metrics/vars"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"signpost/internal/model"
	"signpost/internal/zone"
	"signpost/plugin/batch"
)

// plain answers the questions that are asked most straight in their wire form, as the
// chain of plugins would to the octet, and leaves all others to it:
//
//	a packet that is                                      is
//	QUERY of one question and nothing else but one OPT
//	  of version 0 with no option but COOKIE and PADDING  looked at further
//	  for a name of our zones, while there is a view        further
//	    with an answer that AppendPlain gives                 further
//	      which fits the client's buffer uncompressed           answered
//	any other                                             left
//
// The options are those that CoreDNS reads without a look and does not return.
type plain struct {
	s       *Signpost
	server  string       // its address, as in metrics
	zones   []model.Name // of the directive, as far as the server block has them
	bufsize int          // what the bufsize plugin allows; 0: there is none
	shuffle bool         // loadbalance shuffles answers of several records
	minimal bool         // minimal takes the SOA from a CNAME whose target has no such data
	metrics *blockMetrics
}

const (
	header                = 12
	optSize               = 11 // an OPT record without options
	flagsQR               = 0x80
	flagsTC               = 0x02
	flagsAA               = 0x04
	flagsRD               = 0x01
	flagsCD               = 0x10
	opcode                = 0x78
	unsplit               = 1220 // CoreDNS compresses what is longer, over IPv6
	optCookie, optPadding = 10, 12
)

// worker is the part of plain that one goroutine has for itself.
type worker struct {
	*plain
	question zone.Question
	tally    tally
	observed *observed // nil: the block has no prometheus

	packets, answered     int           // of a batch
	now                   time.Duration // when it began, for the limit
	batches, fast, others prometheus.Counter
}

func (p *plain) worker() batch.Worker {
	w := &worker{
		plain: p, batches: batchesTotal.WithLabelValues(p.server),
		fast: batchPackets.WithLabelValues(p.server, "answer"), others: batchPackets.WithLabelValues(p.server, "chain"),
	}
	if p.metrics != nil {
		w.observed = p.metrics.observed()
	}
	return w
}

// Begin implements batch.Worker.
func (w *worker) Begin(packets int) {
	w.packets, w.answered = packets, 0
	if w.s.limit != nil {
		w.now = w.s.limit.now()
	}
	if w.observed != nil {
		w.observed.begin()
	}
}

// End implements batch.Worker.
func (w *worker) End() {
	w.batches.Inc()
	w.fast.Add(float64(w.answered))
	w.others.Add(float64(w.packets - w.answered))
	w.tally.flush(&w.s.counts, w.server)
	if w.observed != nil {
		w.observed.flush()
	}
}

// Answer implements batch.Worker. A packet at which it panics is left to the chain, as
// CoreDNS survives its plugins: there is nobody else to recover in a socket's goroutine.
func (w *worker) Answer(query, reply []byte, from netip.Addr) (n int) {
	defer func() {
		if r := recover(); r != nil {
			log.Errorf("listen batch: recovered from a panic: %v", r)
			vars.Panic.Inc()
			n = 0
		}
	}()
	return w.answer(query, reply, from)
}

func (w *worker) answer(query, reply []byte, from netip.Addr) int {
	view := w.s.reader.view.Load()
	if view == nil || len(query) < header || query[2]&(flagsQR|opcode) != 0 || !oneQuestion(query) {
		return 0
	}
	n, ok := w.question.Read(query[header:])
	if !ok {
		return 0
	}
	e, ok := readEDNS(query[header+n:], query[11] == 1)
	if !ok {
		return 0
	}
	z := view.FindPlain(&w.question)
	if z == nil || !w.serves(z.Name()) {
		return 0
	}
	b := append(reply[:0], query[:header+n]...)
	b, sections, ok := z.AppendPlain(b, &w.question, draw(z))
	if !ok || sections.Answer > 1 && w.shuffle || sections.Answer > 0 && sections.Authority > 0 && w.minimal || sections.Rcode != dns.RcodeSuccess && len(w.s.fall.Zones) > 0 {
		return 0
	}
	size := len(b)
	if b = e.reply(b, w.bufsize); len(b) > min(e.room(w.bufsize), unsplit) {
		return 0
	}
	b[2] = flagsQR | flagsAA | query[2]&flagsRD
	b[3] = query[3]&flagsCD | byte(sections.Rcode)
	binary.BigEndian.PutUint16(b[6:], uint16(sections.Answer))
	binary.BigEndian.PutUint16(b[8:], uint16(sections.Authority))
	w.answered++
	if w.s.limit != nil {
		switch w.s.limit.decideFor(from, w.now, w.server) {
		case drop:
			w.observe(z, dns.RcodeSuccess, e.do(), from, len(query), 0)
			return -1
		case slip:
			w.observe(z, dns.RcodeSuccess, e.do(), from, len(query), header+n)
			return len(e.slipped(reply, query, header+n, w.bufsize))
		}
	}
	w.tally.add(&w.s.counts, w.server, z.Name(), sections.Rcode)
	w.observe(z, sections.Rcode, e.do(), from, len(query), size)
	return len(b)
}

// observe counts what prometheus does; an answer of size 0 was not sent.
func (w *worker) observe(z *zone.Zone, rcode int, do bool, from netip.Addr, asked, answer int) {
	if w.observed != nil {
		w.observed.add(w.question.Name(), z.Name(), w.question.Type, rcode, do, from.Is4(), asked, answer)
	}
}

// oneQuestion reports whether the header counts one question, and at most one
// additional record.
func oneQuestion(query []byte) bool {
	return binary.BigEndian.Uint64(query[4:])&^1 == 1<<48
}

// serves reports whether a zone is one to answer from.
func (p *plain) serves(z model.Name) bool {
	for _, in := range p.zones {
		if z.In(in) {
			return true
		}
	}
	return false
}

// ednsOf is what of a query's OPT record (RFC 6891 section 6.1) makes its reply.
type ednsOf struct {
	there bool
	size  uint16
	flags byte // DO, and seven that mean nothing
}

// readEDNS reads what follows the question. ok is false where it is not just one plain
// OPT, or nothing, as the header says.
func readEDNS(b []byte, there bool) (e ednsOf, ok bool) {
	if !there {
		return e, len(b) == 0
	}
	if len(b) < optSize || b[0] != 0 || binary.BigEndian.Uint16(b[1:]) != dns.TypeOPT || b[6] != 0 ||
		int(binary.BigEndian.Uint16(b[9:])) != len(b)-optSize {
		return e, false
	}
	for options := b[optSize:]; len(options) > 0; {
		if len(options) < 4 {
			return e, false
		}
		code, length := binary.BigEndian.Uint16(options), int(binary.BigEndian.Uint16(options[2:]))
		if code != optCookie && code != optPadding || len(options) < 4+length {
			return e, false
		}
		options = options[4+length:]
	}
	return ednsOf{true, binary.BigEndian.Uint16(b[3:]), b[7]}, true
}

func (e ednsOf) do() bool { return e.flags&0x80 != 0 }

// clamped is the client's buffer as the chain sees it after the bufsize plugin.
func (e ednsOf) clamped(bufsize int) uint16 {
	if bufsize > 0 && int(e.size) > bufsize {
		return uint16(bufsize)
	}
	return e.size
}

// room is how long a reply may be.
func (e ednsOf) room(bufsize int) int { return max(int(e.clamped(bufsize)), dns.MinMsgSize) }

// reply appends the OPT record of the reply, which CoreDNS makes of the query's.
func (e ednsOf) reply(b []byte, bufsize int) []byte {
	if !e.there {
		return b
	}
	b = append(b, 0, 0, byte(dns.TypeOPT))
	b = binary.BigEndian.AppendUint16(b, e.clamped(bufsize))
	return append(b, 0, 0, e.flags, 0, 0, 0)
}

// slipped is the packed form of slipped.
func (e ednsOf) slipped(reply, query []byte, question, bufsize int) []byte {
	b := e.reply(append(reply[:0], query[:question]...), bufsize)
	b[2] = flagsQR | flagsAA | flagsTC | query[2]&flagsRD
	b[3] = query[3] & flagsCD
	return b
}

// tally is the answers of a batch that are not counted yet: nearly all are of one
// zone.
type tally struct {
	zone model.Name
	n    [16]uint32 // by rcode
	any  bool
}

func (t *tally) add(c *counts, server string, zone model.Name, rcode int) {
	if t.zone != zone {
		t.flush(c, server)
		t.zone = zone
	}
	t.n[rcode&15]++
	t.any = true
}

func (t *tally) flush(c *counts, server string) {
	if !t.any {
		return
	}
	t.any = false
	for rcode, n := range t.n {
		if n > 0 {
			c.addMany(server, t.zone, rcode, float64(n))
			t.n[rcode] = 0
		}
	}
}
