package store

import (
	"context"
	"crypto/tls"
	"net"

	"google.golang.org/grpc/credentials"

	"signpost/internal/certs"
	"signpost/internal/model"
)

// TLS is how to know etcd, and to be known there.
type TLS struct {
	Config *tls.Config  // its authorities are those of the start
	Cert   *certs.Pair  // the client's; nil: it shows none
	Roots  *certs.Roots // that etcd's certificates must be from; nil: the system's
}

// TLSFromFiles reads PEM files: the client's certificate and key, or neither, and the
// authorities that etcd's own certificates must be from; none: the system's. All are read
// again when they change, and each connection is made with those of its moment. log (nil:
// none) is told of that.
func TLSFromFiles(cert, key, ca string, log certs.Log) (*TLS, error) {
	bad := func(file string) *model.Error {
		return model.E(model.Invalid, "read TLS files", file).In("tls")
	}
	t := &TLS{Config: &tls.Config{MinVersion: tls.VersionTLS12}}
	if (cert == "") != (key == "") {
		return nil, bad(cert + key).Because("there is a certificate without a key or the reverse").Hint("give both or neither")
	}
	var err error
	if cert != "" {
		if t.Cert, err = certs.Open(cert, key, log); err != nil {
			return nil, bad(cert).From(err)
		}
		t.Config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return t.Cert.Get(), nil }
	}
	if ca != "" {
		if t.Roots, err = certs.OpenRoots(ca, log); err != nil {
			return nil, bad(ca).From(err)
		}
		t.Config.RootCAs = t.Roots.Get()
	}
	return t, nil
}

func (t *TLS) credentials() credentials.TransportCredentials {
	return current{credentials.NewTLS(t.Config), t}
}

// current is credentials with the authorities of the moment in which a connection is made.
// crypto/tls has no way to say that in a tls.Config but to do its checks ourselves.
type current struct {
	credentials.TransportCredentials
	tls *TLS
}

func (c current) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if c.tls.Roots == nil {
		return c.TransportCredentials.ClientHandshake(ctx, authority, conn)
	}
	now := c.tls.Config.Clone()
	now.RootCAs = c.tls.Roots.Get()
	return credentials.NewTLS(now).ClientHandshake(ctx, authority, conn)
}

// Clone is for gRPC, which asks for it.
func (c current) Clone() credentials.TransportCredentials {
	return current{c.TransportCredentials.Clone(), c.tls}
}
