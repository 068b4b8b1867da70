package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"signpost/internal/model"
)

// The statuses of gRPC that say more than that something is wrong.
const (
	grpcOK            = "0"
	grpcNotFound      = "5"
	grpcUnimplemented = "12"
)

// grpc is one call of grpc.health.v1.Health/Check. Its request and answer are a field
// each, so they are written and read here: a gRPC client would bring resolvers, balancers
// and retries, which must not stand between a checker and its target.
func (p *Probe) grpc(ctx context.Context) model.Reason {
	conn, reason := p.dial(ctx, "tcp")
	if conn == nil {
		return reason
	}
	defer conn.Close()
	line := &noted{Conn: conn, left: mostHeader + mostBody + mostHandshake}
	only := make(chan net.Conn, 1) // there is one connection: what fails is not tried again
	only <- line
	protocols := new(http.Protocols)
	protocols.SetHTTP2(p.tls != nil)
	protocols.SetUnencryptedHTTP2(p.tls == nil)
	t := &http.Transport{
		Protocols: protocols, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: mostHeader,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			select {
			case conn := <-only:
				return conn, nil
			default:
				return nil, net.ErrClosed
			}
		},
	}
	scheme := "http"
	if p.tls != nil {
		scheme, t.TLSClientConfig = "https", p.tls.Clone()
	}
	defer t.CloseIdleConnections()
	req := (&http.Request{Method: http.MethodPost, Host: p.host, ContentLength: -1,
		URL:  &url.URL{Scheme: scheme, Host: p.addr.String(), Path: "/grpc.health.v1.Health/Check"},
		Body: io.NopCloser(bytes.NewReader(healthRequest(p.check.Service))),
		Header: http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "User-Agent": {userAgent},
			"Grpc-Timeout": {fmt.Sprintf("%dm", p.check.Timeout.Milliseconds())}},
	}).WithContext(ctx)
	resp, err := t.RoundTrip(req)
	if err != nil {
		return line.reason(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/grpc") {
		return model.NotTheProtocol
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostBody+1))
	if err != nil {
		return line.reason(err)
	}
	status := resp.Trailer.Get("Grpc-Status")
	if status == "" {
		status = resp.Header.Get("Grpc-Status") // an answer of trailers only
	}
	return healthAnswer(status, body)
}

// mostHandshake is octets of a TLS handshake and of frames that are none of the answer.
const mostHandshake = 128 << 10

// noted is a connection that remembers how it ended: of that HTTP/2 only says that it did.
// It ends when more comes than an answer has: frames without end would cost the checker as
// much as the far side cares to send.
type noted struct {
	net.Conn
	left int // octets; of one reader
	end  atomic.Pointer[error]
}

var errTooMuch = errors.New("more than an answer has")

func (n *noted) Read(p []byte) (int, error) {
	if n.left <= 0 {
		return n.note(0, errTooMuch)
	}
	done, err := n.Conn.Read(p[:min(len(p), n.left)])
	n.left -= done
	return n.note(done, err)
}

func (n *noted) Write(p []byte) (int, error) { return n.note(n.Conn.Write(p)) }

func (n *noted) note(done int, err error) (int, error) {
	if err != nil {
		n.end.CompareAndSwap(nil, &err)
	}
	return done, err
}

// reason is why a call failed with err.
func (n *noted) reason(err error) model.Reason {
	reason := noAnswer(err)
	if end := n.end.Load(); end != nil && reason == model.NotTheProtocol && !errors.Is(*end, net.ErrClosed) {
		return noAnswer(*end)
	}
	return reason
}

// healthRequest is a HealthCheckRequest as gRPC frames it; service is at most 255 octets.
func healthRequest(service string) []byte {
	var msg []byte
	if service != "" {
		msg = append([]byte{1<<3 | 2}, binary.AppendUvarint(nil, uint64(len(service)))...)
		msg = append(msg, service...)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(msg))), msg...)
}

// healthAnswer says what a call that ended with a status and a body means.
//
//	status           body                     means
//	0                SERVING                  fine
//	0                another, or no, status   not serving
//	0                no HealthCheckResponse   not the protocol
//	5, 12            any                      the service, or the health service, is unknown
//	another          any                      not serving
//	none             any                      not the protocol
func healthAnswer(status string, body []byte) model.Reason {
	switch status {
	case grpcOK:
	case grpcNotFound, grpcUnimplemented:
		return model.UnknownService
	case "":
		return model.NotTheProtocol
	default:
		return model.NotServing
	}
	if len(body) < 5 || len(body) > mostBody || body[0] != 0 || int(binary.BigEndian.Uint32(body[1:])) != len(body)-5 {
		return model.NotTheProtocol
	}
	serving := false
	for msg := body[5:]; len(msg) > 0; {
		tag, n := binary.Uvarint(msg)
		if n <= 0 || tag != 1<<3 { // status = 1 is its only field
			return model.NotTheProtocol
		}
		value, m := binary.Uvarint(msg[n:])
		if m <= 0 {
			return model.NotTheProtocol
		}
		serving, msg = value == 1, msg[n+m:]
	}
	if !serving {
		return model.NotServing
	}
	return model.Fine
}
