package batch

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// generation is a handler that answers with its number: every other packet at once, the
// others later, from a goroutine of its own.
type generation struct {
	number byte
	over   atomic.Bool // it may get nothing any more
	late   sync.WaitGroup
	wrong  atomic.Int64
}

func (g *generation) Worker() Worker { return g }
func (g *generation) Begin(int)      { g.check() }
func (g *generation) End()           { g.check() }

func (g *generation) check() {
	if g.over.Load() {
		g.wrong.Add(1)
	}
}

func (g *generation) Answer(packet, reply []byte, _ netip.Addr) int {
	g.check()
	if packet[0]%2 == 0 {
		return 0
	}
	return copy(reply, append(packet, g.number))
}

func (g *generation) Take(p Packet) {
	g.check()
	g.late.Go(func() {
		if _, err := p.Client.Reply(append(p.Data, g.number)); err != nil {
			g.wrong.Add(1)
		}
	})
}

// Handlers may be swapped, and sockets opened and closed, while packets come: each is
// answered, and none by a handler that was before.
func TestChangesUnderLoadLoseNothing(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	first := base(t, "127.0.0.1:0")
	address := first.LocalAddr().String()
	var all sync.WaitGroup
	all.Go(func() { // as CoreDNS does, until the socket is closed
		buf := make([]byte, MaxPacket)
		for {
			n, from, err := first.ReadFrom(buf)
			if err != nil {
				return
			}
			if _, err := first.WriteTo(append(buf[:n], 0), from); err != nil {
				t.Error(err)
			}
		}
	})

	stop := make(chan struct{})
	var asking sync.WaitGroup
	var asked atomic.Int64
	for id := range 8 {
		c := client(t, first.LocalAddr())
		asking.Go(func() { askOn(t, c, byte(id), stop, &asked) })
	}

	var g *Group
	now := &generation{}
	next := func() *generation {
		return &generation{number: now.number%255 + 1}
	}
	end := func(h *generation) {
		h.over.Store(true)
		h.late.Wait() // all that it took is answered before the sockets go
		if n := h.wrong.Load(); n > 0 {
			t.Errorf("handler %d got packets after its time, or could not answer, %d times", h.number, n)
		}
	}
	changes := map[string]int{}
	for began := time.Now(); time.Since(began) < 1500*time.Millisecond; {
		var err error
		what := []string{"use", "use", "resize", "resize", "close"}[chance.IntN(5)]
		switch {
		case g == nil:
			what, now = "open", next()
			g, err = Open(address, 1+chance.IntN(6), now)
		case what == "use":
			before := now
			now = next()
			g.Use(now)
			end(before)
		case what == "resize":
			err = g.Resize(1 + chance.IntN(6))
		default:
			err = g.Yield()
			end(now)
			if closed := g.Close(); err == nil {
				err = closed
			}
			g = nil
		}
		if err != nil {
			t.Fatal(err)
		}
		changes[what]++
	}
	close(stop)
	asking.Wait()
	if g != nil {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
	first.Close()
	all.Wait()
	t.Logf("%d packets while there were %v", asked.Load(), changes)
	if asked.Load() == 0 || len(changes) < 4 {
		t.Error("that was no load")
	}
}

// askOn sends packets one after another and looks for the reply to each.
func askOn(t *testing.T, c net.Conn, id byte, stop chan struct{}, asked *atomic.Int64) {
	buf := make([]byte, MaxPacket)
	for n := uint32(0); ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		packet := binary.BigEndian.AppendUint32([]byte{byte(n), id}, n)
		if _, err := c.Write(packet); err != nil {
			t.Error(err)
			return
		}
		if err := c.SetReadDeadline(time.Now().Add(60 * time.Second)); err != nil {
			t.Error(err)
			return
		}
		got, err := c.Read(buf)
		if err != nil || got != len(packet)+1 || string(buf[:got-1]) != string(packet) {
			t.Error("client " + strconv.Itoa(int(id)) + " got no reply to packet " + strconv.Itoa(int(n)))
			return
		}
		asked.Add(1)
	}
}
