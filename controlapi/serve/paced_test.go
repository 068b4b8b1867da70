package serve

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
	"testing/synctest"
)

// framed is a message of so many octets as gRPC sends it.
func framed(n int) []byte {
	b := make([]byte, 5+n)
	binary.BigEndian.PutUint32(b[1:], uint32(n))
	return b
}

// A body is read only so far ahead of its method, however its messages lie in what is
// read at once, and all of it in the end.
func TestABodyIsNotReadFarAheadOfItsMethod(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(seed, 0))
		body, client := io.Pipe()
		rests := 0
		r := pace(&http.Request{Body: body}, func() { rests++ })
		p := bodyOf(r.Context())
		const messages = 500
		sent := 0
		var sizes []int
		for range messages {
			n := []int{0, 1, random.IntN(100), random.IntN(32 << 10), random.IntN(maxBody)}[random.IntN(5)]
			sizes = append(sizes, 5+n)
			sent += 5 + n
		}
		go func() {
			for _, n := range sizes {
				for b := framed(n - 5); len(b) > 0; {
					some := b[:1+random.IntN(len(b))]
					if _, err := client.Write(some); err != nil {
						t.Error(err)
						return
					}
					b = b[len(some):]
				}
			}
			client.Close()
		}()
		read, most := 0, 0
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for buf := make([]byte, 16<<10); ; {
				n, err := r.Body.Read(buf)
				read += n
				if err != nil {
					return
				}
			}
		}()
		took := 0
		for i := 0; i < messages; i++ {
			synctest.Wait()
			most = max(most, read-took)
			if took+sizes[i] > read {
				t.Fatalf("message %d of %d octets is not there: read %d after %d were taken", i, sizes[i], read, took)
			}
			took += sizes[i]
			p.taken()
		}
		<-ended
		if read != sent || p.ahead != 0 {
			t.Errorf("%d of %d octets were read, %d are ahead", read, sent, p.ahead)
		}
		if rests == 0 {
			t.Error("nobody was told that nothing is to be read for a while")
		}
		if most > mostAhead+16<<10 || most < mostAhead {
			t.Errorf("read %d octets ahead, not about %d", most, mostAhead)
		}
	})
}

// A body that nobody takes from does not outlive its call.
func TestAPacedBodyEndsWithItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body, client := io.Pipe()
		r := pace(&http.Request{Body: body}, nil)
		go func() {
			for {
				if _, err := client.Write(framed(1 << 20)); err != nil {
					return
				}
			}
		}()
		ended := make(chan error)
		go func() {
			_, err := io.Copy(io.Discard, r.Body)
			ended <- err
		}()
		synctest.Wait()
		if err := r.Body.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err == nil {
			t.Error("the body came to an end")
		}
	})
}
