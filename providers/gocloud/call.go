package gocloud

import (
	"context"
	"time"

	"fairlead.dev"
)

// lifetime is how long a handle is open. That of a handle lies within its
// provider's.
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
		return closedError()
	}
	return fairlead.ContextError(ctx)
}

func closedError() error {
	return fairlead.Errorf(fairlead.Closed, "the handle, or what it was opened from, is closed")
}

// noDeadline is for a wait that nothing but its end ends.
var noDeadline time.Time

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

// errGivenUp is the outcome of a call that did not end in time. Only call
// returns it.
type errGivenUp struct{ cause error }

func (e errGivenUp) Error() string { return "given up: " + e.cause.Error() }
func (e errGivenUp) Unwrap() error { return e.cause }

// call runs f, which may have started something when call returns without it,
// because ctx has ended or the handle was closed. Not every driver heeds its
// context. A panic of f is an error.
func (l lifetime) call(ctx context.Context, f func(ctx context.Context) error) error {
	if err := l.ready(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- guard(func() error { return f(ctx) }) }()
	select {
	case err := <-done:
		return err
	case <-l.ctx.Done():
		return settled(done, errGivenUp{closedError()})
	case <-ctx.Done():
		return settled(done, errGivenUp{fairlead.ContextError(ctx)})
	}
}

// grace is how long a call that is to end has to say what came of it.
const grace = 200 * time.Millisecond

// settled prefers the answer of a call that ends at this moment.
func settled(done <-chan error, givenUp error) error {
	select {
	case err := <-done:
		if err == nil {
			return nil
		}
	case <-time.After(grace):
	}
	return givenUp
}

// each runs f for 0 to n-1, at most atOnce at a time, and waits.
func each(n, atOnce int, f func(i int)) {
	if n == 1 {
		f(0)
		return
	}
	slots := make(chan struct{}, atOnce)
	for i := range n {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			f(i)
		}()
	}
	for range atOnce {
		slots <- struct{}{}
	}
}
