// Package batch answers one question: how do UDP packets come and go many at a time,
// on an address that another socket serves already? It opens further sockets on that
// address, has the kernel give them all packets (SO_REUSEPORT and a filter), and reads
// and writes with one system call for many. It knows nothing of DNS.
package batch

import (
	"net"
	"net/netip"
)

// Handler is who the packets are for. Its methods are called by many goroutines.
type Handler interface {
	// Worker gives what one socket's goroutine uses alone, for as long as the handler
	// is the group's.
	Worker() Worker
	// Take gets a packet that no Worker answered at once. It may not block.
	Take(Packet)
}

// Worker answers packets one after another, in one goroutine.
type Worker interface {
	// Begin is called before the packets of a batch, with their number.
	Begin(packets int)
	// Answer writes the reply to a packet into reply, which has room for MaxReply
	// octets, and gives its length; 0 leaves the packet to Handler.Take, and a
	// negative number drops it. Neither slice may be kept. v4 says that the client's
	// address is an IPv4 one.
	Answer(packet, reply []byte, from netip.Addr) int
	// End is called when the replies of a batch have been sent.
	End()
}

const (
	// MaxPacket is how much of a packet is read, as CoreDNS does (RFC 1035 section
	// 2.3.4: no plain question is longer).
	MaxPacket = 512
	// MaxReply is the longest reply of a Worker: what passes everywhere in one piece.
	MaxReply = 1232
	// MaxSockets is the most sockets of a Group.
	MaxSockets = 64

	// size is how many packets are read at the most in one system call.
	size = 64
)

// Packet is one that was left to Handler.Take, which owns it.
type Packet struct {
	Data []byte
	// Client is a *net.UDPAddr behind Unwrap; Reply needs just this value.
	Client *Client
}

// Client is where a packet came from, and which of our addresses it was sent to. It
// is a net.Addr.
type Client struct {
	addr  net.UDPAddr
	group *Group
	local []byte // the control message that makes replies leave from the right address; nil: none is needed
}

// Network is "udp".
func (*Client) Network() string { return "udp" }

// String is the client's address and port.
func (c *Client) String() string { return c.addr.String() }

// Unwrap gives the *net.UDPAddr, as CoreDNS looks for it.
func (c *Client) Unwrap() net.Addr { return &c.addr }

// Reply sends b to the client, from the address that it had sent to. It may be called
// late: when the socket that the packet came from is closed, another of the group is
// used. Errors are of package net; net.ErrClosed when the group is closed.
func (c *Client) Reply(b []byte) (int, error) { return c.group.reply(b, c.local, c.addr.AddrPort()) }
