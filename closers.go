package fairlead

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Closer is what a program opens and has to close: providers, stores, topics,
// subscriptions, watchers, rpc servers and Closers themselves.
type Closer interface {
	Close(ctx context.Context) error
}

// CloserFunc makes a function a [Closer], for example
//
//	fairlead.CloserFunc(httpServer.Shutdown)
type CloserFunc func(ctx context.Context) error

// Close calls f.
func (f CloserFunc) Close(ctx context.Context) error { return f(ctx) }

// Closers closes what a program has opened, the last opened first, so that a
// store is closed before its provider. The zero value is ready for use. All
// methods may be called concurrently.
//
//	var opened fairlead.Closers
//	defer opened.CloseWithin(10 * time.Second)
//
//	p, err := fairlead.Open(ctx, url)
//	if err != nil { … }
//	opened.Add(p)
type Closers struct {
	mu     sync.Mutex
	opened []Closer
}

// Add makes the next Close close c, before everything that was added before. It
// panics if c is nil: check the error of the call that opened it first.
func (cs *Closers) Add(c Closer) {
	if c == nil {
		panic("fairlead: Closers.Add needs a closer, got nil; check the error of the call that opened it first")
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.opened = append(cs.opened, c)
}

// closeGrace is how long Close waits for a closer to return after the context
// has ended.
const closeGrace = time.Second

// Close closes one after the other, the last added first, and returns all
// their errors joined. After the context has ended, the rest is still closed,
// each with the ended context. If a closer then does not return within a second,
// Close does not wait for it any longer, and reports DeadlineExceeded or Canceled
// for it. A closer that panics, or that ends its goroutine, counts as failed with Internal. A second
// call closes the closers that were added since the first.
func (cs *Closers) Close(ctx context.Context) error {
	cs.mu.Lock()
	opened := cs.opened
	cs.opened = nil
	cs.mu.Unlock()
	var errs []error
	for _, c := range slices.Backward(opened) {
		errs = append(errs, closeOne(ctx, c))
	}
	return errors.Join(errs...)
}

// CloseWithin is Close with a context that ends after d.
func (cs *Closers) CloseWithin(d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return cs.Close(ctx)
}

// closeOne returns when c is closed, or a second after the context has ended.
func closeOne(ctx context.Context, c Closer) error {
	closed := make(chan error, 1)
	go func() {
		var err error = Errorf(Internal, "closing %T: Close ended its goroutine (runtime.Goexit)", c)
		defer func() { closed <- err }()
		err = recoverClose(ctx, c)
	}()
	select {
	case err := <-closed:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-closed:
		return err
	case <-time.After(closeGrace):
		return Errorf(CodeOf(ctx.Err()), "closing %T: it did not return within %v of the end of the context: %w", c, closeGrace, ctx.Err())
	}
}

// recoverClose calls Close. A panic becomes an error, so that the rest is closed.
func recoverClose(ctx context.Context, c Closer) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = Errorf(Internal, "closing %T: Close panicked: %v", c, r)
		}
	}()
	return c.Close(ctx)
}
