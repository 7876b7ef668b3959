package redis

import (
	"context"

	"fairlead.dev"
)

// handle is the life of a topic's or subscription's handle. It ends with the
// provider at the latest.
type handle struct {
	p    *provider
	life context.Context
	end  context.CancelFunc
}

func newHandle(p *provider) handle {
	h := handle{p: p}
	h.life, h.end = context.WithCancel(p.life)
	return h
}

// readyError returns why a call with this context cannot begin or continue.
func (h *handle) readyError(ctx context.Context) error {
	if h.life.Err() != nil {
		return fairlead.Errorf(fairlead.Closed, "the handle, or the provider, is closed")
	}
	if err := ctx.Err(); err != nil {
		return mapErr(err, false)
	}
	return nil
}
