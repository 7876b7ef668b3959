package handle

import (
	"context"
	"sync/atomic"

	"fairlead.dev"
)

// Requirements says whether what a program requires still holds. A nil
// *Requirements always holds.
type Requirements struct {
	state   atomic.Pointer[requirementState]
	stop    context.CancelFunc
	stopped chan struct{} // closed when the checking goroutine has ended
}

// requirementState is what one description says of the requirements.
type requirementState struct {
	lost error           // nil while all hold
	held context.Context // ends when one is lost
	end  context.CancelFunc
}

// WatchRequirements calls check with every description of p after a generation, in a
// goroutine that ends with Close or with the provider. check returns an error while
// a requirement does not hold.
func WatchRequirements(p fairlead.Provider, generation uint64, check func(fairlead.Description) error) *Requirements {
	ctx, stop := context.WithCancel(context.Background())
	r := &Requirements{stop: stop, stopped: make(chan struct{})}
	r.set(nil)
	go func() {
		defer close(r.stopped)
		for {
			d, err := p.Await(ctx, generation)
			if err != nil {
				return // the provider is closed: every call of the facet fails by itself
			}
			generation = d.Generation
			r.set(check(d))
		}
	}()
	return r
}

// set replaces the state. Waits that began while the requirements held end if they
// do so no more.
func (r *Requirements) set(lost error) {
	old := r.state.Load()
	if old != nil && old.lost == nil && lost == nil {
		return
	}
	next := &requirementState{lost: lost}
	next.held, next.end = context.WithCancel(context.Background())
	r.state.Store(next)
	if old != nil {
		old.end()
	}
}

// Check returns an Unsupported error while a requirement does not hold.
func (r *Requirements) Check() error {
	if r == nil {
		return nil
	}
	return r.state.Load().lost
}

// WhileHeld returns a context that also ends when a requirement is lost, and the
// function that releases it. A call that waits with it calls Check before and after.
func (r *Requirements) WhileHeld(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if r == nil {
		return ctx, cancel
	}
	state := r.state.Load()
	stop := context.AfterFunc(state.held, func() {
		if r.Check() != nil {
			cancel()
		}
	})
	return ctx, func() { stop(); cancel() }
}

// Close stops the checking, and returns when its goroutine has ended.
func (r *Requirements) Close() {
	if r != nil {
		r.stop()
		<-r.stopped
	}
}
