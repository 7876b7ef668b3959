package config

import (
	"cmp"
	"context"
	"sync"

	"fairlead.dev"
	"fairlead.dev/internal/handle"
)

// calls tracks the calls under way, so that Close and a requirement that is lost
// can end them, and so that the driver is not called after Close.
type calls struct {
	requirements *handle.Requirements

	life context.Context
	stop context.CancelFunc
	mu   sync.Mutex // held while a call begins, and while life ends
	wg   sync.WaitGroup
}

func newCalls(r *handle.Requirements) *calls {
	life, stop := context.WithCancel(context.Background())
	return &calls{requirements: r, life: life, stop: stop}
}

// run calls f with a context that end and the loss of a requirement cancel as well.
// It fails with Closed if end was called before, or made f fail, and with
// Unsupported while a requirement does not hold.
func (c *calls) run(ctx context.Context, f func(context.Context) error) error {
	if !c.begin() {
		return errClosed()
	}
	defer c.wg.Done()
	if err := c.requirements.Check(); err != nil {
		return err
	}
	ctx, cancel := c.requirements.WhileHeld(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	err := f(ctx)
	code := fairlead.CodeOf(err)
	if code != fairlead.Canceled && code != fairlead.DeadlineExceeded {
		return err
	}
	if c.life.Err() != nil {
		return errClosed()
	}
	return cmp.Or(c.requirements.Check(), err)
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
// call of end. It ends the checking of the requirements.
func (c *calls) end() bool {
	c.mu.Lock()
	first := c.life.Err() == nil
	c.stop()
	c.mu.Unlock()
	c.wg.Wait()
	c.requirements.Close()
	return first
}

func errClosed() error { return fairlead.Errorf(fairlead.Closed, "the source is closed") }
