package batch

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is one of a group, with the goroutine that serves it.
type socket struct {
	group   *Group
	conn    *net.UDPConn
	raw     syscall.RawConn
	v6      bool // addresses are those of IPv6, with IPv4 mapped into them
	leaving atomic.Bool
	with    atomic.Pointer[Handler] // whose the packets in hand are; nil: there are none
	done    chan struct{}           // closed when the goroutine has ended
	in, out [size]message
	headers struct{ in, out [size]mmsghdr }
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

// message is the memory of one packet. A reply uses the address of its packet.
type message struct {
	iov  unix.Iovec
	name unix.RawSockaddrInet6 // or RawSockaddrInet4, which is shorter
	oob  [64]byte
	data [MaxReply]byte
}

func (s *socket) prepare() error {
	var err error
	if s.raw, err = s.conn.SyscallConn(); err != nil {
		return err
	}
	if err := control(s.raw, func(fd int) error {
		domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		s.v6 = domain == unix.AF_INET6
		return err
	}); err != nil {
		return err
	}
	for i := range size {
		in, out := &s.in[i], &s.out[i]
		in.iov = unix.Iovec{Base: &in.data[0], Len: MaxPacket}
		out.iov.Base = &out.data[0]
		s.headers.in[i].hdr = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&in.name)), Iov: &in.iov, Iovlen: 1}
		s.headers.out[i].hdr = unix.Msghdr{Iov: &out.iov, Iovlen: 1}
		if s.group.wildcard {
			s.headers.in[i].hdr.Control = &in.oob[0]
		}
	}
	return nil
}

func (s *socket) start() {
	go func() {
		defer close(s.done)
		s.serve()
	}()
}

// leave has the goroutine end when it has handled what is there.
func (s *socket) leave() {
	s.leaving.Store(true)
	_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // wakes it; the socket is open
}

// serve handles packets until the socket leaves and is empty, or is closed.
func (s *socket) serve() {
	var from *Handler
	var w Worker
	for {
		err := s.raw.Read(func(fd uintptr) bool {
			for {
				leaving := s.leaving.Load() // looked at first: what comes before it is set is read
				n := s.receive(int(fd))
				if n == 0 {
					return leaving // or wait until there is something
				}
				if h := s.take(); h != from {
					from, w = h, (*h).Worker()
				}
				s.handle(int(fd), n, w, *from)
				s.with.Store(nil)
			}
		})
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			// Once more without waiting: what came before the deadline is still there.
			if s.conn.SetReadDeadline(time.Time{}) != nil {
				return
			}
		case err != nil, s.leaving.Load():
			return
		}
	}
}

// turnAway has the kernel give the socket nothing more, but for what is on its way. The
// filter is not enough for a socket that will be closed: closing takes it out of the
// group first and only then out of the table of sockets, and who finds it there meanwhile
// (udp_lib_unhash) gives the packet to it and to no other of the group. A socket that is
// connected is found by its peer alone, and this one's peer would be itself.
func (s *socket) turnAway() {
	_ = control(s.raw, func(fd int) error { // without it the old risk remains
		self, err := unix.Getsockname(fd)
		if err != nil {
			return err
		}
		switch a := self.(type) {
		case *unix.SockaddrInet4:
			if a.Addr == [4]byte{} {
				a.Addr = [4]byte{127, 0, 0, 1}
			}
		case *unix.SockaddrInet6:
			if a.Addr == [16]byte{} {
				a.Addr = netip.IPv6Loopback().As16()
			}
		}
		return unix.Connect(fd, self)
	})
}

// take says whose the packets are that were just read, so that Group.Use can wait for
// them.
func (s *socket) take() *Handler {
	for {
		h := s.group.handler.Load()
		s.with.Store(h)
		if h == s.group.handler.Load() {
			return h
		}
	}
}

// receive reads what is there, and gives the number of packets.
//
// Neither it nor send lets Go's scheduler know of the system call, for neither waits in
// it: at low rates the thread that the scheduler wakes to watch such calls would take
// half of all processor time.
func (s *socket) receive(fd int) int {
	for i := range s.headers.in {
		h := &s.headers.in[i].hdr
		h.Namelen = unix.SizeofSockaddrInet6
		if s.group.wildcard {
			h.SetControllen(len(s.in[i].oob))
		}
	}
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&s.headers.in)), size, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n)
		case unix.EINTR, unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH: // of an earlier reply
			continue
		}
		return 0
	}
}

// handle answers n packets.
func (s *socket) handle(fd, n int, w Worker, h Handler) {
	w.Begin(n)
	replies := 0
	for i := range n {
		in, head := &s.in[i], &s.headers.in[i]
		if head.hdr.Namelen == 0 {
			continue
		}
		packet := in.data[:head.len:head.len]
		addr, port := s.client(&in.name)
		out := &s.out[replies]
		length := w.Answer(packet, out.data[:], addr)
		switch {
		case length > 0:
			out.iov.SetLen(length)
			to := &s.headers.out[replies].hdr
			to.Name, to.Namelen = head.hdr.Name, head.hdr.Namelen
			if s.group.wildcard {
				to.Control = &out.oob[0]
				to.SetControllen(s.source(in.oob[:head.hdr.Controllen], out.oob[:]))
			}
			replies++
		case length == 0:
			c := &Client{group: s.group, addr: net.UDPAddr{IP: addr.AsSlice(), Port: int(port), Zone: addr.Zone()}}
			if s.group.wildcard {
				var b [64]byte
				c.local = b[:s.source(in.oob[:head.hdr.Controllen], b[:])]
			}
			h.Take(Packet{Data: append([]byte(nil), packet...), Client: c})
		}
	}
	s.send(fd, replies)
	w.End()
}

// client reads a socket address.
func (s *socket) client(name *unix.RawSockaddrInet6) (netip.Addr, uint16) {
	port := name.Port>>8 | name.Port<<8 // it stands in network order
	if !s.v6 {
		return netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr), port
	}
	a := netip.AddrFrom16(name.Addr).Unmap()
	if name.Scope_id != 0 && a.Is6() {
		a = a.WithZone(zoneName(name.Scope_id))
	}
	return a, port
}

// zoneName is an interface's name; packets from link-local addresses are few.
func zoneName(index uint32) string {
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		return i.Name
	}
	return ""
}

// source makes of the control message that came with a packet the one that makes its
// reply leave from the address that the packet was sent to, and gives its length.
func (s *socket) source(came, out []byte) int {
	for len(came) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&came[0]))
		l := int(h.Len)
		if l < unix.SizeofCmsghdr || l > len(came) {
			return 0
		}
		body := came[unix.CmsgLen(0):l]
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(body) >= unix.SizeofInet4Pktinfo:
			info := *(*unix.Inet4Pktinfo)(unsafe.Pointer(&body[0]))
			info.Ifindex, info.Spec_dst = 0, info.Addr // the route decides the interface
			return putControl(out, h, unsafe.Slice((*byte)(unsafe.Pointer(&info)), unix.SizeofInet4Pktinfo))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(body) >= unix.SizeofInet6Pktinfo:
			info := *(*unix.Inet6Pktinfo)(unsafe.Pointer(&body[0]))
			if !netip.AddrFrom16(info.Addr).IsLinkLocalUnicast() {
				info.Ifindex = 0
			}
			return putControl(out, h, unsafe.Slice((*byte)(unsafe.Pointer(&info)), unix.SizeofInet6Pktinfo))
		}
		came = came[min(len(came), unix.CmsgSpace(l-unix.CmsgLen(0))):]
	}
	return 0
}

func putControl(out []byte, h *unix.Cmsghdr, body []byte) int {
	o := (*unix.Cmsghdr)(unsafe.Pointer(&out[0]))
	o.Level, o.Type = h.Level, h.Type
	o.SetLen(unix.CmsgLen(len(body)))
	copy(out[unix.CmsgLen(0):], body)
	return unix.CmsgSpace(len(body))
}

// send sends the first n of out. A reply that cannot be sent is lost, as on the way.
func (s *socket) send(fd, n int) {
	for at := 0; at < n; {
		sent, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&s.headers.out[at])), uintptr(n-at), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			at += int(sent)
		case unix.EINTR:
		case unix.EAGAIN, unix.ENOBUFS:
			if !writable(fd) {
				return
			}
		default:
			at++ // this one's client cannot be reached
		}
	}
}

// sendWithin bounds the wait for room in the socket's buffer.
const sendWithin = 100 * time.Millisecond

func writable(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(p, int(sendWithin.Milliseconds()))
	return n > 0 || errors.Is(err, unix.EINTR)
}
