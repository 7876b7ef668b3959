package redis

import (
	"context"
	"sync"
	"time"

	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

const (
	// maxWait bounds one blocking read. After it, the state is read again, so
	// that a missed wake-up does no lasting harm.
	maxWait = 2 * time.Second
	// replyGrace is how much later the reply of a blocking read may arrive.
	replyGrace = time.Second
	// retryPause is the wait where the server cannot be waited on.
	retryPause = 50 * time.Millisecond
)

// fetcher is where a receiver gets its deliveries from.
type fetcher interface {
	// takeReady returns at most limit deliveries that are in memory, and when
	// the next one is ready without a change (zero: never). The receiver is
	// locked.
	takeReady(limit int, now time.Time) (out []driver.Delivery, next time.Time)
	// fetch gets more from the server, or waits until there may be more, for
	// maxWait at most. Only one runs at a time. It puts what it got where
	// takeReady finds it, with the receiver locked, even if no Receive waits
	// any more.
	fetch(limit int) error
}

// receiver implements Receive with a fetcher. A fetch belongs to the
// subscription, not to the call that began it: a Receive that is canceled loses
// nothing.
type receiver struct {
	sync.Mutex
	fetching bool
	fetchErr error // of the last fetch; the next Receive returns it
	changed  providers.Signal
}

func (r *receiver) receive(ctx context.Context, life *providers.Lifetime, f fetcher, limit int) ([]driver.Delivery, error) {
	if err := life.Check(ctx); err != nil {
		return nil, err
	}
	for {
		out, changed, next, err := r.takeOrFetch(life, f, max(1, min(limit, maxBatch)))
		if len(out) > 0 || err != nil {
			return out, err
		}
		if err := life.Wait(ctx, changed, next); err != nil {
			return nil, err
		}
	}
}

// takeOrFetch returns the deliveries that are in memory. If there are none, it
// begins a fetch, unless one is running, and returns what to wait for: a change,
// or the time next if it is not zero.
func (r *receiver) takeOrFetch(life *providers.Lifetime, f fetcher, limit int) (out []driver.Delivery, changed <-chan struct{}, next time.Time, err error) {
	r.Lock()
	defer r.Unlock()
	if err := r.fetchErr; err != nil {
		r.fetchErr = nil
		return nil, nil, next, err
	}
	out, next = f.takeReady(limit, time.Now())
	if len(out) > 0 {
		return out, nil, next, nil
	}
	if !r.fetching {
		r.fetching = true
		go r.runFetch(life, f, limit)
	}
	return nil, r.changed.Next(), next, nil
}

func (r *receiver) runFetch(life *providers.Lifetime, f fetcher, limit int) {
	err := f.fetch(limit)
	if err != nil {
		providers.Pause(life.Context(), retryPause) // callers try again at once
	}
	r.Lock()
	defer r.Unlock()
	r.fetching, r.fetchErr = false, err
	r.changed.Fire()
}

// awaitEntry waits until one of the streams has an entry after the ID given for
// it, or for d, or until life ends. It takes the keys of the streams, then their
// IDs. The caller must read the state again: the wait may end early.
func (p *provider) awaitEntry(life *providers.Lifetime, d time.Duration, streams ...string) {
	ctx, cancel := context.WithTimeout(life.Context(), d+replyGrace)
	defer cancel()
	if err := p.block(ctx, d, streams...); err != nil {
		providers.Pause(ctx, retryPause)
	}
}
