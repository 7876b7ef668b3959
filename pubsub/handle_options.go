package pubsub

import (
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/handle"
)

// HandleOption is an option of [Subscription.Handle].
type HandleOption interface{ setHandle(*handleOptions) error }

type handleOptions struct {
	concurrency int
	prefetch    int
	hasPrefetch bool // false: the default of the subscription
	retryDelay  func(attempt int) time.Duration
	onGap       func(error) // nil: Handle returns the error
	onError     func(error) // nil without OnError
}

func (s *Subscription) readHandleOptions(opts []HandleOption) (handleOptions, error) {
	o := handleOptions{concurrency: 1, retryDelay: defaultRetryDelay}
	for i, opt := range opts {
		if opt == nil {
			return o, handle.NilOption("pubsub.Handle", i)
		}
		if err := opt.setHandle(&o); err != nil {
			return o, err
		}
	}
	// A message that waits here when its process dies counts as an attempt. So
	// none waits where attempts decide.
	if !o.hasPrefetch && s.dead == nil {
		o.prefetch = o.concurrency
	}
	return o, nil
}

type handleOption func(*handleOptions) error

func (f handleOption) setHandle(o *handleOptions) error { return f(o) }

// maxHandled bounds what Concurrency and Prefetch may be: each costs memory for
// every message.
const maxHandled = 100_000

// Concurrency sets how many messages are handled at once, from 1 to 100,000; 1 by
// default.
func Concurrency(n int) HandleOption {
	return handleOption(func(o *handleOptions) error {
		o.concurrency = n
		if n < 1 || n > maxHandled {
			return fairlead.Errorf(fairlead.Invalid, "Concurrency is %d; it must be from 1 to %d", n, maxHandled)
		}
		return nil
	})
}

// Prefetch sets how many messages may wait in this process for a handler, from 0 to
// 100,000. The default is as many as are handled at once, and 0 with [DeadLetter].
// Messages that wait are leased: if the process dies, they are delivered again only
// when their leases end, and count as delivered. Where [Release] is not claimed,
// they also count if they are given back before their handler begins.
func Prefetch(n int) HandleOption {
	return handleOption(func(o *handleOptions) error {
		o.prefetch, o.hasPrefetch = n, true
		if n < 0 || n > maxHandled {
			return fairlead.Errorf(fairlead.Invalid, "Prefetch is %d; it must be from 0 to %d", n, maxHandled)
		}
		return nil
	})
}

// RetryDelay sets the delay before a message is delivered again after its
// handler failed, by the attempt that failed (1 for the first, 0 where the
// backend does not count). The default doubles from 100 ms to 30 s. RetryDelay
// has no effect where [NackDelay] is not claimed: the message is then delivered
// again at once.
func RetryDelay(delay func(attempt int) time.Duration) HandleOption {
	return handleOption(func(o *handleOptions) error {
		o.retryDelay = delay
		if delay == nil {
			return fairlead.Errorf(fairlead.Invalid, "RetryDelay needs a function, got nil; leave the option out for the default")
		}
		return nil
	})
}

func defaultRetryDelay(attempt int) time.Duration {
	return min(100*time.Millisecond<<min(max(attempt-1, 0), 10), 30*time.Second)
}

// OnGap makes Handle resume after a gap, after it called report with the
// error. Without OnGap, Handle returns the error.
func OnGap(report func(error)) HandleOption {
	return handleOption(func(o *handleOptions) error {
		o.onGap = report
		return nil
	})
}

// OnError makes Handle call report with every error that does not end it: of
// receiving, of settling a message, and of moving one to the dead letters. The
// errors of handlers are not among them. Without OnError they are only logged.
// report may be called concurrently, and Handle waits for it.
func OnError(report func(error)) HandleOption {
	return handleOption(func(o *handleOptions) error {
		o.onError = report
		if report == nil {
			return fairlead.Errorf(fairlead.Invalid, "OnError needs a function, got nil; leave the option out to have errors logged only")
		}
		return nil
	})
}
