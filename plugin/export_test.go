package signpost

import (
	"net"
	"time"

	"github.com/miekg/dns"
	promdto "github.com/prometheus/client_model/go"

	"signpost/internal/model"
	"signpost/internal/zone"
	"signpost/plugin/batch"
)

// Show makes every running directive answer from v, as if etcd had said so.
func Show(v *zone.View) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	for _, r := range shared.replicas {
		r.publish(v, time.Now(), 1, true)
	}
}

// Replicas is how many replicas run.
func Replicas() int {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	return len(shared.replicas)
}

// Over is a directive for all names that answers from v and follows nothing.
func Over(v *zone.View) *Signpost {
	s := &Signpost{zones: []model.Name{model.Root}, reader: &reader{}}
	s.reader.view.Store(v)
	return s
}

// BatchWorker is what answers plain questions that come to an address in batches; nil
// when none does.
func BatchWorker(address string) batch.Worker {
	fronts.mu.Lock()
	defer fronts.mu.Unlock()
	if l := fronts.groups[address]; l != nil {
		return l.handler.Worker()
	}
	return nil
}

// BrokenWorker panics at every question.
func BrokenWorker() batch.Worker { return (&plain{s: &Signpost{}}).worker() }

// Waiting is how many fronts belong to a Corefile that is not in use yet.
func Waiting() int {
	fronts.mu.Lock()
	defer fronts.mu.Unlock()
	return len(fronts.waiting)
}

// BatchSockets is how many sockets read an address in batches.
func BatchSockets(address string) int {
	fronts.mu.Lock()
	defer fronts.mu.Unlock()
	if l := fronts.groups[address]; l != nil {
		return l.Size()
	}
	return 0
}

// BatchPackets is how many packets of an address were answered at once, and left.
func BatchPackets(address string) (answered, left float64) {
	value := func(to string) float64 {
		var m promdto.Metric
		_ = batchPackets.WithLabelValues("dns://"+address, to).Write(&m)
		return m.GetCounter().GetValue()
	}
	return value("answer"), value("chain")
}

// LimitTo gives what becomes of answers to these addresses, one after another, over a
// limit: "send", "drop" or "slip".
func LimitTo(rate int) func(net.Addr) string {
	l := newLimiter(rate)
	return func(to net.Addr) string {
		return []string{send: "send", drop: "drop", slip: "slip"}[l.decide(to, "limit test")]
	}
}

// Unfit is why a plugin does not go with batches; empty: it does.
func Unfit(name string) string { return unfit(name) }

// Monitored is the types that we count by name.
func Monitored() map[string]bool {
	out := map[string]bool{}
	for qtype, yes := range monitored {
		if yes {
			out[dns.TypeToString[uint16(qtype)]] = true
		}
	}
	return out
}
