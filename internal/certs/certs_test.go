package certs

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"signpost/internal/certs/certstest"
	"signpost/internal/model"
)

func opened(t *testing.T) (a *certstest.Authority, dir string, p *Pair, log *bytes.Buffer) {
	t.Helper()
	dir = t.TempDir()
	a = certstest.New(t, dir)
	a.Serial("one", "one", 1, time.Hour)
	log = &bytes.Buffer{}
	p, err := Open(filepath.Join(dir, "one.crt"), filepath.Join(dir, "one.key"), slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return a, dir, p, log
}

func serial(p *Pair) int64 { return p.Get().Leaf.SerialNumber.Int64() }

func TestARenewedCertificateIsShown(t *testing.T) {
	a, _, p, log := opened(t)
	before := p.Expires()
	a.Serial("one", "one", 2, 2*time.Hour)
	var asking sync.WaitGroup
	for range 8 { // whoever comes while another looks gets the one that there is
		asking.Go(func() {
			if s := serial(p); s != 1 && s != 2 {
				t.Errorf("certificate %d", s)
			}
		})
	}
	asking.Wait()
	if s := serial(p); s != 2 {
		t.Errorf("after its files were replaced certificate %d is shown", s)
	}
	if !p.Expires().After(before) {
		t.Errorf("it expires at %s, as the one before", p.Expires())
	}
	if n := strings.Count(log.String(), "certificate renewed"); n != 1 {
		t.Errorf("told %d times: %s", n, log)
	}
}

func TestABrokenCertificateKeepsTheOneBefore(t *testing.T) {
	a, dir, p, log := opened(t)
	key, err := os.ReadFile(filepath.Join(dir, "one.key"))
	if err != nil {
		t.Fatal(err)
	}
	for what, ruin := range map[string]func(){
		"a key that does not fit": func() { a.Serial("one", "one", 9, time.Hour); certstest.Replace(t, filepath.Join(dir, "one.key"), key) },
		"no PEM":                  func() { certstest.Replace(t, filepath.Join(dir, "one.crt"), []byte("junk")) },
		"no file":                 func() { os.Remove(filepath.Join(dir, "one.crt")) },
	} {
		log.Reset()
		was := serial(p)
		ruin()
		p.patience = time.Hour // one file may be new already, and the other not yet
		if s := serial(p); s != was || log.Len() > 0 {
			t.Errorf("%s: certificate %d instead of %d, and it says %q", what, s, was, log)
		}
		p.patience = 0
		for range 3 {
			if s := serial(p); s != was {
				t.Errorf("%s: certificate %d instead of %d", what, s, was)
			}
		}
		if n := strings.Count(log.String(), "cannot be used"); n != 1 {
			t.Errorf("%s: told %d times: %s", what, n, log)
		}
		a.Serial("one", "one", was+1, time.Hour)
		if s := serial(p); s != was+1 {
			t.Errorf("%s: after it was mended, certificate %d is shown", what, s)
		}
	}
}

func TestFilesThatCannotBeUsedAreRefusedAtTheStart(t *testing.T) {
	_, dir, _, _ := opened(t)
	if _, err := Open(filepath.Join(dir, "one.crt"), filepath.Join(dir, "ca.key"), nil); model.KindOf(err) != model.Invalid || err == nil {
		t.Errorf("%v", err)
	}
}

// A password is read again as a certificate is, and never shown.
func TestAPasswordIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	certstest.Replace(t, file, []byte(" \n"))
	if _, err := OpenWord("password", file, nil); model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), "the file is empty") {
		t.Errorf("%v", err)
	}
	certstest.Replace(t, file, []byte("one two\r\n"))
	log := &bytes.Buffer{}
	w, err := OpenWord("password", file, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	want := func(word string) {
		t.Helper()
		if got := w.Get(); got != word {
			t.Errorf("%q, want %q", got, word)
		}
	}
	want("one two")
	certstest.Replace(t, file, []byte("three"))
	want("three")
	w.patience = 0
	certstest.Replace(t, file, nil)
	want("three")
	os.Remove(file)
	want("three")
	certstest.Replace(t, file, []byte("four"))
	want("four")
	if s := log.String(); strings.Count(s, "password renewed") != 2 || strings.Count(s, "the new password cannot be used") != 2 || strings.Contains(s, "three") || strings.Contains(s, "four") {
		t.Error(s)
	}
}
