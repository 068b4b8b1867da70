package watch_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"signpost/controlapi/controltest"
	"signpost/controlapi/serve"
	pb "signpost/proto/signpost/v1"
)

const slowBody = 100 * time.Millisecond

// A body that does not come is not waited for, by any way in, and changes nothing.
func TestASlowBodyIsRefused(t *testing.T) {
	s := controltest.Start(t)
	addr := controltest.ListenWith(t, serve.Config{Service: s.Service, BodyWithin: slowBody})
	for path, body := range map[string]string{"/v1/zones": `{"name":`, "/v1/zones/slow.example.org:import": "$ORIGIN slow.example.org.\n"} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(60 * time.Second))
		io.WriteString(c, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Type: text/dns\r\nAuthorization: Bearer "+s.Token+"\r\nContent-Length: 1000\r\n\r\n"+body)
		raw, err := io.ReadAll(c)
		if err != nil || !strings.Contains(string(raw), "did not come in time") {
			t.Errorf("%s: %q, %v", path, raw, err)
		}
	}
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+s.Token), 60*time.Second)
	defer cancel()
	stream, err := pb.NewZoneServiceClient(conn).ImportZone(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&pb.ImportZoneRequest{Name: "slow.example.org", Data: []byte("$ORIGIN slow.example.org.\n")}); err != nil {
		t.Fatal(err)
	}
	for err == nil { // it may say how far it is
		_, err = stream.Recv()
	}
	if ctx.Err() != nil || status.Code(err) == codes.OK {
		t.Errorf("over gRPC: %v", err)
	}
	if code, body := s.Call(http.MethodGet, "/v1/zones/slow.example.org", "Bearer "+s.Token, ""); code != http.StatusNotFound {
		t.Errorf("there is a zone: %d %s", code, body)
	}
}

// Pieces that come one by one may take longer together than one of them may.
func TestASteadyImportMayTakeItsTime(t *testing.T) {
	s := controltest.Start(t)
	const within = 2 * time.Second // a piece may be late by three quarters of it, on a busy machine
	addr := controltest.ListenWith(t, serve.Config{Service: s.Service, BodyWithin: within})
	r, w := io.Pipe()
	go func() {
		defer w.Close()
		io.WriteString(w, "$ORIGIN steady.example.org.\n$TTL 60\n@ IN SOA ns1.example.net. a.example.net. 1 7200 900 1209600 60\n@ IN NS ns1.example.net.\n")
		for range 5 {
			time.Sleep(within / 4) // the pace is what is tested
			io.WriteString(w, "www IN A 192.0.2.1\n")
		}
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/v1/zones/steady.example.org:import", r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
	req.Header.Set("Content-Type", "text/dns")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if raw, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || err != nil {
		t.Errorf("%s %s, %v", resp.Status, raw, err)
	}
}
