package store

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"signpost/internal/certs"
	"signpost/internal/certs/certstest"
	"signpost/internal/model"
)

// buffer is a log that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Whoever changes a password in etcd and in its file need not restart us: not who changes
// things, and not who follows them.
func TestAPasswordIsRenewedInPlace(t *testing.T) {
	server, root := guardedEtcd(t)
	log := &buffer{}
	file := filepath.Join(t.TempDir(), "password")
	opened := func(user string) *Store {
		t.Helper()
		word, err := certs.OpenWord("etcd password", file, slog.New(slog.NewTextHandler(log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		s, err := Open(Config{Endpoints: []string{server.Endpoint()}, User: user, Password: word.Get(), PasswordNow: word.Get})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	certstest.Replace(t, file, []byte("control's password\n"))
	control := opened("control")
	initialize(t, control, NewMasterKey())
	createZone(t, control, exampleOrg)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = control.KeepCopy(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	untilCopied(t, control)
	r := following(t, control)
	r.awaitLoads(1)

	password := func(word string) {
		t.Helper()
		if _, err := root.UserChangePassword(t.Context(), "control", word); err != nil {
			t.Fatal(err)
		}
	}
	put := func(what, addr string, want bool) {
		t.Helper()
		for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
			res, err := putHost(ctx, control, exampleOrg, "www.example.org.", addr)
			stop()
			if (err == nil) == want {
				if want {
					r.awaitRevision(res.Revision)
				} else if model.KindOf(err) != model.Unavailable {
					t.Errorf("%s: %v", what, err)
				}
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	put("at first", "192.0.2.1", true)
	password("second")
	put("with the old one in the file", "192.0.2.2", false)
	certstest.Replace(t, file, []byte("second\n"))
	put("after the file was replaced", "192.0.2.3", true)
	certstest.Replace(t, file, []byte(" \n"))
	deadline := time.Now().Add(60 * time.Second)
	for i := 0; !strings.Contains(log.String(), "the new etcd password cannot be used"); i++ {
		if time.Now().After(deadline) {
			t.Fatalf("an empty file is not told of: %s", log)
		}
		password("second") // all tokens are old now
		put("with an empty file", fmt.Sprintf("198.51.100.%d", i%250+1), true)
	}
	certstest.Replace(t, file, []byte("third"))
	password("third")
	put("after it was mended", "192.0.2.5", true)
	if said := log.String(); strings.Count(said, "etcd password renewed") != 2 || strings.Contains(said, "second") || strings.Contains(said, "third") {
		t.Error(said)
	}
}
