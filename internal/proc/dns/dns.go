// Package dns answers one question: how does a DNS server, CoreDNS with the
// signpost plugin, start and stop inside a process? The coredns binary takes its
// choice of plugins from here and does the rest as CoreDNS does.
package dns

import (
	"errors"
	"net"
	"strings"
	"sync"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"

	"signpost/internal/model"
	signpost "signpost/plugin"
)

// Server is a running DNS server: all server blocks of one Corefile.
type Server struct {
	mu       sync.Mutex
	instance *caddy.Instance
}

// starting keeps starts and reloads apart: caddy and dnsserver hold settings of
// the process.
var starting sync.Mutex

// Start starts what the Corefile says and returns when its sockets are served.
// Ports must be named: a port 0 would be a different one for UDP and TCP. When it
// fails nothing is left that answers or follows etcd, but sockets that were open
// by then may stay so: caddy keeps no list. Errors are of kind Invalid.
func Start(corefile string) (*Server, error) {
	starting.Lock()
	defer starting.Unlock()
	if !caddy.Quiet || !dnsserver.Quiet {
		caddy.Quiet, dnsserver.Quiet = true, true // nothing but the log is written to standard output
	}
	instance, err := caddy.Start(input(corefile))
	if err != nil {
		signpost.Abandon() // not instance.ShutdownCallbacks: some wait for what never started
		return nil, model.E(model.Invalid, "start DNS server", "").From(err)
	}
	await(instance)
	return &Server{instance: instance}, nil
}

// Reload replaces the Corefile without a gap in answering, as SIGUSR1 does. When it
// fails the server runs on as it was. Errors are of kind Invalid.
func (s *Server) Reload(corefile string) error {
	starting.Lock()
	defer starting.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	next, err := s.instance.Restart(input(corefile))
	if err != nil {
		return model.E(model.Invalid, "reload DNS server", "").From(err)
	}
	await(next)
	s.instance = next
	return nil
}

// Stop ends the server: plugins close first, then queries under way are answered
// and the sockets closed. It may be called once.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := s.instance.ShutdownCallbacks()
	errs = append(errs, s.instance.Stop())
	s.instance.Wait()
	return errors.Join(errs...)
}

// UDP and TCP are the addresses that are listened on, one for each socket.
func (s *Server) UDP() []net.Addr { return s.addresses(caddy.ServerListener.LocalAddr) }

// TCP is the addresses of the stream sockets; see UDP.
func (s *Server) TCP() []net.Addr { return s.addresses(caddy.ServerListener.Addr) }

func (s *Server) addresses(of func(caddy.ServerListener) net.Addr) []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []net.Addr
	for _, l := range s.instance.Servers() {
		if a := of(l); a != nil {
			out = append(out, a)
		}
	}
	return out
}

func input(corefile string) caddy.Input {
	return caddy.CaddyfileInput{Contents: []byte(strings.TrimSpace(corefile) + "\n"), Filepath: "Corefile", ServerTypeName: "dns"}
}
