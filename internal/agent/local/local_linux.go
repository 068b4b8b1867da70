package local

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"

	"signpost/internal/agent"
	"signpost/internal/model"
)

// Look finds the addresses.
func (c Choice) Look(context.Context) (agent.Seen, error) {
	none := agent.Seen{}
	trouble := func(what string, err error) (agent.Seen, error) {
		return none, model.E(model.Unavailable, "read "+what, "of this machine").From(err)
	}
	all, err := addresses()
	if err != nil {
		return trouble("the addresses", err)
	}
	if c.Interface != "" {
		link, err := net.InterfaceByName(c.Interface)
		if err != nil {
			return none, model.E(model.Unavailable, "find the interface", c.Interface).Because("there is none of this name")
		}
		return agent.Seen{Addresses: choose(all, func(bool) []int { return []int{link.Index} }, c.Private), Whole: true}, nil
	}
	routes, err := defaults()
	if err != nil {
		return trouble("the routes", err)
	}
	return agent.Seen{Addresses: choose(all, func(v4 bool) []int { return nearest(routes, v4) }, c.Private), Whole: true}, nil
}

// Of the kernel's rtnetlink(7), which package syscall lacks.
const (
	flagTemporary  = 0x01
	flagDADFailed  = 0x08
	flagDeprecated = 0x20
	flagTentative  = 0x40
	attrFlags      = 8 // IFA_FLAGS
	mainTable      = 254
	groups         = 0x10 | 0x100 | 0x40 | 0x400 // addresses and routes of IPv4 and IPv6
)

// dump asks the kernel for one of its tables and gives its messages.
func dump(kind int) ([]syscall.NetlinkMessage, error) {
	raw, err := syscall.NetlinkRIB(kind, syscall.AF_UNSPEC)
	if err != nil {
		return nil, os.NewSyscallError("netlink", err)
	}
	return syscall.ParseNetlinkMessage(raw)
}

// addresses is all addresses of the machine.
func addresses() ([]address, error) {
	messages, err := dump(syscall.RTM_GETADDR)
	if err != nil {
		return nil, err
	}
	var out []address
	for _, m := range messages {
		if m.Header.Type != syscall.RTM_NEWADDR || len(m.Data) < syscall.SizeofIfAddrmsg {
			continue
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			return nil, err
		}
		// struct ifaddrmsg: family, prefix length, flags, scope, interface
		a, flags := address{link: int(binary.NativeEndian.Uint32(m.Data[4:8]))}, uint32(m.Data[2])
		var local netip.Addr
		for _, at := range attrs {
			switch at.Attr.Type {
			case syscall.IFA_ADDRESS: // of a point-to-point link it is the other end's
				a.Addr, _ = netip.AddrFromSlice(at.Value)
			case syscall.IFA_LOCAL:
				local, _ = netip.AddrFromSlice(at.Value)
			case attrFlags:
				if len(at.Value) >= 4 {
					flags = binary.NativeEndian.Uint32(at.Value)
				}
			}
		}
		if local.IsValid() {
			a.Addr = local
		}
		if a.Is4() { // to IPv4 bit 1 means secondary
			flags &^= flagTemporary
		}
		a.passes = flags&(flagTemporary|flagDADFailed|flagDeprecated|flagTentative) != 0
		if a.IsValid() {
			out = append(out, a)
		}
	}
	return out, nil
}

// defaults is the default routes of the main table.
func defaults() ([]route, error) {
	messages, err := dump(syscall.RTM_GETROUTE)
	if err != nil {
		return nil, err
	}
	var out []route
	for _, m := range messages {
		// struct rtmsg: family, destination length, source length, tos, table, protocol, scope, type, flags
		if m.Header.Type != syscall.RTM_NEWROUTE || len(m.Data) < syscall.SizeofRtMsg || m.Data[1] != 0 || m.Data[4] != mainTable || m.Data[7] != syscall.RTN_UNICAST {
			continue
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			return nil, err
		}
		r := route{v4: m.Data[0] == syscall.AF_INET}
		var links []int
		for _, at := range attrs {
			switch {
			case at.Attr.Type == syscall.RTA_OIF && len(at.Value) >= 4:
				links = append(links, int(binary.NativeEndian.Uint32(at.Value)))
			case at.Attr.Type == syscall.RTA_PRIORITY && len(at.Value) >= 4:
				r.metric = binary.NativeEndian.Uint32(at.Value)
			case at.Attr.Type == syscall.RTA_MULTIPATH:
				links = append(links, hops(at.Value)...)
			}
		}
		for _, r.link = range links {
			out = append(out, r)
		}
	}
	return out, nil
}

// hops is the interfaces of a route with several ways, each a struct rtnexthop: length,
// flags, hops, interface.
func hops(raw []byte) (links []int) {
	for len(raw) >= syscall.SizeofRtNexthop {
		n := int(binary.NativeEndian.Uint16(raw))
		links = append(links, int(binary.NativeEndian.Uint32(raw[4:8])))
		if n < syscall.SizeofRtNexthop || n > len(raw) {
			break
		}
		raw = raw[min(len(raw), (n+3)&^3):]
	}
	return links
}

// Changes tells whenever an address or a route has changed, until ctx ends. It is never
// closed; several changes may be told as one.
func Changes(ctx context.Context) (<-chan struct{}, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, syscall.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("netlink", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK, Groups: groups}); err != nil {
		_ = syscall.Close(fd) // the error of interest is the other
		return nil, os.NewSyscallError("netlink", err)
	}
	socket := os.NewFile(uintptr(fd), "netlink")
	context.AfterFunc(ctx, func() { _ = socket.Close() }) // ends Read
	changes := make(chan struct{}, 1)
	go func() {
		buffer := make([]byte, 64<<10)
		for ctx.Err() == nil {
			// An error but for the end of ctx is that more came than the kernel keeps: a
			// change, too.
			if _, err := socket.Read(buffer); err != nil && !errors.Is(err, syscall.ENOBUFS) {
				return
			}
			select {
			case changes <- struct{}{}:
			default:
			}
		}
	}()
	return changes, nil
}
