// Package dev answers one question: how does all of Signpost start and stop in one
// process, for trying it out? An embedded etcd, DNS replicas that each follow it for
// themselves, a control service, a sample zone.
package dev

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/spf13/pflag"

	"signpost/internal/model"
	"signpost/internal/proc/ports"
)

// Options are the flags of signpost-dev.
type Options struct {
	DataDir      string // kept between runs; a temporary place when Ephemeral
	DNSListen    string // HOST:PORT of the first replica; the others follow
	HTTPListen   string
	Zone         string
	Replicas     int
	EtcdListen   string // "": a free port
	Ephemeral    bool
	UnsafeListen bool

	ACMEDirectory string // "": certificates are not to be had
	ACMECA        string // file of who vouches for it; "": the system's
}

// Flags declares the flags with their defaults.
func (o *Options) Flags(f *pflag.FlagSet) {
	f.StringVar(&o.DataDir, "data-dir", ".signpost", "where the data is kept between runs")
	f.StringVar(&o.DNSListen, "dns-listen", "127.0.0.1:5300", "HOST:PORT of the first DNS replica, UDP and TCP; the others take the next ports")
	f.StringVar(&o.HTTPListen, "http-listen", "127.0.0.1:8080", "HOST:PORT of gRPC, REST and /nic/*")
	f.StringVar(&o.Zone, "zone", "fedcloud.test", "a zone that is created if missing")
	f.IntVar(&o.Replicas, "replicas", 2, "how many DNS replicas")
	f.StringVar(&o.EtcdListen, "etcd-listen", "", "HOST:PORT of etcd for another coredns or etcdctl (default a free port)")
	f.BoolVar(&o.Ephemeral, "ephemeral", false, "use fresh data in a temporary place and remove it at the end")
	f.StringVar(&o.ACMEDirectory, "acme-directory", "", "URL of the directory of a certificate authority (ACME), such as a Pebble's on this machine")
	f.StringVar(&o.ACMECA, "acme-ca-file", "", "certificates (PEM) of who vouches for --acme-directory (default those of the system)")
	f.BoolVar(&o.UnsafeListen, "unsafe-listen", false, "allow addresses other than loopback: anybody who reaches them can read and guess, and change everything through --etcd-listen")
}

// plan is Options made exact: every address an IP and a port.
type plan struct {
	zone  model.Name
	dns   []string
	found bool // the ports of dns, that were free
	http  string
	etcd  string
}

func (o Options) plan() (plan, error) {
	var p plan
	var err error
	if p.zone, err = model.ParseHostName("--zone", o.Zone); err != nil {
		return p, err
	}
	if o.Replicas < 1 || o.Replicas > 16 {
		return p, model.E(model.Invalid, "read flag", "--replicas").Because(fmt.Sprintf("%d is not from 1 to 16", o.Replicas))
	}
	first, err := o.address("--dns-listen", o.DNSListen)
	if err != nil {
		return p, err
	}
	port := int(first.Port())
	if port == 0 {
		p.found = true
		if port, err = ports.Pairs(first.Addr().String(), o.Replicas); err != nil {
			return p, err
		}
	}
	if port+o.Replicas-1 > 65535 {
		return p, model.E(model.Invalid, "read flag", "--dns-listen").Because("there are not enough ports after " + strconv.Itoa(port))
	}
	for i := range o.Replicas {
		p.dns = append(p.dns, net.JoinHostPort(first.Addr().String(), strconv.Itoa(port+i)))
	}
	http, err := o.address("--http-listen", o.HTTPListen)
	if err != nil {
		return p, err
	}
	p.http = http.String()
	if o.EtcdListen != "" {
		etcd, err := o.address("--etcd-listen", o.EtcdListen)
		if err != nil {
			return p, err
		}
		p.etcd = etcd.String()
	}
	return p, nil
}

func (o Options) address(flag, s string) (netip.AddrPort, error) {
	bad := func(why, hint string) (netip.AddrPort, error) {
		return netip.AddrPort{}, model.E(model.Invalid, "read flag", flag).Because(strconv.Quote(s) + " " + why).Hint(hint)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return bad("is not HOST:PORT", "give one such as 127.0.0.1:5300")
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return bad("has no IP address before the port", "give one such as 127.0.0.1:5300")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return bad("has no port from 0 to 65535", "give one such as 127.0.0.1:5300")
	}
	if !ip.IsLoopback() && !o.UnsafeListen {
		return bad("is not a loopback address", "add --unsafe-listen if others may reach it")
	}
	return netip.AddrPortFrom(ip, uint16(n)), nil
}
