package memory

import (
	"context"
	"time"

	"fairlead.dev"
)

// lifetime says how long a handle is open. A watcher's lifetime ends with its
// store's, and a store's with its provider's.
type lifetime struct {
	ctx context.Context
	end context.CancelFunc
}

func newLifetime(parent context.Context) lifetime {
	ctx, end := context.WithCancel(parent)
	return lifetime{ctx, end}
}

// check returns the error of a call that cannot begin or continue: the handle is
// closed, or the context of the call has ended.
func (l lifetime) check(ctx context.Context) error {
	if l.ctx.Err() != nil {
		return fairlead.Errorf(fairlead.Closed, "the handle, or the provider that it belongs to, is closed")
	}
	return fairlead.ContextError(ctx)
}

// wait blocks until changed is closed, until a time (unless that is zero), or
// until the call cannot continue. In the last case it returns the error.
func (l lifetime) wait(ctx context.Context, changed <-chan struct{}, until time.Time) error {
	var timeout <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-changed:
	case <-timeout:
	case <-l.ctx.Done():
	case <-ctx.Done():
	}
	return l.check(ctx)
}
