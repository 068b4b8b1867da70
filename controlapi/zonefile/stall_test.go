package zonefile_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	"signpost/controlapi/door"
	"signpost/controlapi/serve"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// window is how much an HTTP/2 stream takes that nobody reads (RFC 9113 section 6.9.2).
const window = 65_535

// counted counts what is written to clients.
type counted struct {
	http.ResponseWriter
	octets *atomic.Int64
}

func (c counted) Write(b []byte) (int, error) {
	c.octets.Add(int64(len(b)))
	return c.ResponseWriter.Write(b)
}

func (c counted) Flush() { c.ResponseWriter.(http.Flusher).Flush() }

// A caller who reads nothing of what an import answers holds up neither the import nor
// its claim, and finds the result at the end of what it missed.
func TestAnImportDoesNotWaitForItsReader(t *testing.T) {
	const zone = "vo.example.org"
	s := controltest.Start(t, func(c *controlapi.Config) { c.ImportTell, c.ImportIdle = 10*time.Microsecond, time.Minute })
	s.Zone(zone)
	var octets atomic.Int64
	conn := behind(s, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(counted{w, &octets}, r)
	}, grpc.WithStaticStreamWindowSize(window))
	stream, err := pb.NewZoneServiceClient(conn).ImportZone(s.Admin())
	if err == nil {
		err = stream.Send(&pb.ImportZoneRequest{Name: zone, Replace: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	controltest.WaitUntil(t, "nothing more goes to the caller", func() bool { return octets.Load() > window })
	if err := stream.Send(&pb.ImportZoneRequest{Data: []byte(controltest.Numbered(500, "192.0.2.2"))}); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	controltest.WaitUntil(t, "the import is made and its claim free", func() bool {
		z, err := s.Zones.GetZone(s.Admin(), &pb.GetZoneRequest{Name: zone})
		if err != nil {
			t.Fatal(err)
		}
		return z.Import == nil && s.Sets("n499."+zone) == "A 60 192.0.2.2"
	})
	if _, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: zone, Merge: true}, controltest.Numbered(500, "192.0.2.3")); err != nil {
		t.Errorf("the next import: %v", err)
	}
	reports := 0
	out, err := controltest.LastOf(stream, func(*pb.ImportZoneResponse) { reports++ })
	if err != nil || out.GetAdded() != 500 || reports == 0 {
		t.Errorf("the caller reads at last: %v, %v after %d reports", out, err, reports)
	}
}

// octetsOf counts what is read of a body.
type octetsOf struct {
	io.ReadCloser
	octets *atomic.Int64
}

func (o octetsOf) Read(b []byte) (int, error) {
	n, err := o.ReadCloser.Read(b)
	o.octets.Add(int64(n))
	return n, err
}

// What a client sends is read no further than the method is: 64 MiB to an import that
// waits for an etcd that does not answer.
func TestACallIsNotReadAheadOfItsMethod(t *testing.T) {
	lost, err := store.Open(store.Config{Endpoints: []string{"http://127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer lost.Close()
	s := controltest.Start(t, func(c *controlapi.Config) { c.Store = lost })
	var read atomic.Int64
	conn := behind(s, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r.Body = octetsOf{r.Body, &read}
		next.ServeHTTP(w, r)
	})
	stream, err := pb.NewZoneServiceClient(conn).ImportZone(s.Admin())
	if err != nil {
		t.Fatal(err)
	}
	piece := &pb.ImportZoneRequest{Name: "vo.example.org", Data: []byte(strings.Repeat(";\n", 256<<10))}
	for range 128 {
		if stream.Send(piece) != nil {
			break
		}
	}
	_, err = controltest.LastOf(stream, nil)
	controltest.WantErr(t, err, codes.Unavailable, "")
	if n := read.Load(); n == 0 || n > 4<<20 {
		t.Errorf("%d octets were read for a method that has taken two messages at most", n)
	}
}

// behind is a connection to the service by way of a handler.
func behind(s *controltest.Server, handle func(w http.ResponseWriter, r *http.Request, next http.Handler), options ...grpc.DialOption) *grpc.ClientConn {
	s.T.Helper()
	sv, err := serve.New(serve.Config{Service: s.Service})
	if err != nil {
		s.T.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.T.Fatal(err)
	}
	h := &http.Server{Protocols: door.Protocols(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(w, r, sv.Handler()) })}
	go h.Serve(l)
	s.T.Cleanup(func() { h.Close(); sv.Close() })
	conn, err := grpc.NewClient(l.Addr().String(), append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() { conn.Close() })
	return conn
}
