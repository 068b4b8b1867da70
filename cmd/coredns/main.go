// Command coredns is CoreDNS with the signpost plugin and a chosen set of CoreDNS's
// own. It has the same flags and takes the same Corefile.
package main

import (
	"github.com/coredns/coredns/coremain"

	_ "signpost/internal/proc/dns" // the plugins and their order
)

func main() { coremain.Run() }
