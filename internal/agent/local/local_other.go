//go:build !linux

package local

import (
	"context"

	"signpost/internal/agent"
	"signpost/internal/model"
)

// Look says that it cannot.
func (c Choice) Look(context.Context) (agent.Seen, error) {
	return agent.Seen{}, model.E(model.Invalid, "read the addresses", "of this machine").Because("interfaces are read on Linux only").
		Hint("give --address-command, or --addresses server")
}

// Changes tells nothing: there is no Look to hasten.
func Changes(context.Context) (<-chan struct{}, error) { return nil, nil }
