package signpost

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"

	"signpost/plugin/batch"
)

// fronts is the batched sockets of this process.
//
// On a reload caddy first starts the new instance's servers, which get the old ones'
// sockets, then ends the old instance, then says that the new one stands. So:
//
//	a server of the new instance runs    the open sockets on its address are its front's
//	the old front ends                   those that no other front took leave the filter,
//	                                     are read empty and closed
//	the new instance stands              sockets are opened or closed until there are as
//	                                     many as its front wants
//
// An instance whose servers do not run is never given a packet.
var fronts = frontDesk{groups: map[string]*listening{}}

type frontDesk struct {
	mu      sync.Mutex
	waiting []*front // for their servers
	groups  map[string]*listening
}

// listening is the sockets of one address, and whose they are.
type listening struct {
	*batch.Group
	front   *front
	handler *handler
}

// serverWithin bounds waits for servers, which start and end at once.
const serverWithin = 5 * time.Second

func bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), serverWithin) // caddy's callbacks have no context: the time is all that ends it
}

// await notes that a front's servers are about to be started.
func (d *frontDesk) await(f *front) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting = append(d.waiting, f)
}

// arrive gives a front a server of its own that has started, and the sockets that are
// open on the server's address.
func (d *frontDesk) arrive(f *front, server *dnsserver.Server) {
	address, h := f.handler(server)
	d.mu.Lock()
	defer d.mu.Unlock()
	f.handlers[address] = h
	if l := d.groups[address]; l != nil {
		l.take(f, h)
	}
	if len(f.handlers) == len(f.addresses) {
		d.endWaitLocked(f)
	}
}

func (l *listening) take(f *front, h *handler) {
	l.Use(h)
	l.front, l.handler = f, h
}

// forget drops the fronts of a Corefile that failed to start.
func (d *frontDesk) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range slices.Clone(d.waiting) {
		d.endWaitLocked(f)
	}
}

func (d *frontDesk) endWaitLocked(f *front) {
	if i := slices.Index(d.waiting, f); i >= 0 {
		d.waiting = slices.Delete(d.waiting, i, i+1)
		close(f.here)
	}
}

// open gives the fronts of an instance that stands as many sockets as they want. Where
// that fails CoreDNS's own socket is what is read from.
func (d *frontDesk) open(i *caddy.Instance) {
	i.StorageMu.RLock()
	of, _ := i.Storage[frontsOf{}].([]*front)
	i.StorageMu.RUnlock()
	ctx, cancel := bounded()
	defer cancel()
	for _, f := range of {
		f.complete(ctx)
		d.mu.Lock()
		for address, h := range f.handlers {
			if err := d.giveLocked(address, f, h); err != nil {
				log.Errorf("listen batch: reading one by one on %s: %v", address, err)
			}
		}
		d.mu.Unlock()
	}
}

// complete waits for a front's servers, no longer than ctx.
func (f *front) complete(ctx context.Context) {
	select {
	case <-f.here:
	case <-ctx.Done():
	}
}

func (d *frontDesk) giveLocked(address string, f *front, h *handler) error {
	if l := d.groups[address]; l != nil {
		if l.front != f {
			l.take(f, h)
		}
		return l.Resize(f.sockets)
	}
	g, err := batch.Open(address, f.sockets, h)
	if err == nil {
		d.groups[address] = &listening{g, f, h}
	}
	return err
}

// close ends a front when the one that comes after it has its sockets; those that none
// wants are closed, after what waits in them was answered.
func (d *frontDesk) close(f *front) (err error) {
	ctx, cancel := bounded()
	defer cancel()
	d.mu.Lock()
	d.endWaitLocked(f)
	heirs := slices.DeleteFunc(slices.Clone(d.waiting), func(heir *front) bool {
		return !slices.ContainsFunc(heir.addresses, func(a string) bool { return d.groups[a] != nil && d.groups[a].front == f })
	})
	d.mu.Unlock()
	for _, heir := range heirs {
		heir.complete(ctx)
	}
	d.mu.Lock()
	mine := slices.Collect(maps.Values(f.handlers))
	var unwanted []*listening
	for address, l := range d.groups {
		if l.front == f {
			delete(d.groups, address)
			unwanted = append(unwanted, l)
		}
	}
	d.mu.Unlock()
	for _, l := range unwanted {
		err = errors.Join(err, l.Yield())
	}
	for _, h := range mine {
		h.rest.stop(ctx)
	}
	for _, l := range unwanted { // they were needed for late replies
		err = errors.Join(err, l.Close())
	}
	return err
}
