package portable

import (
	"context"
	"sync"

	"fairlead.dev"
)

// lazyHandle is a handle that is opened at its first use, and closed once.
type lazyHandle[H interface{ Close(context.Context) error }] struct {
	open func(ctx context.Context) (H, error)

	mu     sync.Mutex
	handle H
	opened bool
	closed bool
}

func (l *lazyHandle[H]) get(ctx context.Context) (H, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var none H
	if l.closed {
		return none, fairlead.Errorf(fairlead.Closed, "the topic or subscription is shut down")
	}
	if l.opened {
		return l.handle, nil
	}
	h, err := l.open(ctx)
	if err != nil {
		return none, err
	}
	l.handle, l.opened = h, true
	return h, nil
}

// peek returns the handle if it is open.
func (l *lazyHandle[H]) peek() (h H, opened bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.handle, l.opened
}

func (l *lazyHandle[H]) close(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || !l.opened {
		l.closed = true
		return nil
	}
	l.closed = true
	return l.handle.Close(ctx)
}
