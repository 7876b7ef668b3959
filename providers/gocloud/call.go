package gocloud

import (
	"context"
	"time"

	"fairlead.dev"
	"fairlead.dev/providers"
)

// errAbandoned is the result of a call that did not end in time. Only call
// returns it.
type errAbandoned struct{ cause error }

func (e errAbandoned) Error() string { return "abandoned: " + e.cause.Error() }
func (e errAbandoned) Unwrap() error { return e.cause }

// unwrapAbandoned returns the cause of an abandoned call that had no effect.
func unwrapAbandoned(err error) error {
	if abandoned, ok := err.(errAbandoned); ok {
		return abandoned.cause
	}
	return err
}

// call runs f in a goroutine, since not every driver obeys its context. When ctx
// or life ends, call returns without f, which may still have an effect. A panic
// of f is an error.
func call(ctx context.Context, life *providers.Lifetime, f func(ctx context.Context) error) error {
	if err := life.Check(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- recoverPanic(func() error { return f(ctx) }) }()
	select {
	case err := <-done:
		return err
	case <-life.Done():
		return waitForSuccess(done, errAbandoned{life.Err()})
	case <-ctx.Done():
		return waitForSuccess(done, errAbandoned{fairlead.ContextError(ctx)})
	}
}

// grace is how long call waits for the result of f after the end of its context.
const grace = 200 * time.Millisecond

// waitForSuccess returns nil if the call succeeds within grace. Otherwise it
// returns the error of its abandonment.
func waitForSuccess(done <-chan error, abandoned error) error {
	select {
	case err := <-done:
		if err == nil {
			return nil
		}
	case <-time.After(grace):
	}
	return abandoned
}

// forEach runs f for 0 to n-1, at most concurrency at a time, and waits.
func forEach(n, concurrency int, f func(i int)) {
	if n == 1 {
		f(0)
		return
	}
	slots := make(chan struct{}, concurrency)
	for i := range n {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			f(i)
		}()
	}
	for range concurrency {
		slots <- struct{}{}
	}
}
