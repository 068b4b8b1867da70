package cutover_test

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/store/localetcd"
	pb "signpost/proto/signpost/v1"
)

const oldSecret, oldSalt = "pZ7kQmW3xD", "V2uXyFgvCsAk3Qm5rP0jdT"

// django is a secret as the former service keeps it.
func django(salt, secret string) string {
	sum := sha1.Sum([]byte(salt + secret))
	return "sha1$" + salt + "$" + hex.EncodeToString(sum[:])
}

func cutoverOf(s *controltest.Server) pb.CutoverServiceClient {
	return pb.NewCutoverServiceClient(s.Conn)
}

// former imports names and gives what became of them, in words.
func former(s *controltest.Server, names ...*pb.FormerName) string {
	s.T.Helper()
	out, err := cutoverOf(s).ImportNames(s.Admin(), &pb.ImportNamesRequest{Zone: "vo.example.org", Names: names})
	if err != nil {
		s.T.Fatal(err)
	}
	var text []string
	for _, r := range out.GetResults() {
		line := r.GetOutcome()
		if len(r.GetChanges()) > 0 {
			line += " " + strings.Join(r.GetChanges(), "; ")
		}
		if len(r.GetKept()) > 0 {
			line += " | kept " + strings.Join(r.GetKept(), "; ")
		}
		text = append(text, line)
	}
	return strings.Join(text, "\n")
}

func formerHost(fqdn, secret string, addrs ...string) *pb.FormerName {
	return &pb.FormerName{Fqdn: fqdn, Host: &pb.FormerHost{Owner: "egi/alice", Addresses: addrs, LegacySecret: secret, Ttl: 60}}
}

// kept is the hash that a host has, and whether it has a secret of another service.
func kept(s *controltest.Server, fqdn string) (hash []byte, legacy *model.Sealed) {
	s.T.Helper()
	err := s.Store.Read(s.T.Context(), func(tx *store.Tx) error {
		name, err := model.ParseHostName("", fqdn)
		if err != nil {
			return err
		}
		z, err := tx.ZoneAbove(name)
		if err != nil {
			return err
		}
		path, err := tx.Path(z, name)
		if err == nil {
			hash, legacy = path[0].Host.SecretHash, path[0].Host.LegacySecret
		}
		return err
	})
	if err != nil {
		s.T.Fatal(err)
	}
	return hash, legacy
}

// A host goes on with its secret of the former service, whose hash is replaced by ours at
// the first update, also by one that changes nothing.
func TestAHostGoesOnWithItsFormerSecret(t *testing.T) {
	for name, address := range map[string]string{"changed": "192.0.2.2", "nochg": "192.0.2.1"} {
		t.Run(name, func(t *testing.T) {
			s := controltest.Start(t)
			s.Zone("vo.example.org")
			former(s, formerHost("h.vo.example.org", django(oldSalt, oldSecret), "192.0.2.1"))
			if hash, legacy := kept(s, "h.vo.example.org"); hash != nil || legacy == nil {
				t.Fatal("there is a hash before the first use, or no secret")
			}
			for range 5 { // a wrong one takes nothing from the right one
				controltest.WantErr(t, s.UpdateAs(controltest.As("h.vo.example.org", "pZ7kQmW3xE"), "h.vo.example.org", address), codes.Unauthenticated, "")
			}
			set := func() *pb.SetAddressesResponse {
				t.Helper()
				out, err := s.Hosts.SetAddresses(controltest.As("h.vo.example.org", oldSecret), &pb.SetAddressesRequest{Fqdn: "h.vo.example.org", Addresses: []string{address}})
				if err != nil {
					t.Fatal(err)
				}
				return out
			}
			if out := set(); out.GetChange().GetChanged() != (name == "changed") {
				t.Errorf("%v", out)
			}
			hash, legacy := kept(s, "h.vo.example.org")
			sum := sha256.Sum256([]byte(oldSecret))
			if len(hash) != sha256.Size || legacy == nil || bytes.Equal(hash, sum[:]) {
				t.Errorf("after the first use: %x", hash)
			}
			if out := set(); out.GetChange().GetChanged() {
				t.Errorf("%v", out)
			}
			if again, same := kept(s, "h.vo.example.org"); !bytes.Equal(again, hash) || !bytes.Equal(same.Box, legacy.Box) {
				t.Error("it is replaced again")
			}
			controltest.WantErr(t, s.UpdateAs(controltest.As("h.vo.example.org", "pZ7kQmW3xE"), "h.vo.example.org", address), codes.Unauthenticated, "")
			controltest.WantErr(t, s.UpdateAs(controltest.As("no.vo.example.org", oldSecret), "no.vo.example.org", address), codes.Unauthenticated, "")
			if _, err := s.Records.SetRecordSet(controltest.As("h.vo.example.org", oldSecret), &pb.SetRecordSetRequest{Fqdn: "_acme-challenge.h.vo.example.org", Type: "TXT", Rdata: []string{"x"}}); err != nil {
				t.Error(err)
			}
			if strings.Contains(s.Log.String(), oldSecret) {
				t.Error("the secret is in the log")
			}
		})
	}
}

// Another secret, another owner and the end of the host end the former secret.
func TestWhatEndsAFormerSecret(t *testing.T) {
	for name, end := range map[string]func(s *controltest.Server) error{
		"rotated": func(s *controltest.Server) error {
			_, err := s.Hosts.RotateSecret(s.Admin(), &pb.RotateSecretRequest{Fqdn: "h.vo.example.org"})
			return err
		},
		"handed over": func(s *controltest.Server) error {
			_, err := s.People.TransferPrincipal(s.Admin(), &pb.TransferPrincipalRequest{Name: "egi/alice", To: "egi/bob"})
			return err
		},
		"deleted and made again": func(s *controltest.Server) error {
			if _, err := s.Hosts.DeleteHost(s.Admin(), &pb.DeleteHostRequest{Fqdn: "h.vo.example.org"}); err != nil {
				return err
			}
			_, err := s.Hosts.CreateHost(s.Admin(), &pb.CreateHostRequest{Fqdn: "h.vo.example.org"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := controltest.Start(t)
			s.Zone("vo.example.org")
			h := formerHost("h.vo.example.org", django(oldSalt, oldSecret), "192.0.2.1")
			former(s, h)
			if err := s.UpdateAs(controltest.As("h.vo.example.org", oldSecret), "h.vo.example.org", "192.0.2.2"); err != nil {
				t.Fatal(err)
			}
			if err := end(s); err != nil {
				t.Fatal(err)
			}
			controltest.WantErr(t, s.UpdateAs(controltest.As("h.vo.example.org", oldSecret), "h.vo.example.org", "192.0.2.3"), codes.Unauthenticated, "")
			former(s, h) // brings it back to nobody
			controltest.WantErr(t, s.UpdateAs(controltest.As("h.vo.example.org", oldSecret), "h.vo.example.org", "192.0.2.3"), codes.Unauthenticated, "")
		})
	}
}

// However many come at once, on two control services, with the right secret for the first
// time: none is told that it is wrong.
func TestFirstUsesAtTheSameTime(t *testing.T) {
	s := controltest.Start(t)
	other := s.Again()
	s.Zone("vo.example.org")
	former(s, formerHost("h.vo.example.org", django(oldSalt, oldSecret), "192.0.2.1"))
	var wg sync.WaitGroup
	for n := range 16 {
		at := []*controltest.Server{s, other}[n%2]
		wg.Go(func() {
			for i := range 4 {
				err := at.UpdateAs(controltest.As("h.vo.example.org", oldSecret), "h.vo.example.org", fmt.Sprintf("192.0.2.%d", 1+(n+i)%7))
				if status.Code(err) == codes.Unauthenticated {
					t.Errorf("the right secret: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if hash, _ := kept(s, "h.vo.example.org"); len(hash) != sha256.Size {
		t.Error("the former hash was not replaced")
	}
}

// A new master key seals former secrets anew; a control service that does not hold the key
// does not know, and says so instead of that the secret is wrong.
func TestFormerSecretsAndMasterKeys(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	former(s, formerHost("new.vo.example.org", django(oldSalt, oldSecret), "192.0.2.1"), formerHost("used.vo.example.org", django(oldSalt, oldSecret), "192.0.2.1"))
	if err := s.UpdateAs(controltest.As("used.vo.example.org", oldSecret), "used.vo.example.org", "192.0.2.2"); err != nil {
		t.Fatal(err)
	}
	stranger := controltest.NewServer(t, s.Prefix)
	stranger.Token = s.Token
	stranger.Serve()
	err := stranger.UpdateAs(controltest.As("new.vo.example.org", oldSecret), "new.vo.example.org", "192.0.2.2")
	controltest.WantErr(t, err, codes.Unavailable, "")
	next := store.NewMasterKey()
	if err := s.Store.UseMasterKeys(t.Context(), s.Key, next); err != nil {
		t.Fatal(err)
	}
	done, err := s.Store.Rekey(t.Context(), next)
	if err != nil || done.Rewritten != 2 || len(done.Left) != 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	after := controltest.NewServer(t, s.Prefix)
	after.Token, after.Key = s.Token, next
	if err := after.Store.UseMasterKeys(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	after.Serve()
	for _, h := range []string{"new.vo.example.org", "used.vo.example.org"} {
		if err := after.UpdateAs(controltest.As(h, oldSecret), h, "192.0.2.3"); err != nil {
			t.Error(err)
		}
	}
}

// Promise 9, for secrets that can be guessed from a plain hash: neither the former
// service's hash nor a plain one of ours is in a stolen etcd, at any time.
func TestAStolenEtcdHoldsNoFormerHash(t *testing.T) {
	own := localetcd.New(t)
	st, err := store.Open(store.Config{Endpoints: []string{own.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	token, _ := controltest.SetUp(t, st)
	s := controltest.Start(t, func(c *controlapi.Config) { c.Store = st })
	s.Token = token
	s.Zone("vo.example.org")
	former(s, formerHost("h.vo.example.org", django(oldSalt, oldSecret), "192.0.2.1"))
	for i, pairs := range [][]string{nil, {"request-id", "r1"}} { // the answer is kept under a key
		ctx := controltest.As("h.vo.example.org", oldSecret, pairs...)
		if err := s.UpdateAs(ctx, "h.vo.example.org", fmt.Sprintf("192.0.2.%d", i+2)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.UpdateAs(controltest.As("h.vo.example.org", oldSecret), "h.vo.example.org", "192.0.2.9"); err != nil {
		t.Fatal(err)
	}
	s.Service.NoteUses(controltest.Done(t))
	own.Stop()
	raw := map[string][]byte{}
	if err := filepath.WalkDir(own.Dir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw[path], err = os.ReadFile(path)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	one, plain := sha1.Sum([]byte(oldSalt+oldSecret)), sha256.Sum256([]byte(oldSecret))
	unsalted := sha1.Sum([]byte(oldSecret))
	found := false
	for path, text := range raw {
		found = found || bytes.Contains(text, []byte("egi/alice"))
		for what, octets := range map[string][]byte{
			"the secret": []byte(oldSecret), "its salt": []byte(oldSalt), "its SHA-1": one[:], "its unsalted SHA-1": unsalted[:4], "its SHA-256": plain[:8],
		} {
			if bytes.Contains(text, octets) || len(octets) > 8 && bytes.Contains(text, []byte(hex.EncodeToString(octets))) {
				t.Errorf("%s is in %s", what, path)
			}
		}
	}
	if !found {
		t.Error("what is there is not found: the search is wrong")
	}
}

// What is no secret of the form that can be taken over is refused, and not shown.
func TestFormerSecretsThatCannotBe(t *testing.T) {
	for _, text := range []string{"sha1$$27ff9bac71f5f23ab2f6c0e49d4c5f1c94d3ba01", "sha1$salt$27ff", "pbkdf2_sha256$1$a$b", "md5$a$b", "sha1$salt$" + strings.Repeat("z", 40)} {
		_, err := access.ParseLegacySecret("f", text)
		if err == nil || model.KindOf(err) != model.Invalid || strings.Contains(err.Error(), "27ff") {
			t.Errorf("%s: %v", text, err)
		}
	}
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	_, err := cutoverOf(s).ImportNames(s.Admin(), &pb.ImportNamesRequest{Zone: "vo.example.org", Names: []*pb.FormerName{formerHost("h.vo.example.org", "md5$a$b")}})
	controltest.WantErr(t, err, codes.InvalidArgument, "names[0].host.legacy_secret")
}

// A former secret that is used is shown as the host's secret in what is last used.
func TestTheUseOfAFormerSecretIsNoted(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	former(s, formerHost("h.vo.example.org", django(oldSalt, oldSecret), "192.0.2.1"))
	for _, a := range []string{"192.0.2.2", "192.0.2.3"} {
		if err := s.UpdateAs(controltest.As("h.vo.example.org", oldSecret), "h.vo.example.org", a); err != nil {
			t.Fatal(err)
		}
	}
	s.Service.NoteUses(controltest.Done(t))
	h, err := s.Hosts.GetHost(s.Admin(), &pb.GetHostRequest{Fqdn: "h.vo.example.org"})
	if err != nil || h.GetSecretUseTime() == nil {
		t.Errorf("%v, %v", h, err)
	}
}
