package control

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"signpost/internal/store/localetcd"
	pb "signpost/proto/signpost/v1"
)

func started(t *testing.T) (s *Server, token string) {
	t.Helper()
	key, file := files(t.TempDir())
	s, err := Start(t.Context(), Config{
		EtcdEndpoints: []string{localetcd.New(t).Endpoint()}, EtcdPrefix: "/signpost",
		HTTPListen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", MasterKeyFile: key, AdminTokenFile: file,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return s, strings.TrimSpace(string(text))
}

// Every metric that the operator's manual and its alerts name is there.
func TestTheMetricsOfTheManualAreThere(t *testing.T) {
	manual, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := started(t)
	named := regexp.MustCompile(`\bsignpost_[a-z_]+`).FindAllString(string(manual), -1)
	if len(named) < 10 {
		t.Fatalf("the manual names %q", named)
	}
	var missing []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); { // etcd is asked after the start
		resp, err := http.Get("http://" + s.AdminAddr() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		missing = nil
		for _, name := range named {
			if !strings.Contains(string(body), "\n"+name) {
				missing = append(missing, name)
			}
		}
		if missing == nil {
			return
		}
	}
	t.Errorf("there is no %q", missing)
}

func TestAnOpenStreamDoesNotHoldUpTheStop(t *testing.T) {
	s, token := started(t)
	conn, err := grpc.NewClient(strings.TrimPrefix(s.URL(), "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+token)
	stream, err := pb.NewWatchServiceClient(conn).Watch(ctx, &pb.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > stopTimeout/2 {
		t.Errorf("it took %s to stop", took)
	}
	if _, err := stream.Recv(); err == nil || !strings.Contains(err.Error(), "the server is stopping; resume from revision ") {
		t.Errorf("%v", err)
	}
}
