// Package ports answers one question: which ports are free now? It is for
// programs and tests that start servers on one machine; what it names can be taken
// by somebody else before the caller binds it, so callers try again.
package ports

import (
	"errors"
	"net"
	"strconv"

	"signpost/internal/model"
)

// attempts is how often other ports are tried when a port is free for TCP and
// taken for UDP.
const attempts = 100

// Pairs finds n consecutive ports of host, each free for TCP and for UDP, and gives
// the first. host is an IP address. Errors are of kind Exhausted.
func Pairs(host string, n int) (int, error) {
	var last error
	for range attempts {
		first, err := pairs(host, n)
		if err == nil {
			return first, nil
		}
		last = err
	}
	return 0, model.E(model.Exhausted, "find free ports on", host).From(last).Hint("name the ports yourself")
}

// TCP finds one port of host that is free for TCP. Errors are of kind Exhausted.
func TCP(host string) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return 0, model.E(model.Exhausted, "find a free port on", host).From(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func pairs(host string, n int) (int, error) {
	first, err := TCP(host)
	if err != nil {
		return 0, err
	}
	if first+n-1 > 65535 {
		return 0, errors.New("the ports found are too near the last")
	}
	for port := first; port < first+n; port++ {
		if err := Free(net.JoinHostPort(host, strconv.Itoa(port))); err != nil {
			return 0, err
		}
	}
	return first, nil
}

// Free says whether HOST:PORT can be taken for TCP and for UDP by somebody who does
// not share it.
func Free(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer l.Close()
	p, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	return p.Close()
}
