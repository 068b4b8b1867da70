package controlapi

import (
	"context"

	"signpost/controlapi/call"
	"signpost/controlapi/certificates"
	"signpost/controlapi/hosts"
	"signpost/controlapi/zonefile"
)

// The words of the rooms that the ways in need, so that those know this package alone.
type (
	// Caller is what came with a call besides its request. The way in fills it; a call
	// without one is nobody's.
	Caller = call.Caller
	// Barred is whom a service has nothing to do with, by its configuration.
	Barred = call.Barred
	// Authority is a certificate authority, and how much is asked of it.
	Authority = certificates.Authority
	// HostError is why one of several hosts was refused its addresses.
	HostError = hosts.HostError
	// AddressesSet is what became of one of several hosts whose addresses were set.
	AddressesSet = hosts.AddressesSet
)

// MaxImport is how many octets a zone file may have, unless a Config says otherwise.
const MaxImport = zonefile.MaxImport

// WithCaller is ctx with the caller of the service's methods in it.
func WithCaller(ctx context.Context, c Caller) context.Context { return call.WithCaller(ctx, c) }

// ParseBarred reads what a configuration says. Errors are of kind Invalid and name the
// setting.
func ParseBarred(hosts, principals, agents, addresses []string) (Barred, error) {
	return call.ParseBarred(hosts, principals, agents, addresses)
}
