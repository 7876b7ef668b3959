package config

import (
	"context"
	"time"

	"fairlead.dev"
)

// deadlineTolerance is how long before a deadline a driver may report that it has
// passed: its clock and its rounding differ from ours.
const deadlineTolerance = 20 * time.Millisecond

// callWithin calls f with a context that ends after d, and reports whether that
// bound ended the call. The deadline decides, and not who noticed first: a driver
// that knows the deadline often answers before the context's timer fires. The call
// lasts until the bound in this case, so that a caller may repeat it at once.
func callWithin(ctx context.Context, d time.Duration, f func(context.Context) error) (timedOut bool, err error) {
	bounded, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err = f(bounded)
	code := fairlead.CodeOf(err)
	if code == fairlead.DeadlineExceeded {
		<-bounded.Done()
	}
	if err == nil {
		return false, nil
	}
	if ended := fairlead.ContextError(ctx); ended != nil {
		return false, ended
	}
	gaveUp := code == fairlead.DeadlineExceeded || code == fairlead.Canceled || code == fairlead.Unavailable
	return gaveUp && bounded.Err() != nil, err
}

// readError returns what err means, the error of a read with the context ctx. A
// Canceled or DeadlineExceeded while ctx has not ended is a limit of the client or
// of the backend; it becomes Unavailable.
func readError(ctx context.Context, err error) error {
	code := fairlead.CodeOf(err)
	if code != fairlead.Canceled && code != fairlead.DeadlineExceeded {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && code == fairlead.DeadlineExceeded && time.Until(deadline) <= deadlineTolerance {
		<-ctx.Done()
	}
	if ended := fairlead.ContextError(ctx); ended != nil {
		return ended
	}
	return fairlead.Errorf(fairlead.Unavailable, "the client or the backend gave up before the caller did: %s", err.Error())
}
