package ports

import (
	"net"
	"strconv"
	"testing"
)

func TestPairsAreFreeForTCPAndUDPAndConsecutive(t *testing.T) {
	first, err := Pairs("127.0.0.1", 3)
	if err != nil {
		t.Fatal(err)
	}
	for port := first; port < first+3; port++ {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		p, err := net.ListenPacket("udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
	}
}

func TestNoPortsOnAForeignAddress(t *testing.T) {
	if _, err := Pairs("192.0.2.1", 1); err == nil {
		t.Error("ports were found on an address that is not ours")
	}
}
