package controlapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	"signpost/internal/access"
	"signpost/internal/store"
	"signpost/internal/store/localetcd"
	pb "signpost/proto/signpost/v1"
)

// Promise 9: secrets are shown once and stored so that a stolen etcd backup reveals none.
func TestAStolenEtcdHoldsNoSecret(t *testing.T) {
	own := localetcd.New(t)
	st, err := store.Open(store.Config{Endpoints: []string{own.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	key, token := store.NewMasterKey(), access.NewAdminToken()
	parsed, err := access.ParseSecret(token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Initialize(t.Context(), key, "first", parsed.Sum[:], time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	if err := st.UseMasterKeys(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	s := controltest.Start(t, func(c *controlapi.Config) { c.Store = st })
	s.Token = token
	s.Open("vo.example.org")

	secrets := map[string]string{"the master key": key.Text(), "the admin token": token}
	keep := func(what string, ctx context.Context, secret func(context.Context) (string, error)) {
		t.Helper()
		for _, kept := range []bool{false, true} { // with a request id the answer is kept
			name, ctx := what, ctx
			if kept {
				name, ctx = what+" of a call with a request id", metadata.AppendToOutgoingContext(ctx, "request-id", "r-"+what)
			}
			got, err := secret(ctx)
			if err != nil || got == "" {
				t.Fatalf("%s: %q, %v", name, got, err)
			}
			secrets[name] = got
		}
	}
	alice, bob := controltest.Person("egi/alice"), controltest.Person("egi/bob")
	n := 'a'
	keep("a new host's secret", alice, func(ctx context.Context) (string, error) {
		n++
		out, err := s.Hosts.CreateHost(ctx, &pb.CreateHostRequest{Fqdn: string(n) + ".vo.example.org"})
		return out.GetSecret(), err
	})
	keep("a rotated secret", alice, func(ctx context.Context) (string, error) {
		out, err := s.Hosts.RotateSecret(ctx, &pb.RotateSecretRequest{Fqdn: "b.vo.example.org"})
		return out.GetSecret(), err
	})
	keep("an accepted host's secret", bob, func(ctx context.Context) (string, error) {
		if _, err := s.Hosts.TransferHost(s.Admin(), &pb.TransferHostRequest{Fqdn: "c.vo.example.org", To: "egi/alice"}); err == nil {
			if _, err := s.Hosts.AcceptHost(alice, &pb.AcceptHostRequest{Fqdn: "c.vo.example.org"}); err != nil {
				return "", err
			}
		}
		if _, err := s.Hosts.TransferHost(s.Admin(), &pb.TransferHostRequest{Fqdn: "c.vo.example.org", To: "egi/bob"}); err != nil {
			return "", err
		}
		out, err := s.Hosts.AcceptHost(ctx, &pb.AcceptHostRequest{Fqdn: "c.vo.example.org"})
		return out.GetSecret(), err
	})
	if _, err := s.Points.SetEndpoint(bob, &pb.SetEndpointRequest{Fqdn: "c.vo.example.org", Id: "one", Addresses: []string{"192.0.2.1"}}); err != nil {
		t.Fatal(err)
	}
	keep("an endpoint's secret", bob, func(ctx context.Context) (string, error) {
		out, err := s.Points.RotateEndpointSecret(ctx, &pb.RotateEndpointSecretRequest{Fqdn: "c.vo.example.org", Id: "one"})
		return out.GetSecret(), err
	})
	keep("an API token", alice, func(ctx context.Context) (string, error) {
		out, err := s.Tokens.CreateToken(ctx, &pb.CreateTokenRequest{Actions: []string{"*", "grant"}})
		return out.GetSecret(), err
	})
	keep("a token that a token made", controltest.Bearer(secrets["an API token"]), func(ctx context.Context) (string, error) {
		out, err := s.Tokens.CreateToken(ctx, &pb.CreateTokenRequest{})
		return out.GetSecret(), err
	})
	if err := s.UpdateAs(controltest.As("b.vo.example.org", secrets["a rotated secret of a call with a request id"]), "b.vo.example.org", "192.0.2.66"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Points.GetEndpoint(controltest.As("c.vo.example.org/one", secrets["an endpoint's secret of a call with a request id"]), &pb.GetEndpointRequest{Fqdn: "c.vo.example.org", Id: "one"}); err != nil {
		t.Fatal(err)
	}
	s.Service.NoteUses(controltest.Done(t))

	own.Stop()
	stolen := map[string][]byte{}
	err = filepath.WalkDir(own.Dir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		stolen[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	holds := func(text []byte) (where string) {
		for path, raw := range stolen {
			if bytes.Contains(raw, text) {
				where = path
			}
		}
		return where
	}
	if holds([]byte("token/")) == "" || holds([]byte("egi/alice")) == "" || holds(parsed.Sum[:4]) == "" && holds([]byte(hex.EncodeToString(parsed.Sum[:]))) == "" {
		t.Fatalf("what is there is not found in %d files: the search is wrong", len(stolen))
	}
	for what, secret := range secrets {
		// As it is, what it says without its prefix and checksum, and in the usual writings.
		core := secret[len(secret)-len("0123456789012345678901")-6 : len(secret)-6]
		for how, text := range map[string]string{
			"plainly": secret, "in part": core, "in hexadecimal": hex.EncodeToString([]byte(secret)),
			"in base64": base64.StdEncoding.EncodeToString([]byte(core[:21])), "reversed": reversed(secret),
		} {
			if where := holds([]byte(text)); where != "" {
				t.Errorf("%s is in %s, %s", what, where, how)
			}
		}
	}
	raw, err := base64.StdEncoding.DecodeString(key.Text())
	if err != nil || holds(raw) != "" {
		t.Errorf("the octets of the master key are there: %v", err)
	}
	t.Logf("%d secrets, %d files", len(secrets), len(stolen))
}

func reversed(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}
