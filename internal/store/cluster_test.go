package store

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/proc/ports"
	"signpost/internal/store/localetcd"
)

// members is an etcd of three, whose lines to each other can be silenced.
type members struct {
	t       *testing.T
	etcds   [3]*localetcd.Server
	clients [3]*proxy
	mu      sync.Mutex
	moved   *sync.Cond
	away    string // the id of the member whose lines are silent
	done    bool
}

func startMembers(t *testing.T) *members {
	m := &members{t: t}
	m.moved = sync.NewCond(&m.mu)
	t.Cleanup(func() {
		m.mu.Lock()
		m.done = true
		m.mu.Unlock()
		m.moved.Broadcast()
	})
	var cluster []string
	var advertised, listened [3]string
	for i := range m.etcds {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		advertised[i] = "http://" + l.Addr().String()
		listened[i] = freePort(t)
		cluster = append(cluster, fmt.Sprintf("e%d=%s", i, advertised[i]))
		go m.accept(l, i, listened[i])
	}
	var starting sync.WaitGroup
	for i := range m.etcds {
		starting.Go(func() {
			e, err := localetcd.Start(localetcd.Options{UnsafeNoFsync: true, Member: &localetcd.Member{
				Name: fmt.Sprintf("e%d", i), ListenPeer: "http://" + listened[i], AdvertisePeer: advertised[i],
				InitialCluster: strings.Join(cluster, ","),
			}})
			if err != nil {
				t.Error(err)
				return
			}
			m.etcds[i] = e
		})
	}
	starting.Wait()
	t.Cleanup(func() {
		for _, e := range m.etcds {
			if e != nil {
				e.Close()
			}
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	for i, e := range m.etcds {
		m.clients[i] = newProxy(t, e.Addr())
	}
	return m
}

// accept passes on what comes for a member, each connection by the member that it is from.
func (m *members) accept(l net.Listener, to int, target string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			first := make([]byte, 32<<10)
			n, err := c.Read(first)
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", target)
			if err != nil {
				return
			}
			defer s.Close()
			from := memberID(first[:n])
			if !m.pass(from, to) {
				return
			}
			if _, err := s.Write(first[:n]); err != nil {
				return
			}
			go m.pump(s, c, from, to)
			m.pump(c, s, from, to)
		}()
	}
}

// memberID reads who sends a request to a peer.
func memberID(request []byte) string {
	_, rest, _ := bytes.Cut(request, []byte("\r\nX-Server-From: "))
	id, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return string(id)
}

// pass waits while the line is silent.
func (m *members) pass(from string, to int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for !m.done && m.away != "" && (m.away == from || m.away == m.etcds[to].ID()) {
		m.moved.Wait()
	}
	return !m.done
}

func (m *members) pump(from, to net.Conn, id string, member int) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !m.pass(id, member) {
			return
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// isolate silences the lines between a member and the others; "" ends that.
func (m *members) isolate(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = id
	m.moved.Broadcast()
}

func freePort(t *testing.T) string {
	t.Helper()
	p, err := ports.TCP("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", p)
}

// leader waits until there is one among the others than a member.
func (m *members) leader(but string) int {
	m.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for i, e := range m.etcds {
			if e.Leads() && e.ID() != but {
				return i
			}
		}
	}
	m.t.Fatal("no leader")
	return 0
}

// only lets clients reach one member, all: every one.
func (m *members) only(i int) {
	for j, c := range m.clients {
		c.set(false, j != i)
	}
}

func (m *members) all() {
	for _, c := range m.clients {
		c.set(false, false)
	}
}

func (m *members) open() *Store {
	return openOn(m.t, m.clients[0].endpoint(), m.clients[1].endpoint(), m.clients[2].endpoint())
}

// written is acknowledged changes: when, by revision.
type written struct {
	mu   sync.Mutex
	when map[int64]time.Time
}

// write makes changes until ctx is done.
func (w *written) write(ctx context.Context, s *Store) {
	for i := 0; ctx.Err() == nil; i++ {
		try, cancel := context.WithTimeout(ctx, time.Second)
		resp, err := s.client.Txn(try).Then(putName(s, i%200), clientv3.OpPut(s.keys.rev(exampleOrg), newMark())).Commit()
		cancel()
		if err == nil {
			w.mu.Lock()
			w.when[resp.Header.Revision] = time.Now()
			w.mu.Unlock()
		}
		_ = sleep(ctx, 20*time.Millisecond)
	}
}

func (w *written) since(begin time.Time) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range w.when {
		if at.After(begin) {
			n++
		}
	}
	return n
}

// CHAOS rows 1 and 5b: the member that a name server and a control service watch is cut
// off from its peers, though not from them; with the leader it is the same. They attach
// elsewhere within 5 s, and miss no revision that was acknowledged.
func TestAMemberThatIsCutOffIsLeft(t *testing.T) {
	t.Parallel() // it waits for time limits
	m := startMembers(t)
	createZone(t, m.open(), exampleOrg)
	for _, role := range []string{"follower", "leader"} {
		t.Run(role, func(t *testing.T) {
			const bound = 5 * time.Second
			for try := 1; ; try++ { // the bound is of etcd and of us, not of a busy machine
				view, copied := m.cutOff(t, role)
				if view <= bound && copied <= bound {
					return
				}
				if try == 3 {
					t.Fatalf("the view was %v behind, the copy %v away, want %v at most", view, copied, bound)
				}
			}
		})
	}
}

// cutOff silences a member that all watches run over, under changes. It gives for how
// long the view was behind and the copy not at hand.
func (m *members) cutOff(t *testing.T, role string) (view, away time.Duration) {
	member := m.leader("")
	if role == "follower" {
		member = (member + 1) % 3
	}
	writer := openOn(t, m.etcds[(member+1)%3].Endpoint(), m.etcds[(member+2)%3].Endpoint())
	m.only(member) // so that all watches run over it
	s, replica := m.open(), m.open()
	r := &timed{recorder: &recorder{t: t, changed: make(chan struct{})}, came: map[int64]time.Time{}}
	defer followWith(t, replica, FollowOptions{}, r)()
	r.awaitLoads(1)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { _ = s.KeepCopy(ctx) })
	untilCopied(t, s)
	m.all()
	w := &written{when: map[int64]time.Time{}}
	writing, enough := context.WithCancel(ctx)
	var writes sync.WaitGroup
	defer writes.Wait()
	defer enough()
	writes.Go(func() { w.write(writing, writer) })

	cut := time.Now()
	m.isolate(m.etcds[member].ID())
	defer m.isolate("")
	m.leader(m.etcds[member].ID())
	begin, last := time.Now(), cut
	for after := int64(0); after == 0 || r.now().rev <= after || s.copied() == nil; {
		if after == 0 && w.since(begin) > 20 {
			after = slices.Max(w.revisions()) + 20
		}
		try, cancel := context.WithTimeout(ctx, time.Second)
		if c, err := s.caughtUp(try); c != nil && err == nil {
			away, last = max(away, time.Since(last)), time.Now()
		}
		cancel()
		if time.Since(cut) > time.Minute {
			t.Fatal("nobody attached elsewhere")
		}
	}
	away = max(away, time.Since(last))
	enough()
	writes.Wait()
	r.awaitRevision(commit(t, writer, putName(writer, 1))) // after what was given up, and done all the same
	r.mu.Lock()
	for rev, acked := range w.when {
		came, ok := r.came[rev]
		if !ok {
			t.Errorf("revision %d was acknowledged and never came", rev)
		}
		view = max(view, came.Sub(acked))
	}
	r.mu.Unlock()
	t.Logf("a leader after %v, %d changes; the view was at most %v behind, the copy %v away", begin.Sub(cut), len(w.when), view, away)
	if now := r.now(); now.loads != 1 {
		t.Errorf("%d loads: revisions were missed", now.loads)
	}
	r.sameAs(writer)
	return view, away
}

func (w *written) revisions() (out []int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for rev := range w.when {
		out = append(out, rev)
	}
	return out
}

// timed is a recorder that knows when a revision came.
type timed struct {
	*recorder
	came map[int64]time.Time
}

func (r *timed) Next(rev int64, changes []model.Change) {
	r.recorder.Next(rev, changes)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.came[rev] = time.Now()
}
