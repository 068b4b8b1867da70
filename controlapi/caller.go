package controlapi

import (
	"context"

	"signpost/controlapi/call"
)

// Caller is what came with a call besides its request. The way in fills it; a
// call without one is nobody's.
type Caller = call.Caller

// WithCaller is ctx with the caller of the service's methods in it.
func WithCaller(ctx context.Context, c Caller) context.Context { return call.WithCaller(ctx, c) }

// Barred is whom a service has nothing to do with, by its configuration.
type Barred = call.Barred

// ParseBarred reads what a configuration says. Errors are of kind Invalid and name the
// setting.
func ParseBarred(hosts, principals, agents, addresses []string) (Barred, error) {
	return call.ParseBarred(hosts, principals, agents, addresses)
}
