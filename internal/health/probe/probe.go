// Package probe answers one question: what does one attempt to reach this target say?
// It goes to the one address that it was made for, follows no redirect and no proxy,
// and shows of the answer no more than a word from a fixed list (model.Reason).
package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"signpost/internal/health/reach"
	"signpost/internal/model"
)

// Bounds of what is read.
const (
	mostBody   = 4 << 10  // octets of a body in which text is looked for
	mostHeader = 64 << 10 // octets of everything that HTTP answers
)

// userAgent is how every attempt by HTTP names itself.
const userAgent = "signpost-health/1"

// Target is one address of an endpoint, with what a check takes from the endpoint.
type Target struct {
	Name  model.Name // that the endpoint is of
	Addr  netip.Addr
	Rules reach.Rules // of the zone that Name is in
	// Roots is the authorities whose certificates are trusted; nil: the system's.
	Roots *x509.CertPool
	// Beat is how long ago the endpoint's last sign of life came, for a heartbeat; a
	// checker that has just begun counts from its begin. seen is false when none came.
	Beat func() (age time.Duration, seen bool)
}

// Probe is a check of a target, ready to be tried any number of times, also at once.
type Probe struct {
	check  model.Check // with defaults
	target Target
	addr   netip.AddrPort
	host   string      // what a Host header says
	path   *url.URL    // of http and https
	tls    *tls.Config // nil: plain
}

// Make makes ready to try a target. Errors are of kind Invalid and name the field of the
// check; nothing is sent yet.
func Make(c model.Check, t Target) (*Probe, error) {
	c = c.WithDefaults()
	if name := strings.TrimSuffix(string(t.Name), "."); c.Host == "" && (c.Kind == model.CheckHTTP || c.Kind == model.CheckHTTPS || c.Kind == model.CheckGRPC) {
		c.Host = name
	}
	if c.Kind == model.CheckDNS && c.Query == "" {
		c.Query = t.Name
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	if c.Kind == model.CheckHeartbeat && t.Beat == nil {
		return nil, model.E(model.Internal, "prepare check", string(t.Name)).Because("nobody says when the last sign of life came")
	}
	p := &Probe{check: c, target: t, addr: netip.AddrPortFrom(t.Addr.Unmap(), c.Port), host: c.Host}
	if c.Path != "" {
		u, err := url.ParseRequestURI(c.Path)
		if err != nil {
			return nil, model.E(model.Invalid, "prepare check", string(t.Name)).In("path").Because("it is no path of HTTP").
				Hint("write /healthz, with other signs percent-encoded").From(err)
		}
		p.path = u
	}
	if c.Kind == model.CheckHTTPS || c.TLS {
		name, _, _ := strings.Cut(c.Host, ":")
		if c.ServerName != "" {
			name = c.ServerName
		}
		p.tls = &tls.Config{ServerName: name, RootCAs: t.Roots, InsecureSkipVerify: c.AnyCertificate}
	}
	return p, nil
}

// Every is the time between the begins of two attempts.
func (p *Probe) Every() time.Duration { return p.check.Interval }

// Key is the same for two probes if and only if one attempt, now and then, can speak for
// both; "": for no other.
func (p *Probe) Key() string {
	if p.check.Kind == model.CheckHeartbeat {
		return ""
	}
	c := p.check
	// Who judges, how, and for whom changes nothing that is sent.
	c.Sites, c.Fall, c.Rise, c.Owner, c.ModRevision = nil, 0, 0, "", 0
	_, may := p.target.Rules.May(p.addr.Addr())
	return fmt.Sprintf("%v %v %p %#v", p.addr, may, p.target.Roots, c)
}

// Try makes one attempt. It returns when that has ended, at the latest when the check's
// time-out or ctx is over; what ctx ended says nothing about the target.
func (p *Probe) Try(ctx context.Context) model.Attempt {
	begin := time.Now()
	timed, cancel := context.WithTimeout(ctx, p.check.Timeout)
	defer cancel()
	var reason model.Reason
	switch p.check.Kind {
	case model.CheckTCP:
		reason = p.tcp(timed)
	case model.CheckHTTP, model.CheckHTTPS:
		reason = p.web(timed)
	case model.CheckGRPC:
		reason = p.grpc(timed)
	case model.CheckDNS:
		reason = p.dns(timed)
	case model.CheckHeartbeat:
		reason = p.beat()
	}
	took := time.Since(begin)
	if ctx.Err() != nil && reason != model.Fine {
		reason = model.CheckerInDifficulty // it was called off
	}
	return model.Attempt{Reason: overdue(reason, took, p.check.Timeout), Took: took}
}

// overdue takes back that an answer did not come in time when this process woke up so
// long after the time-out that it may have been too busy to see the answer.
func overdue(reason model.Reason, took, timeout time.Duration) model.Reason {
	if (reason == model.NoConnection || reason == model.NoAnswer) && took > timeout+timeout/2 {
		return model.CheckerInDifficulty
	}
	return reason
}

func (p *Probe) tcp(ctx context.Context) model.Reason {
	conn, reason := p.dial(ctx, "tcp")
	if conn != nil {
		conn.Close()
	}
	return reason
}

// beat judges the age of the last sign of life: one is due in every interval, and may be
// late by the time-out. Until the first one is due nothing is known: that none has come
// yet is no sign of life.
func (p *Probe) beat() model.Reason {
	age, seen := p.target.Beat()
	switch due := age > p.check.Interval+p.check.Timeout; {
	case seen && !due:
		return model.Fine
	case !due:
		return model.CheckerInDifficulty
	case !seen:
		return model.NoSignOfLife
	default:
		return model.LateSignOfLife
	}
}
