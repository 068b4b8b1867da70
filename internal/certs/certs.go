// Package certs answers one question: what is to be shown and whom to be believed now,
// certificates, authorities or passwords, when their files are renewed while we run?
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"time"

	"signpost/internal/model"
)

// Pair is a certificate chain and its key in two PEM files, read again when they change.
type Pair struct{ kept[tls.Certificate] }

// Open reads both files. Errors are of kind Invalid. log (nil: none) is told of every
// renewal, and once of new files that cannot be used; the certificate before them then
// stays in use.
func Open(cert, key string, log Log) (*Pair, error) {
	p := &Pair{kept[tls.Certificate]{
		what: "certificate", files: []string{cert, key},
		more: func(c *tls.Certificate) []any { return []any{"expires", c.Leaf.NotAfter} },
		read: func() (*tls.Certificate, error) {
			c, err := tls.LoadX509KeyPair(cert, key)
			if err != nil {
				return nil, model.E(model.Invalid, "read certificate", cert).From(err)
			}
			return &c, nil
		},
	}}
	if err := p.open(log); err != nil {
		return nil, err
	}
	return p, nil
}

// Get is the certificate to show now. It is never nil.
func (p *Pair) Get() *tls.Certificate { return p.get() }

// Expires is when the certificate to show now ends.
func (p *Pair) Expires() time.Time { return p.Get().Leaf.NotAfter }

// Roots is the authorities in a PEM file, read again when it changes.
type Roots struct{ kept[x509.CertPool] }

// OpenRoots reads the file, as Open does.
func OpenRoots(file string, log Log) (*Roots, error) {
	r := &Roots{kept[x509.CertPool]{
		what: "list of authorities", files: []string{file},
		read: func() (*x509.CertPool, error) {
			pem, err := os.ReadFile(file)
			pool := x509.NewCertPool()
			if err == nil && !pool.AppendCertsFromPEM(pem) {
				err = errors.New("there is no certificate in it")
			}
			if err != nil {
				return nil, model.E(model.Invalid, "read authorities", file).From(err)
			}
			return pool, nil
		},
	}}
	if err := r.open(log); err != nil {
		return nil, err
	}
	return r, nil
}

// Get is the authorities to believe now. It is never nil.
func (r *Roots) Get() *x509.CertPool { return r.get() }

// Word is a password, or another secret of one line, in a file, read again when it changes.
// What is around it, spaces and ends of lines, is not of it.
type Word struct{ kept[string] }

// OpenWord reads the file, as Open does; what says what the word is, for errors and the
// log, which never show it.
func OpenWord(what, file string, log Log) (*Word, error) {
	w := &Word{kept[string]{
		what: what, files: []string{file},
		read: func() (*string, error) {
			raw, err := os.ReadFile(file)
			word := strings.TrimSpace(string(raw))
			if err == nil && word == "" {
				err = errors.New("the file is empty")
			}
			if err != nil {
				return nil, model.E(model.Invalid, "read "+what, file).From(err)
			}
			return &word, nil
		},
	}}
	if err := w.open(log); err != nil {
		return nil, err
	}
	return w, nil
}

// Get is the word to say now. It is never empty.
func (w *Word) Get() string { return *w.get() }
