package providers

import (
	"context"
	"errors"
	"sync"
	"time"

	"fairlead.dev"
)

// Lifetime is how long a provider, or a handle that was opened from it, is
// open. It has a context that ends with it, it says why a call may not begin,
// and it counts the calls under way. A provider has a Lifetime of its own from
// [NewLifetime]; each of its handles has a child of that, and a watcher of a
// store has a child of the store's.
//
// A Lifetime ends when End or Fail is called, or when its parent ends. What
// ended it first is the error of all later calls.
//
// All methods may be called concurrently.
type Lifetime struct {
	name   string
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu      sync.Mutex // held while a call begins, and while the lifetime ends
	ended   bool       // End was called
	running sync.WaitGroup
}

// NewLifetime returns the lifetime of something that is called name in errors,
// for example "provider".
func NewLifetime(name string) *Lifetime { return newLifetime(context.Background(), name) }

// Child returns a lifetime that ends with l at the latest. The caller ends it:
// until then l refers to it.
func (l *Lifetime) Child(name string) *Lifetime { return newLifetime(l.ctx, name) }

func newLifetime(parent context.Context, name string) *Lifetime {
	l := &Lifetime{name: name}
	l.ctx, l.cancel = context.WithCancelCause(parent)
	return l
}

// Context returns a context that ends with l. Its cause is [Lifetime.Err].
func (l *Lifetime) Context() context.Context { return l.ctx }

// Done returns a channel that is closed when l ends.
func (l *Lifetime) Done() <-chan struct{} { return l.ctx.Done() }

// Err returns nil while l is open. Then it returns the error with the code
// Closed that names what was closed, or the error that Fail was called with.
func (l *Lifetime) Err() error {
	if l.ctx.Err() == nil {
		return nil
	}
	return context.Cause(l.ctx)
}

// Check returns why a call with this context may not begin or continue: l has
// ended, or ctx has. It returns nil if neither has.
func (l *Lifetime) Check(ctx context.Context) error {
	if err := l.Err(); err != nil {
		return err
	}
	return fairlead.ContextError(ctx)
}

// WaitError returns what err means, the error of a wait or of a read with the
// context ctx: the error of l if l has ended, the error of ctx if ctx has ended, and
// otherwise err. The context's deadline decides it. A backend, which knows the
// deadline, often answers before the context's timer
// fires.
//
// A Canceled or DeadlineExceeded while neither has ended is a limit of the client or
// of the backend; it becomes Unavailable. Errors that are an answer to the call, for
// example NotFound or Compacted, stay as they are, as does UnknownOutcome. It
// returns nil for nil.
func (l *Lifetime) WaitError(ctx context.Context, err error) error {
	code := fairlead.CodeOf(err)
	switch code {
	case fairlead.Canceled, fairlead.DeadlineExceeded, fairlead.Unavailable:
	default:
		return err
	}
	if code == fairlead.DeadlineExceeded {
		awaitDeadline(ctx)
	}
	if ended := l.Check(ctx); ended != nil {
		return ended
	}
	if code == fairlead.Unavailable {
		return err
	}
	return fairlead.Errorf(fairlead.Unavailable, "the client or the backend gave up before the caller did: %s", errorText(err))
}

// deadlineTolerance is how long before a deadline a client or a backend may report
// that it has passed: their clocks and roundings differ from ours.
const deadlineTolerance = 20 * time.Millisecond

// awaitDeadline waits for the end of ctx if it is as near as that, so that a caller
// that asks its context sees it as ended.
func awaitDeadline(ctx context.Context) {
	deadline, ok := ctx.Deadline()
	if !ok || time.Until(deadline) > deadlineTolerance {
		return
	}
	timer := time.NewTimer(2 * deadlineTolerance) // for a context whose timer never fires
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// errorText returns an error's text without its code, so that it can be the text of
// an error with another code.
func errorText(err error) string {
	var e *fairlead.Error
	if errors.As(err, &e) && e.Message != "" {
		return e.Message
	}
	return err.Error()
}

// End ends l, and reports whether it is the first call. It does not wait: see
// Drain. A handle whose Close has work to do does it if End returns true.
func (l *Lifetime) End() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.ended = true
	l.cancel(fairlead.Errorf(fairlead.Closed, "the %s is closed", l.name))
	return true
}

// Fail ends l, unless it has ended, with an error that every later call
// returns. A watcher whose history was lost fails so with Compacted. The first
// End after it still returns true.
func (l *Lifetime) Fail(err error) {
	if err == nil {
		err = fairlead.Errorf(fairlead.Internal, "the %s failed without an error", l.name)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cancel(err)
}

// Join returns a context that ends with ctx or with l, whichever ends first,
// and keeps the values of ctx. The caller calls the function when the call is
// over.
func (l *Lifetime) Join(ctx context.Context) (context.Context, context.CancelFunc) {
	joined, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(l.ctx, func() { cancel(context.Cause(l.ctx)) })
	return joined, func() {
		stop()
		cancel(nil)
	}
}

// Bound is Join with a time limit.
func (l *Lifetime) Bound(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	bounded, cancel := context.WithTimeout(ctx, limit)
	stop := context.AfterFunc(l.ctx, cancel)
	return bounded, func() {
		stop()
		cancel()
	}
}

// Begin begins a call for which Drain waits. It returns the context of Join,
// and a function that the caller calls when the call is over; or why the call
// may not begin.
func (l *Lifetime) Begin(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := l.Check(ctx); err != nil {
		return nil, nil, err
	}
	if !l.enter() {
		return nil, nil, l.Err()
	}
	joined, leave := l.Join(ctx)
	return joined, sync.OnceFunc(func() {
		leave()
		l.running.Done()
	}), nil
}

// Go runs f in a goroutine for which Drain waits, and reports whether it does:
// after the end of l it does not. f returns soon after l ends.
func (l *Lifetime) Go(f func()) bool {
	if !l.enter() {
		return false
	}
	go func() {
		defer l.running.Done()
		f()
	}()
	return true
}

// enter counts something that begins, unless l has ended.
func (l *Lifetime) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.ctx.Err() != nil {
		return false
	}
	l.running.Add(1)
	return true
}

// Drain ends l, and waits for the calls that Begin began and the goroutines that Go
// started. None of them may call Drain.
func (l *Lifetime) Drain() {
	l.End()
	l.running.Wait()
}

// Wait blocks until changed is closed, or until the time until, if it is not
// zero. It returns why the call may not continue, as Check does.
func (l *Lifetime) Wait(ctx context.Context, changed <-chan struct{}, until time.Time) error {
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
	return l.Check(ctx)
}
