package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// far is the far side of an outbox on injected time: what came, and what it says to a
// message.
type far struct {
	mu   sync.Mutex
	came []string
	says func(Message) error
	took time.Duration
	reg  *prometheus.Registry // of the outbox
}

func (f *far) post(ctx context.Context, m Message) error {
	select {
	case <-time.After(f.took):
	case <-ctx.Done():
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.says != nil {
		if err := f.says(m); err != nil {
			return err
		}
	}
	f.came = append(f.came, m.ID)
	return nil
}

func (f *far) got() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.came, " ")
}

func (f *far) answers(says func(Message) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.says = says
}

func outbox(t *testing.T, f *far) *Outbox {
	t.Helper()
	reg := prometheus.NewRegistry()
	m, err := NewMetrics(reg)
	if err != nil {
		t.Fatal(err)
	}
	f.reg = reg
	return &Outbox{
		post: f.post, log: slog.New(slog.DiscardHandler), counts: m.of("ops"), giveUp: time.Hour,
		pause: func(tries int) time.Duration { return time.Second << (tries - 1) }, wake: make(chan struct{}, 1),
		instead: func(rev int64) Message { return Message{ID: "gap", Revision: rev} },
	}
}

func message(order string, n int) Message {
	return Message{ID: fmt.Sprint(order, n), Order: order, Revision: int64(n)}
}

// value is what a metric of the outbox shows.
func (f *far) value(name string) (v int) {
	all, err := f.reg.Gather()
	if err != nil {
		panic(err)
	}
	for _, family := range all {
		for _, m := range family.GetMetric() {
			labels := ""
			for _, l := range m.GetLabel() {
				if l.GetName() == "outcome" {
					labels = l.GetValue()
				}
			}
			if family.GetName() == "signpost_webhook_"+name || labels == name {
				v = int(m.GetCounter().GetValue() + m.GetGauge().GetValue())
			}
		}
	}
	return v
}

func (f *far) count() string {
	return fmt.Sprint(f.value("sent"), " sent ", f.value("failed"), " failed ", f.value("dropped"), " dropped ", f.value("retries_total"), " again ", f.value("queue"), " wait")
}

var errDown = errors.New("it answers 503")

func TestMessagesOfAHostGoOutInOrderAndNoHostWaitsForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{says: func(m Message) error {
			if m.Order == "a" {
				return errDown
			}
			return nil
		}}
		o := outbox(t, f)
		ctx, end := context.WithCancel(t.Context())
		defer end()
		go o.Run(ctx)
		for n := 1; n <= 3; n++ {
			o.Add(message("a", n))
			o.Add(message("b", n))
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if f.got() != "b1 b2 b3" || o.Through(9) != 0 {
			t.Errorf("%s, through %d", f.got(), o.Through(9))
		}
		f.answers(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if f.got() != "b1 b2 b3 a1 a2 a3" || o.Through(9) != 9 {
			t.Errorf("%s, through %d", f.got(), o.Through(9))
		}
		if got := f.count(); got != "6 sent 0 failed 0 dropped 4 again 0 wait" {
			t.Error(got)
		}
	})
}

func TestAMessageIsGivenUpWhenItWouldBeRefusedAgainOrIsTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{says: func(m Message) error {
			switch m.ID {
			case "a1":
				return finalError{errors.New("it answers 400")}
			case "b1":
				return errDown
			}
			return nil
		}}
		o := outbox(t, f)
		ctx, end := context.WithCancel(t.Context())
		defer end()
		go o.Run(ctx)
		for _, m := range []Message{message("a", 1), message("a", 2), message("b", 1), message("b", 2)} {
			o.Add(m)
		}
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		if f.got() != "a2" || o.Through(9) != 0 {
			t.Errorf("%s, through %d", f.got(), o.Through(9))
		}
		time.Sleep(80 * time.Minute)
		synctest.Wait()
		if f.got() != "a2 b2" || o.Through(9) != 9 || !strings.HasPrefix(f.count(), "2 sent 2 failed 0 dropped") {
			t.Errorf("%s, %s", f.got(), f.count())
		}
	})
}

func TestADeadReceiverKeepsABoundedNumberAndIsToldThatSomeAreMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{took: 5 * time.Second, says: func(Message) error { return errDown }}
		o := outbox(t, f)
		ctx, end := context.WithCancel(t.Context())
		defer end()
		go o.Run(ctx)
		began := time.Now()
		for n := 1; n <= mostWaiting+500; n++ {
			o.Add(message(fmt.Sprint("h", n%300, "-"), n))
			synctest.Wait()
		}
		if took := time.Since(began); took != 0 { // of a clock that only moves when somebody waits
			t.Errorf("whoever puts messages in waited for %s", took)
		}
		if waiting := f.value("queue"); waiting > mostWaiting+1 {
			t.Errorf("%d wait", waiting)
		}
		f.answers(nil)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		got := strings.Fields(f.got())
		gaps := strings.Count(f.got(), "gap")
		last := map[string]string{}
		for _, id := range got {
			order, _, _ := strings.Cut(id, "-")
			if id != "gap" && len(last[order]) == len(id) && last[order] >= id {
				t.Errorf("%s after %s", id, last[order])
			}
			last[order] = id
		}
		if gaps != 1 || !strings.Contains(f.got(), fmt.Sprint("-", mostWaiting+500)) || o.Through(9999) != 9999 {
			t.Errorf("%d gaps, %d came, through %d", gaps, len(got), o.Through(9999))
		}
		if dropped := f.value("dropped"); dropped+len(got)-gaps != mostWaiting+500 {
			t.Errorf("%d dropped and %d came", dropped, len(got))
		}
	})
}

func TestWhatIsOnItsWayAtTheEndHasALittleMoreTime(t *testing.T) {
	for _, c := range []struct {
		took, end time.Duration
		sent      string
		through   int64
	}{{time.Second, time.Second, "a1", 9}, {time.Minute, lastWithin, "", 0}} {
		synctest.Test(t, func(t *testing.T) {
			f := &far{took: c.took}
			o := outbox(t, f)
			ctx, end := context.WithCancel(t.Context())
			o.Add(message("a", 1))
			done := make(chan struct{})
			go func() { o.Run(ctx); close(done) }()
			synctest.Wait()
			began := time.Now()
			end()
			<-done
			if took := time.Since(began); took != c.end || f.got() != c.sent || o.Through(9) != c.through {
				t.Errorf("ended after %s with %q sent, through %d", took, f.got(), o.Through(9))
			}
		})
	}
}

func TestPausesGrowToAMinute(t *testing.T) {
	for tries := 1; tries < 100; tries++ {
		most := time.Minute
		if tries <= 6 {
			most = time.Second << (tries - 1)
		}
		if d := pause(tries); d > most || d <= most/2 {
			t.Errorf("after %d tries %s", tries, d)
		}
	}
}
