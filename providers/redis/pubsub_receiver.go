package redis

import (
	"context"
	"sync"
	"time"

	"fairlead.dev/internal/await"
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
	changed  await.Signal
}

func (r *receiver) receive(ctx context.Context, h *handle, f fetcher, limit int) ([]driver.Delivery, error) {
	for {
		if err := h.readyError(ctx); err != nil {
			return nil, err
		}
		out, w, err := r.takeOrFetch(h, f, min(limit, maxBatch))
		if len(out) > 0 || err != nil {
			return out, err
		}
		w.await(ctx, h)
	}
}

// takeOrFetch returns the deliveries that are in memory. If there are none, it
// begins a fetch, unless one is running, and returns what to wait for.
func (r *receiver) takeOrFetch(h *handle, f fetcher, limit int) ([]driver.Delivery, receiveWait, error) {
	r.Lock()
	defer r.Unlock()
	if err := r.fetchErr; err != nil {
		r.fetchErr = nil
		return nil, receiveWait{}, err
	}
	out, next := f.takeReady(limit, time.Now())
	if len(out) > 0 {
		return out, receiveWait{}, nil
	}
	if !r.fetching {
		r.fetching = true
		go r.runFetch(h, f, limit)
	}
	return nil, receiveWait{r.changed.Next(), next}, nil
}

func (r *receiver) runFetch(h *handle, f fetcher, limit int) {
	err := f.fetch(limit)
	if err != nil {
		await.Pause(h.life, retryPause) // callers try again at once
	}
	r.Lock()
	defer r.Unlock()
	r.fetching, r.fetchErr = false, err
	r.changed.Fire()
}

// receiveWait is what a Receive waits for.
type receiveWait struct {
	changed <-chan struct{}
	next    time.Time // zero: never
}

func (w receiveWait) await(ctx context.Context, h *handle) {
	var timeout <-chan time.Time
	if !w.next.IsZero() {
		timer := time.NewTimer(time.Until(w.next))
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-w.changed:
	case <-timeout:
	case <-ctx.Done():
	case <-h.life.Done():
	}
}

// awaitEntry waits until one of the streams has an entry after the ID given for
// it, or for d. It takes the keys of the streams, then their IDs. The caller
// must read the state again: the wait may end early.
func (h *handle) awaitEntry(d time.Duration, streams ...string) {
	ctx, cancel := context.WithTimeout(h.life, d+replyGrace)
	defer cancel()
	if err := h.p.block(ctx, d, streams...); err != nil {
		await.Pause(ctx, retryPause)
	}
}
