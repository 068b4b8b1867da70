package model

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"
)

// Certificate is what a certificate authority has issued for a host: for its name, and
// for all names below it if the host was a wildcard then.
type Certificate struct {
	Chain     []byte   // PEM, the host's first, without a key
	KeyID     [32]byte // SHA-256 of the SubjectPublicKeyInfo that was signed
	Wildcard  bool
	Serial    string // in hexadecimal digits
	NotBefore time.Time
	NotAfter  time.Time
	IssueTime time.Time
	// RenewFrom and RenewTo is when the authority wants it renewed (RFC 9773); zero: it has
	// not said.
	RenewFrom, RenewTo time.Time
	CertID             string // of RFC 9773; "" likewise
	Directory          string // of the authority; "": it came from elsewhere
	ModRevision        int64
}

// Fresh reports whether the certificate need not be renewed yet.
func (c *Certificate) Fresh(now time.Time) bool { return !now.After(c.RenewTime()) }

// Lasts reports whether at least a third of the certificate's life is left, whatever the
// authority says of it.
func (c *Certificate) Lasts(now time.Time) bool { return !now.After(c.lastThird()) }

func (c *Certificate) lastThird() time.Time { return c.NotAfter.Add(-c.NotAfter.Sub(c.NotBefore) / 3) }

// RenewTime is from when on the certificate is to be renewed: when a third of its life is
// left, or at a time within what the authority has said, if that is earlier. Each
// certificate has a time of its own there (RFC 9773 section 4.2), the same for whoever looks.
func (c *Certificate) RenewTime() time.Time {
	third := c.lastThird()
	if c.RenewFrom.IsZero() {
		return third
	}
	sum := sha256.Sum256([]byte(c.Serial))
	part := float64(binary.BigEndian.Uint32(sum[:])) / (1 << 32)
	said := c.RenewFrom.Add(time.Duration(part * float64(c.RenewTo.Sub(c.RenewFrom))))
	if said.Before(third) {
		return said
	}
	return third
}

// CertNames is what a certificate of a host is for, the host first.
func CertNames(host Name, wildcard bool) []Name {
	names := []Name{host}
	if star, err := host.Child("*"); wildcard && err == nil {
		names = append(names, star)
	}
	return names
}

// Challenge is what was set below a host so that an authority sees that the host is ours
// (RFC 8555 section 8.4), until it is taken away.
type Challenge struct {
	Values      []string  // of the TXT records
	Order       string    // which order set it
	ExpireTime  time.Time // from then on anybody takes it away
	ModRevision int64
}

// Account is what we are to a certificate authority.
type Account struct {
	Directory  string
	Key        []byte // PKCS #8, DER
	URL        string // "" until the authority has said it
	CreateTime time.Time
}

// OrderSpan is over how long orders are counted.
const OrderSpan = 7 * 24 * time.Hour

// Orders counts the orders of an OrderSpan, the oldest first.
type Orders []OrderCount

// OrderCount is so many orders, the last of them at a time.
type OrderCount struct {
	Time  time.Time // to the second
	Count uint32
}

// Count is how many orders there were in the last OrderSpan.
func (o Orders) Count(now time.Time) int {
	n := 0
	for _, c := range o.since(now) {
		n += int(c.Count)
	}
	return n
}

// Wait is how long to wait until there are fewer than limit, at least 1; 0: there are.
func (o Orders) Wait(limit int, now time.Time) time.Duration {
	n := o.Count(now)
	for _, c := range o.since(now) {
		if n < limit {
			break
		}
		n -= int(c.Count)
		if n < limit {
			return c.Time.Add(OrderSpan).Sub(now)
		}
	}
	return 0
}

// With is the orders with one more, those that are not counted any more left out. Orders
// within a grain count as made at the last of them, so that a list of many is short.
func (o Orders) With(now time.Time, grain time.Duration) Orders {
	now = now.UTC().Truncate(time.Second)
	out := slices.Clone(o.since(now))
	if n := len(out); n > 0 && out[n-1].Time.Truncate(grain).Equal(now.Truncate(grain)) {
		out[n-1].Count++
		out[n-1].Time = now
		return out
	}
	return append(out, OrderCount{Time: now, Count: 1})
}

// Without is the orders without one of those that were made last.
func (o Orders) Without() Orders {
	out := slices.Clone(o)
	n := len(out)
	if n == 0 {
		return nil
	}
	if out[n-1].Count--; out[n-1].Count == 0 {
		out = out[:n-1]
	}
	return out
}

func (o Orders) since(now time.Time) Orders {
	i := slices.IndexFunc(o, func(c OrderCount) bool { return now.Before(c.Time.Add(OrderSpan)) })
	if i < 0 {
		return nil
	}
	return o[i:]
}
