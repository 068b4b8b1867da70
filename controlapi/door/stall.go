package door

import (
	"net/http"
	"time"
)

// stallGuard ends an answer of HTTP/2 whose reader takes nothing of it for too long. There
// a connection that takes all that comes may have hundreds of calls that take nothing, by
// windows that the client does not open, and each would be kept as long as the connection.
// HTTP/1 has no such windows: conn sees to it there.
type stallGuard struct {
	http.ResponseWriter
	control *http.ResponseController
	within  time.Duration
}

// guard gives what to answer by; end is to be called when the handler has returned.
func guard(w http.ResponseWriter, within time.Duration) (g *stallGuard, end func()) {
	g = &stallGuard{w, http.NewResponseController(w), within}
	return g, g.arm // for what is written after the handler
}

// Write gives the reader as long for each piece, as conn does.
func (g *stallGuard) Write(b []byte) (n int, err error) {
	defer g.disarm()
	for first := true; first || len(b) > 0; first = false {
		g.arm()
		some := b[:min(len(b), piece)]
		m, err := g.ResponseWriter.Write(some)
		n += m
		if err != nil {
			return n, err
		}
		b = b[len(some):]
	}
	return n, nil
}

// Flush makes this an http.Flusher, which gRPC asks for.
func (g *stallGuard) Flush() {
	g.arm()
	defer g.disarm()
	_ = g.control.Flush() // the next write fails, too
}

func (g *stallGuard) arm() { _ = g.control.SetWriteDeadline(time.Now().Add(g.within)) }

// disarm takes the deadline away: it would end a stream that has nothing to say.
func (g *stallGuard) disarm() { _ = g.control.SetWriteDeadline(time.Time{}) }

// Unwrap is for http.ResponseController.
func (g *stallGuard) Unwrap() http.ResponseWriter { return g.ResponseWriter }
