package config

import (
	"context"
	"sync"

	"fairlead.dev"
)

// calls tracks the calls under way, so that Close can end them, and so that the
// driver is not called after Close.
type calls struct {
	life context.Context
	stop context.CancelFunc
	mu   sync.Mutex // held while a call begins, and while life ends
	wg   sync.WaitGroup
}

func newCalls() *calls {
	life, stop := context.WithCancel(context.Background())
	return &calls{life: life, stop: stop}
}

// run calls f with a context that end cancels as well. It fails with Closed if
// end was called before, or made f fail.
func (c *calls) run(ctx context.Context, f func(context.Context) error) error {
	if !c.begin() {
		return errClosed()
	}
	defer c.wg.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	err := f(ctx)
	if code := fairlead.CodeOf(err); c.life.Err() != nil && (code == fairlead.Canceled || code == fairlead.DeadlineExceeded) {
		return errClosed()
	}
	return err
}

func (c *calls) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Err() != nil {
		return false
	}
	c.wg.Add(1)
	return true
}

// end cancels all calls, waits for them, and reports whether this is the first
// call of end.
func (c *calls) end() bool {
	c.mu.Lock()
	first := c.life.Err() == nil
	c.stop()
	c.mu.Unlock()
	c.wg.Wait()
	return first
}

func errClosed() error { return fairlead.Errorf(fairlead.Closed, "the source is closed") }
