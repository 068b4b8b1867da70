package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/testscript"

	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/proc/dev"
	"signpost/internal/store"
	"signpost/test/proctest"
)

// TestScripts runs testdata/*.txtar: transcripts of the command, as it is built for
// users, against a control service, two DNS replicas and an etcd, all real. Each
// script has its own; the words beside those of testscript are
//
//	answers NAME TYPE [RDATA]...   both replicas answer this now
//	keep VAR REGEXP                keeps the last output's first group as $VAR
//	without-servers                stops everything but the command
func TestScripts(t *testing.T) {
	bin := filepath.Dir(proctest.Bin(t, "signpost"))
	ca := newAuthority(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			return start(env, ca)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"answers": answers, "keep": keep, "without-servers": withoutServers,
		},
	})
}

type devKey struct{}

func start(env *testscript.Env, ca *authority) error {
	o := dev.Options{DNSListen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0", Zone: "fedcloud.test", Replicas: 2, Ephemeral: true}
	if wantsAuthority(env) {
		ca.options(&o)
	}
	d, err := dev.Start(context.Background(), o, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if wantsAuthority(env) {
		ca.replica.Store(&d.Addresses.DNS[0])
	}
	running := &running{Dev: d}
	env.Values[devKey{}] = running
	env.Defer(func() {
		if err := running.stop(); err != nil {
			env.T().Log(err)
		}
	})
	env.Setenv("SIGNPOST_SERVER", d.Addresses.HTTP)
	env.Setenv("SIGNPOST_TOKEN_FILE", d.Addresses.AdminTokenFile)
	env.Setenv("SERVER", d.Addresses.HTTP)
	env.Setenv("TOKEN_FILE", d.Addresses.AdminTokenFile)
	token, err := alicesToken(d.Addresses.Etcd)
	env.Setenv("ALICE", token)
	return err
}

// alicesToken is a token of egi/alice's that may do all that she may, made in the place of
// an identity provider.
func alicesToken(etcd string) (string, error) {
	st, err := store.Open(store.Config{Endpoints: []string{etcd}})
	if err != nil {
		return "", err
	}
	defer st.Close()
	text := access.NewToken()
	parsed, err := access.ParseSecret(text)
	if err != nil {
		return "", err
	}
	_, err = st.Update(context.Background(), func(tx *store.Tx) error {
		owner, err := tx.TokenOwner("egi/alice")
		if err != nil {
			return err
		}
		if _, err := tx.Token(parsed.Sum[:]); err != nil {
			return err
		}
		owner.Tokens, owner.LoginTime = [][]byte{parsed.Sum[:]}, time.Now()
		tx.PutTokenOwner("egi/alice", owner)
		tx.PutToken(parsed.Sum[:], &model.Token{
			ID: "0123456789", Owner: "egi/alice", Limits: model.TokenLimits{Actions: []string{"*", access.Grant}},
			CreateTime: time.Now(), ExpireTime: time.Now().Add(time.Hour),
		})
		return nil
	})
	return text, err
}

// running is a signpost-dev that a script may stop before its end.
type running struct {
	*dev.Dev
	stopped bool
}

func (r *running) stop() error {
	if r.stopped {
		return nil
	}
	r.stopped = true
	return r.Close()
}

func withoutServers(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(ts.Value(devKey{}).(*running).stop())
}

func answers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: answers NAME TYPE [RDATA]...")
	}
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(args[0]), dns.StringToType[args[1]])
	want := slices.Sorted(slices.Values(args[2:]))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, server := range ts.Value(devKey{}).(*running).Addresses.DNS {
		r, err := dns.ExchangeContext(ctx, q, server)
		ts.Check(err)
		var got []string
		for _, rr := range r.Answer {
			got = append(got, rr.String()[len(rr.Header().String()):])
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			ts.Fatalf("%s answers %q (%s), want %q", server, got, dns.RcodeToString[r.Rcode], want)
		}
	}
}

func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: keep VAR REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	found := re.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		ts.Fatalf("%s does not match once, with one group", args[1])
	}
	ts.Setenv(args[0], found[1])
}

// An example of the command's own output, for those who read this file.
func Example() {
	code := run(context.Background(), &cli{in: os.Stdin, out: os.Stdout, errOut: os.Stdout, getenv: func(string) string { return "" }}, []string{"zone", "show"})
	fmt.Println(code)
	// Output:
	// signpost: too few arguments: it is signpost zone show NAME; see signpost zone show --help
	// 2
}
