package providers

import (
	"context"
	"sync/atomic"
	"time"

	"fairlead.dev"
)

// Calls makes the calls of a client with a time limit, and says what their
// errors mean: in particular whether a write that failed may have been applied.
//
// The client reports with [MarkSent] when it hands a request to the network.
// For a gRPC client the handler in package providers/grpcsent does so.
type Calls struct {
	Life    *Lifetime     // of the provider
	Timeout time.Duration // of one call, where the caller's context allows more
	Setting string        // the parameter of the URL that sets Timeout, for errors
	// MapError returns the client's error as an error with a code. sent says
	// whether a write may have reached the backend: then an error that is no
	// refusal has the code UnknownOutcome. It is called with nil as well.
	MapError func(err error, sent bool) error
}

type sentKey struct{}

// MarkSent notes that the request of the call with this context may reach the
// backend from now on. It does nothing for a context that does not come from
// [Calls.Write].
func MarkSent(ctx context.Context) {
	if sent, ok := ctx.Value(sentKey{}).(*atomic.Bool); ok {
		sent.Store(true)
	}
}

// Read makes a call that may be repeated without harm. f makes it with the
// context that it gets, and returns the client's error.
func (c *Calls) Read(ctx context.Context, f func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return c.explain(ctx, bounded, c.MapError(f(bounded), false))
}

// Write makes a call that changes something. If it was sent and not answered,
// its outcome is unknown.
func (c *Calls) Write(ctx context.Context, f func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	var sent atomic.Bool
	err := f(context.WithValue(bounded, sentKey{}, &sent))
	return c.explain(ctx, bounded, c.MapError(err, sent.Load()))
}

// explain returns what an error of MapError means if the call was given up, either
// by the caller, whose context is ctx, or by the provider, whose time limit is in
// bounded.
func (c *Calls) explain(ctx, bounded context.Context, err error) error {
	code := fairlead.CodeOf(err)
	if code == fairlead.DeadlineExceeded {
		awaitDeadline(bounded)
	}
	meant := c.Life.WaitError(ctx, err)
	gaveUp := code == fairlead.DeadlineExceeded || code == fairlead.Canceled
	if gaveUp && fairlead.CodeOf(meant) == fairlead.Unavailable && fairlead.ContextError(bounded) != nil {
		return fairlead.Errorf(fairlead.Unavailable, "no answer within %v, the %q", c.Timeout, c.Setting)
	}
	return meant
}
