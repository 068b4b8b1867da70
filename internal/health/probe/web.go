package probe

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"

	"signpost/internal/model"
)

// mostInformational is how many answers of 1xx may come before the one that counts.
const mostInformational = 5

// web is a GET over a connection of its own: with no client above it there is nothing
// that could follow a redirect, ask a proxy or keep the connection.
func (p *Probe) web(ctx context.Context) model.Reason {
	conn, reason := p.dial(ctx, "tcp")
	if conn == nil {
		return reason
	}
	defer conn.Close()
	if p.tls != nil {
		secure, reason := p.handshake(ctx, conn)
		if secure == nil {
			return reason
		}
		conn = secure
	}
	req := &http.Request{Method: http.MethodGet, URL: p.path, Host: p.host, Close: true,
		Header: http.Header{"User-Agent": {userAgent}, "Accept": {"*/*"}}}
	if err := req.Write(conn); err != nil {
		return noAnswer(err)
	}
	left := &io.LimitedReader{R: conn, N: mostHeader}
	answer := bufio.NewReader(left)
	for range mostInformational + 1 {
		resp, err := http.ReadResponse(answer, req) //nolint:bodyclose // closing would read the whole body; the connection is closed
		switch {
		case err != nil && left.N == 0:
			return model.NotTheProtocol
		case err != nil:
			return noAnswer(err)
		case resp.StatusCode/100 == 1 && resp.StatusCode != http.StatusSwitchingProtocols:
			continue
		}
		return p.judge(resp)
	}
	return model.NotTheProtocol
}

func (p *Probe) handshake(ctx context.Context, conn net.Conn) (net.Conn, model.Reason) {
	secure := tls.Client(conn, p.tls)
	err := secure.HandshakeContext(ctx)
	if err == nil {
		return secure, model.Fine
	}
	var notTLS tls.RecordHeaderError
	reason := noAnswer(err)
	if reason == model.NotTheProtocol && !errors.As(err, &notTLS) {
		reason = model.HandshakeFailed
	}
	return nil, reason
}

// judge compares an answer with what was expected. The body is read no further than to
// where the text is, and at most for 4 KiB. It is not closed, since that would read on;
// the connection is.
func (p *Probe) judge(resp *http.Response) model.Reason {
	expected := false
	for _, s := range p.check.Statuses {
		expected = expected || s.From <= resp.StatusCode && resp.StatusCode <= s.To
	}
	if !expected {
		return model.UnexpectedStatus
	}
	if p.check.Text == "" {
		return model.Fine
	}
	var body []byte
	for len(body) < mostBody {
		var chunk [mostBody]byte
		n, err := resp.Body.Read(chunk[:mostBody-len(body)])
		body = append(body, chunk[:n]...)
		if bytes.Contains(body, []byte(p.check.Text)) {
			return model.Fine
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return noAnswer(err)
		}
	}
	return model.TextMissing
}
