package watch_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
)

// events opens the stream over HTTP; next is the next event or sign of life, its
// lines joined by "|".
func events(s *controltest.Server, query, lastID string) (next func() string) {
	s.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	s.T.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/v1/watch"+query, nil)
	if err != nil {
		s.T.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
	req.Header.Set("Accept", "text/event-stream")
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() { resp.Body.Close() })
	if ct := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || ct != "text/event-stream" {
		s.T.Fatalf("%d %s", resp.StatusCode, ct)
	}
	lines := bufio.NewScanner(resp.Body)
	return func() string {
		var event []string
		for lines.Scan() {
			if lines.Text() == "" {
				return strings.Join(event, "|")
			}
			event = append(event, lines.Text())
		}
		return "the end"
	}
}

// news is the next event that is no sign of life.
func news(next func() string) string {
	event := next()
	for strings.HasPrefix(event, ": heartbeat|id: ") {
		event = next()
	}
	return event
}

func TestServerSentEventsAreResumedByTheirId(t *testing.T) {
	s := controltest.Start(t, func(c *controlapi.Config) { c.Heartbeat = 100 * time.Millisecond })
	s.Zone("vo.example.org")
	next := events(s, "?kinds=host,record&fqdn=vo.example.org", "")
	if first := next(); !strings.HasPrefix(first, ": heartbeat|id: ") {
		t.Errorf("%s", first)
	}
	s.Host("www.vo.example.org", "192.0.2.1")
	var id int64
	var data string
	event := news(next)
	if _, err := fmt.Sscanf(event, "id: %d|data: %s", &id, &data); err != nil || !strings.Contains(event, `"hostNow":{"fqdn":"www.vo.example.org"`) {
		t.Fatalf("%s: %v", event, err)
	}
	rev := s.SetAddress("www.vo.example.org", "192.0.2.2")
	// The header counts more than the query, which the client began with.
	next = events(s, "?kinds=host&from_revision=1", fmt.Sprint(id))
	if event := news(next); !strings.HasPrefix(event, fmt.Sprintf(`id: %d|data: {"revision":"%d","events":[{"kind":"host","what":"changed"`, rev, rev)) {
		t.Errorf("%s", event)
	}
	s.Service.EndStreams()
	if event := news(next); !strings.HasPrefix(event, `event: end|data: {"code":14,"message":"watch: the server is stopping; resume from revision `) {
		t.Errorf("%s", event)
	}
	if event := next(); event != "the end" {
		t.Errorf("%s after the end", event)
	}
}

func TestAStreamOverHTTPIsRefusedAsEverythingIs(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	admin := "Bearer " + s.Token
	for _, c := range []struct {
		query, auth, accept string
		code                int
		says                string
	}{
		{"", "", "", 401, "no credential"},
		{"", admin, "application/json", 406, "text/event-stream only"},
		{"?kinds=nothing", admin, "*/*", 400, "kinds"},
		{"?fqdn=a..b", admin, "", 400, "fqdn"},
		{"?from_revision=x", admin, "", 400, "is no revision"},
		{"?since=1", admin, "", 400, "no such query parameter"},
	} {
		headers := []string{}
		if c.accept != "" {
			headers = []string{"Accept", c.accept}
		}
		if code, body := s.Call("GET", "/v1/watch"+c.query, c.auth, "", headers...); code != c.code || !strings.Contains(body, c.says) {
			t.Errorf("%+v: %d %s", c, code, body)
		}
	}
}
