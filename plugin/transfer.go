package signpost

import (
	"errors"
	"time"

	"github.com/coredns/coredns/plugin/transfer"
	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/zone"
)

const (
	// transferBatch is how many records go to the transfer plugin at a time.
	transferBatch = 500
	// transferPatience is how long it may take to send them before we give up: the
	// plugin may have gone away without a word.
	transferPatience = time.Minute
)

var (
	errNotSynced  = errors.New("the state is not known, or older than max_stale")
	errUnreadable = errors.New("the zone's value in etcd cannot be read")
)

// Transfer implements transfer.Transferer: all of a zone at one revision, or only
// its SOA for who has this serial or a newer one. An IXFR from an older serial gets
// the whole zone (RFC 1995 section 4).
func (s *Signpost) Transfer(name string, serial uint32) (<-chan []dns.RR, error) {
	n, err := model.ParseName(name)
	if err != nil {
		return nil, transfer.ErrNotAuthoritative
	}
	if _, ok := s.within(n); !ok {
		return nil, transfer.ErrNotAuthoritative
	}
	v := s.reader.view.Load()
	if v == nil {
		return nil, errNotSynced
	}
	z := v.Zone(n)
	if z == nil {
		return nil, transfer.ErrNotAuthoritative
	}
	if !z.Readable() {
		return nil, errUnreadable
	}
	if serial != 0 && int32(z.Serial()-serial) <= 0 { // RFC 1982
		only := make(chan []dns.RR, 1)
		only <- []dns.RR{z.SOA()}
		close(only)
		return only, nil
	}
	out := make(chan []dns.RR)
	go feed(out, z)
	return out, nil
}

// feed sends the zone between its two SOAs. When nobody takes it, it ends: without
// the last SOA no secondary takes what it has got for the whole.
func feed(out chan<- []dns.RR, z *zone.Zone) {
	defer close(out)
	patience := time.NewTimer(transferPatience)
	defer patience.Stop()
	send := func(batch []dns.RR) bool {
		patience.Reset(transferPatience)
		select {
		case out <- batch:
			return true
		case <-patience.C:
			return false
		}
	}
	batch := []dns.RR{z.SOA()}
	for rr := range z.Records() {
		if len(batch) == transferBatch {
			if !send(batch) {
				return
			}
			batch = make([]dns.RR, 0, transferBatch)
		}
		batch = append(batch, rr)
	}
	if send(batch) {
		send([]dns.RR{z.SOA()})
	}
}
