package watch

import (
	"context"
	"sync"
	"time"

	"signpost/internal/access"
	"signpost/internal/model"
)

// vouchAgain is how often tokens of open streams are looked at anew; their issuer is
// asked more seldom.
const vouchAgain = 5 * time.Second

// endExpired ends the streams of people whose token has expired. It asks nobody, so
// that no outage makes a stream outlive its token.
func (f *feed) endExpired(ctx context.Context) {
	f.eachTick(ctx, recheckEvery, func(_ string, of []*listener) {
		ends := of[0].credential.User.Expires
		if ends.IsZero() || f.s.Now().Before(ends) {
			return
		}
		for _, l := range of {
			l.cancel(access.Expired())
		}
	})
}

// recheckPeople looks the tokens of streams up anew, for what their issuer has taken
// back and for the groups of now.
func (f *feed) recheckPeople(ctx context.Context) {
	var asked sync.WaitGroup
	defer asked.Wait()
	f.eachTick(ctx, vouchAgain, func(token string, of []*listener) {
		asked.Go(func() { f.recheckToken(ctx, token, of) })
	})
}

func (f *feed) recheckToken(ctx context.Context, token string, of []*listener) {
	who, err := f.s.User(ctx, token)
	for _, l := range of {
		switch {
		case err == nil:
			l.who.Store(who)
		case model.KindOf(err) == model.Unauthenticated:
			l.cancel(err)
		} // else it is an outage, in which there is no news
	}
}

// eachTick calls do again and again for every token that streams were opened with.
func (f *feed) eachTick(ctx context.Context, every time.Duration, do func(token string, of []*listener)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		by := map[string][]*listener{}
		f.mu.Lock()
		for l := range f.streams {
			if l.credential.User != nil {
				by[l.credential.Token] = append(by[l.credential.Token], l)
			}
		}
		f.mu.Unlock()
		for token, of := range by {
			do(token, of)
		}
	}
}
