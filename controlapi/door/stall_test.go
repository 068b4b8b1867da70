package door

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// frame is one of HTTP/2 (RFC 9113 section 4.1).
func frame(kind, flags byte, stream uint32, payload ...byte) string {
	b := append([]byte{0, 0, byte(len(payload)), kind, flags}, binary.BigEndian.AppendUint32(nil, stream)...)
	return string(append(b, payload...))
}

const (
	frameData, frameHeaders, frameReset, frameSettings, framePing = 0, 1, 3, 4, 6
	endStream, endHeaders, ack                                    = 1, 4, 1
)

// withoutWindow asks for / twice on a connection of HTTP/2 that takes no data, and answers
// pings: it is alive. It tells of each stream how it ended.
func withoutWindow(t *testing.T, c net.Conn) map[uint32]byte {
	t.Helper()
	get := []byte{0x82, 0x86, 0x84, 0x41, 1, 'x'} // GET, http, /, and x for the authority
	io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+frame(frameSettings, 0, 0, 0, 4, 0, 0, 0, 0)+
		frame(frameHeaders, endStream|endHeaders, 1, get...)+frame(frameHeaders, endStream|endHeaders, 3, get...))
	ended := map[uint32]byte{}
	for in := bufio.NewReader(c); len(ended) < 2; {
		var h [9]byte
		if _, err := io.ReadFull(in, h[:]); err != nil {
			t.Fatalf("%v, after these streams have ended: %v", err, ended)
		}
		payload := make([]byte, int(h[0])<<16|int(h[1])<<8|int(h[2]))
		if _, err := io.ReadFull(in, payload); err != nil {
			t.Fatal(err)
		}
		stream := binary.BigEndian.Uint32(h[5:])
		switch {
		case h[3] == frameReset:
			ended[stream] = frameReset
		case h[3] == framePing && h[4]&ack == 0:
			io.WriteString(c, frame(framePing, ack, 0, payload...))
		case h[3] == frameData && h[4]&endStream != 0:
			ended[stream] = frameData
		}
	}
	return ended
}

// A connection that is alive and opens no window keeps no calls, neither one that is
// answering nor one whose answer waits to be sent.
func TestAnAnswerThatIsNotTakenIsNotKept(t *testing.T) {
	for name, size := range map[string]int{"small": 10, "large": 1 << 20} {
		returned := make(chan error, 2)
		o := open(t, Limits{Stalled: 50 * time.Millisecond}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, err := w.Write(make([]byte, size))
			returned <- err
		}))
		for stream, how := range withoutWindow(t, o.dial()) {
			if how != frameReset {
				t.Errorf("%s: stream %d is not ended by us", name, stream)
			}
			if err := <-returned; (err != nil) != (size > 1<<16) {
				t.Errorf("%s: the handler wrote with %v", name, err)
			}
		}
	}
}

// A stream that has nothing to say for longer than that goes on.
func TestAQuietStreamIsNotEnded(t *testing.T) {
	const stalled = 500 * time.Millisecond
	o := open(t, Limits{Stalled: stalled}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "a")
		w.(http.Flusher).Flush()
		time.Sleep(4 * stalled) // what is tested is that this passes
		io.WriteString(w, "b")
	}))
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	client := http.Client{Transport: &http.Transport{Protocols: p}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + o.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if raw, err := io.ReadAll(resp.Body); string(raw) != "ab" || err != nil {
		t.Errorf("%q, %v", raw, err)
	}
}

// Where a request says its length twice, in two ways, what follows is no other request: a
// proxy that believes the other way would have let it pass as a body.
func TestNothingFollowsARequestThatIsChunked(t *testing.T) {
	asked := make(chan string, 9)
	o := open(t, Limits{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		asked <- r.URL.Path
	}))
	c := o.dial()
	const hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
	io.WriteString(c, "POST /first HTTP/1.1\r\nHost: x\r\nContent-Length: 38\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+hidden)
	if got := closed(t, c, "a chunked request"); strings.Count(got, "HTTP/1.1 ") != 1 {
		t.Errorf("answered %q", got)
	}
	if n := len(asked); n != 1 {
		t.Errorf("%d requests were served", n)
	}
}

// Who reads slowly is not one who has stopped, however much is written at once.
func TestASlowReaderOfHTTP2GetsItAll(t *testing.T) {
	const size, stalled = 32 << 20, 2 * time.Second // far more than the client's window
	o := open(t, Limits{Stalled: stalled}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, size)) }))
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	client := http.Client{Transport: &http.Transport{Protocols: p}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + o.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	began, got := time.Now(), 0
	for err == nil {
		var n int
		n, err = io.ReadAtLeast(resp.Body, make([]byte, 256<<10), 1)
		got += n
		time.Sleep(40 * time.Millisecond) // it is slow
	}
	if got != size || err != io.EOF || time.Since(began) < stalled {
		t.Errorf("%d octets in %s, then %v", got, time.Since(began), err)
	}
}
