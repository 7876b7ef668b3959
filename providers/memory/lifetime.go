package memory

import (
	"context"
	"time"

	"fairlead.dev"
)

// lifetime is how long a handle is open. That of a watcher lies within that
// of its store, and that within the provider's.
type lifetime struct {
	ctx context.Context
	end context.CancelFunc
}

func newLifetime(parent context.Context) lifetime {
	ctx, end := context.WithCancel(parent)
	return lifetime{ctx, end}
}

// ready returns why a call with this context may not go on.
func (l lifetime) ready(ctx context.Context) error {
	if l.ctx.Err() != nil {
		return fairlead.Errorf(fairlead.Closed, "the handle, or what it was opened from, is closed")
	}
	return fairlead.ContextError(ctx)
}

// wait blocks until changed is closed, until the time at (if it is not zero),
// or until the call may not go on; it returns the reason of the last.
func (l lifetime) wait(ctx context.Context, changed <-chan struct{}, at time.Time) error {
	var timeout <-chan time.Time
	if !at.IsZero() {
		timer := time.NewTimer(time.Until(at))
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-changed:
	case <-timeout:
	case <-l.ctx.Done():
	case <-ctx.Done():
	}
	return l.ready(ctx)
}
