package call

import (
	"context"
	"time"

	"signpost/controlapi/visibility"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// mostWait is how long a change waits at most until name servers show it.
const mostWait = 10 * time.Second

// await fills in who serves the change, when the caller wants to wait for that. A
// change that wrote nothing that DNS shows is not waited for.
func (c *Call) await(p *Plan, ch *pb.Change) {
	if !c.Caller.WaitVisible || !ch.Changed {
		return
	}
	wait := c.Caller.WaitTimeout
	if wait <= 0 || wait > mostWait {
		wait = mostWait
	}
	ctx, cancel := context.WithTimeout(c.Ctx, wait)
	defer cancel()
	asking, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(c.Desk.Stopping, stop)()
	var q visibility.Question
	var servers []visibility.Server
	err := c.Desk.Store.Read(ctx, func(tx *store.Tx) error {
		var err error
		switch {
		case p != nil && p.Gone:
			q, servers, err = visibility.Question{Zone: p.Changed.Name, Gone: true}, c.Desk.NameServers, nil
			return err
		case p != nil && p.Changed != nil:
			q, servers, err = c.Desk.NameServers.About(tx, p.Changed.Name)
		default:
			q, servers, err = c.Desk.NameServers.About(tx, c.Resource.Name)
		}
		return err
	})
	if err != nil || !q.Gone && q.Revision < ch.Revision {
		return // the zone's answers did not change, or cannot be known: the change is made all the same
	}
	q.Serial = q.Base + uint32(ch.Revision)
	ch.Visibility = visibility.Ask(asking, servers, q, true)
}
