// Command coredns is CoreDNS with two plugins that ours does not have: CoreDNS's own
// etcd, which is a peer, and one that answers a constant, which is the floor.
package main

import (
	"fmt"
	"os"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/etcd"

	procdns "signpost/internal/proc/dns"
	"signpost/test/constant"
)

func main() {
	constant.Register()
	if err := dnsserver.SetDirectives(append(procdns.Directives(), "etcd", constant.Name)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	coremain.Run()
}
