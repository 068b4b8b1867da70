//go:build !linux

package batch

import (
	"errors"
	"net/netip"
)

var errUnsupported = errors.New("batches of UDP packets need Linux")

// Group is the further sockets on one address; there are none on this system.
type Group struct{}

// Open gives an error: this system cannot steer packets to sockets.
func Open(string, int, Handler) (*Group, error) { return nil, errUnsupported }

// Use does nothing.
func (*Group) Use(Handler) {}

// Resize gives an error.
func (*Group) Resize(int) error { return errUnsupported }

// Size is 0.
func (*Group) Size() int { return 0 }

// Yield does nothing.
func (*Group) Yield() error { return nil }

// Close does nothing.
func (*Group) Close() error { return nil }

func (*Group) reply([]byte, []byte, netip.AddrPort) (int, error) { return 0, errUnsupported }
