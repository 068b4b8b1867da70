package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"signpost/internal/model"
)

// errNotAllowed is what the guard ends a forbidden attempt with.
var errNotAllowed = errors.New("address not allowed")

// guard is asked with the address that is about to be dialled, before anything is sent.
func (p *Probe) guard(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || to != p.addr {
		return errNotAllowed
	}
	if _, may := p.target.Rules.May(to.Addr()); !may {
		return errNotAllowed
	}
	return nil
}

// dial connects to the target. The connection ends with ctx's deadline; without one there
// is the reason why.
func (p *Probe) dial(ctx context.Context, network string) (net.Conn, model.Reason) {
	d := net.Dialer{ControlContext: p.guard, KeepAliveConfig: net.KeepAliveConfig{Enable: false}, KeepAlive: -1}
	conn, err := d.DialContext(ctx, network, p.addr.String())
	if err != nil {
		return nil, p.noConnection(err)
	}
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(end) // a closed connection says so at its next use
	}
	return conn, model.Fine
}

var (
	ownTrouble = []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL, syscall.EAGAIN, syscall.EPERM, syscall.ENETDOWN}
	noWay      = []error{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EACCES, syscall.EHOSTDOWN}
)

func anyOf(err error, these []error) bool {
	return slices.ContainsFunc(these, func(e error) bool { return errors.Is(err, e) })
}

// noConnection says why there is none.
func (p *Probe) noConnection(err error) model.Reason {
	switch {
	case errors.Is(err, errNotAllowed):
		return model.AddressNotAllowed
	case timedOut(err):
		return model.NoConnection
	case errors.Is(err, syscall.ECONNREFUSED):
		return model.Refused
	case errors.Is(err, syscall.ECONNRESET):
		return model.Broken
	case anyOf(err, ownTrouble):
		return model.CheckerInDifficulty
	case anyOf(err, noWay) && p.routed():
		return model.Unreachable
	case anyOf(err, noWay):
		return model.NoRoute
	}
	return model.CheckerInDifficulty // of no kind that a far side can cause
}

// routed reports whether this machine itself knows a way to the target, in which case it
// is a router elsewhere that does not. Connecting a UDP socket asks the routing table and
// sends nothing.
func (p *Probe) routed() bool {
	d := net.Dialer{ControlContext: p.guard}
	conn, err := d.Dial("udp", p.addr.String())
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// noAnswer says why a connection gave none.
func noAnswer(err error) model.Reason {
	var (
		verification *tls.CertificateVerificationError
		invalid      x509.CertificateInvalidError
		name         x509.HostnameError
		alert        tls.AlertError
	)
	switch {
	case timedOut(err):
		return model.NoAnswer
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return model.CertificateTime
	case errors.As(err, &name):
		return model.CertificateName
	case errors.As(err, &verification):
		return model.CertificateTrust
	case errors.As(err, &alert):
		return model.HandshakeFailed
	case errors.Is(err, syscall.ECONNREFUSED): // UDP
		return model.Refused
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return model.Broken
	}
	return model.NotTheProtocol
}

func timedOut(err error) bool {
	var late net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &late) && late.Timeout()
}
