package pubsub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// Handler deals with one message. nil acknowledges it; an error, or a panic,
// gives it back. Its context ends when that of Handle does, and when the lease
// of the message is lost.
type Handler func(ctx context.Context, d *Delivery) error

// HandleOption changes how [Subscription.Handle] works.
type HandleOption func(*handling) error

// Concurrency sets how many messages are dealt with at once; 1 by default.
func Concurrency(n int) HandleOption {
	return func(h *handling) error {
		h.concurrency = n
		if n < 1 {
			return fairlead.Errorf(fairlead.Invalid, "Concurrency is %d; it must be at least 1", n)
		}
		return nil
	}
}

// Prefetch sets how many messages may wait in this process for a handler;
// by default as many as are dealt with at once. They are leased while they
// wait: what a consumer that dies had fetched comes again only when its leases
// end.
func Prefetch(n int) HandleOption {
	return func(h *handling) error {
		h.prefetch = n
		if n < 0 {
			return fairlead.Errorf(fairlead.Invalid, "Prefetch is %d; it must not be negative", n)
		}
		return nil
	}
}

// RetryDelay sets how long a message stays away that a handler failed on, by
// its attempt (1 for the first, 0 where the backend does not count). The
// default doubles from 100 ms to 30 s. It has no effect where [NackDelay] is
// not claimed: the message then comes again at once.
func RetryDelay(delay func(attempt int) time.Duration) HandleOption {
	return func(h *handling) error {
		h.delay = delay
		if delay == nil {
			return fairlead.Errorf(fairlead.Invalid, "RetryDelay needs a function, got nil; leave the option out for the default")
		}
		return nil
	}
}

// OnGap makes Handle go on behind a gap, after calling report with the error.
// Without it Handle returns the error.
func OnGap(report func(error)) HandleOption {
	return func(h *handling) error {
		h.gap = report
		return nil
	}
}

func defaultDelay(attempt int) time.Duration {
	return min(100*time.Millisecond<<min(max(attempt-1, 0), 10), 30*time.Second)
}

// handling is one call of Handle.
type handling struct {
	sub         *Subscription
	fn          Handler
	concurrency int
	prefetch    int
	delay       func(int) time.Duration
	gap         func(error)

	slots chan struct{} // one for every message that may be here
	work  chan *Delivery

	mu   sync.Mutex
	held map[*Delivery]context.CancelCauseFunc // whose leases are to be extended
}

// Handle receives messages and calls fn for each, until ctx ends; it then
// waits for the handlers that run, gives back what has not begun, and returns
// nil. While a handler runs, its lease is extended where [Extend] is claimed.
//
// It goes on through an outage of the backend. It returns an error if the
// subscription is closed, if a requirement is lost, or if there is a gap and
// no [OnGap].
func (s *Subscription) Handle(ctx context.Context, fn Handler, opts ...HandleOption) error {
	h := &handling{sub: s, fn: fn, concurrency: 1, prefetch: -1, delay: defaultDelay, held: map[*Delivery]context.CancelCauseFunc{}}
	for _, opt := range opts {
		if err := opt(h); err != nil {
			return fairlead.Annotate(err, "pubsub.Handle", s.handle.Provider)
		}
	}
	if h.prefetch < 0 {
		h.prefetch = h.concurrency
	}
	h.slots = make(chan struct{}, h.concurrency+h.prefetch)
	h.work = make(chan *Delivery, cap(h.slots))
	return fairlead.Annotate(h.run(ctx), "pubsub.Handle", s.handle.Provider)
}

func (h *handling) run(ctx context.Context) error {
	var workers sync.WaitGroup
	for range h.concurrency {
		workers.Go(func() { h.serve(ctx) })
	}
	extending, stop := context.WithCancel(context.WithoutCancel(ctx))
	var extender sync.WaitGroup
	if h.sub.handle.Facet.Has(Extend) {
		extender.Go(func() { h.extend(extending) })
	}
	err := h.fetch(ctx)
	close(h.work)
	workers.Wait()
	stop()
	extender.Wait()
	return err
}

// fetch hands messages to the workers until it must end.
func (h *handling) fetch(ctx context.Context) error {
	for failures := 0; ; {
		n := h.acquire(ctx)
		if n == 0 {
			return nil
		}
		ds, err := h.sub.ReceiveMany(ctx, n)
		for range n - len(ds) {
			<-h.slots
		}
		for _, d := range ds {
			h.hold(d, nil)
			h.work <- d
		}
		switch {
		case err == nil:
			failures = 0
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrGap) && h.gap != nil:
			h.gap(err)
		case errors.Is(err, ErrUnavailable):
			failures++
			h.pause(ctx, failures, err)
		default:
			return err
		}
	}
}

// acquire waits for a free slot, takes all that are free, and returns how
// many; 0 if the context ended.
func (h *handling) acquire(ctx context.Context) int {
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return 0
	}
	for n := 1; ; n++ {
		select {
		case h.slots <- struct{}{}:
		default:
			return n
		}
	}
}

// pause waits before the next try, longer with every failure up to 2 s.
func (h *handling) pause(ctx context.Context, failures int, err error) {
	if failures == 1 {
		slog.WarnContext(ctx, "pubsub: cannot receive, trying again", "topic", h.sub.config.Topic, "error", err)
	}
	longest := min(50*time.Millisecond<<min(failures, 6), 2*time.Second)
	timer := time.NewTimer(longest/2 + rand.N(longest/2))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (h *handling) serve(ctx context.Context) {
	for d := range h.work {
		if ctx.Err() != nil {
			h.settle(ctx, d, func(ctx context.Context) error { return d.finish(ctx, driver.Settlement{Kind: driver.Nack}) })
		} else {
			h.handle(ctx, d)
		}
		h.release(d)
		<-h.slots
	}
}

func (h *handling) handle(ctx context.Context, d *Delivery) {
	parent := ctx
	if !trace.SpanContextFromContext(ctx).IsValid() {
		parent = extract(ctx, d.Metadata)
	}
	ctx, call := h.sub.process.Start(parent)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	h.hold(d, cancel)
	err := h.try(ctx, d)
	_ = call.End(err)
	h.settle(ctx, d, func(ctx context.Context) error {
		if err == nil {
			return d.Ack(ctx)
		}
		return d.nack(ctx, h.retryDelay(d), err.Error())
	})
}

func (h *handling) retryDelay(d *Delivery) time.Duration {
	if !h.sub.handle.Facet.Has(NackDelay) {
		return 0
	}
	delay := h.delay(d.Attempt)
	if limit := h.sub.handle.Facet.Limits.MaxDelay; limit > 0 {
		delay = min(delay, limit)
	}
	return max(delay, 0)
}

// try calls the handler, and turns a panic into an error.
func (h *handling) try(ctx context.Context, d *Delivery) (err error) {
	defer func() {
		if v := recover(); v != nil {
			slog.ErrorContext(ctx, "pubsub: a handler panicked", "topic", h.sub.config.Topic, "id", d.ID, "panic", v, "stack", string(debug.Stack()))
			err = fmt.Errorf("the handler panicked: %v", v)
		}
	}()
	return h.fn(ctx, d)
}

// settleTimeout bounds a settlement after the context of Handle has ended.
const settleTimeout = 10 * time.Second

// settle tells the backend, also when the context has ended. If that fails,
// the message comes again when its lease ends.
func (h *handling) settle(ctx context.Context, d *Delivery, do func(context.Context) error) {
	if d.settled.Load() {
		return // the handler did it
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := do(ctx); err != nil {
		slog.WarnContext(ctx, "pubsub: a message could not be settled and comes again", "topic", h.sub.config.Topic, "id", d.ID, "error", err)
	}
}

func (h *handling) hold(d *Delivery, cancel context.CancelCauseFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held[d] = cancel
}

func (h *handling) release(d *Delivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.held, d)
}

// extend keeps the leases of what is here.
func (h *handling) extend(ctx context.Context) {
	tick := time.NewTicker(h.sub.config.AckDeadline / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			h.extendAll(ctx)
		}
	}
}

func (h *handling) extendAll(ctx context.Context) {
	h.mu.Lock()
	var ds []*Delivery
	var settlements []driver.Settlement
	for d := range h.held {
		if !d.settled.Load() {
			ds = append(ds, d)
			settlements = append(settlements, driver.Settlement{Token: d.Token, Kind: driver.Extend})
		}
	}
	h.mu.Unlock()
	if len(ds) == 0 {
		return
	}
	errs, err := h.sub.settles.DoMany(ctx, settlements)
	if err != nil {
		return
	}
	for i, err := range errs {
		if errors.Is(err, ErrLeaseLost) && !ds[i].settled.Load() {
			h.lost(ds[i], err)
		}
	}
}

// lost ends the context of a handler whose message is somebody else's by now.
func (h *handling) lost(d *Delivery, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if cancel := h.held[d]; cancel != nil {
		cancel(err)
	}
}
