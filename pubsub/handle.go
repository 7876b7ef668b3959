package pubsub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/internal/contained"
	"fairlead.dev/pubsub/driver"
)

// Handler handles one message. If it returns nil, the message is acknowledged;
// after an error or a panic, the message is given back. A handler may also
// settle the delivery itself. Its context ends when the context of Handle ends,
// and when the lease of the message is lost.
type Handler func(ctx context.Context, d *Delivery) error

// handlerRun is one call of Handle.
type handlerRun struct {
	handleOptions
	sub     *Subscription
	handler Handler

	slots chan struct{} // one for every message that may be in this process
	work  chan *Delivery
	*leases
}

// Handle receives messages and calls fn for each, until ctx ends; it then
// waits for the handlers that run, gives back the messages whose handlers have
// not begun, and returns nil. While a handler runs, its lease is extended where
// [Extend] is claimed.
//
// Handle continues through an outage of the backend, and through every other error
// that may pass or that concerns one message: it reports the error ([OnError]), and
// tries again after a pause of at most two seconds. It returns an error if the
// subscription or its provider is closed (Closed), if the group was deleted
// (NotFound: subscribe again), if a requirement is lost (Unsupported), for Invalid and
// PermissionDenied, and if there is a gap and no [OnGap].
func (s *Subscription) Handle(ctx context.Context, fn Handler, opts ...HandleOption) error {
	o, err := s.readHandleOptions(opts)
	if fn == nil {
		err = fairlead.Errorf(fairlead.Invalid, "Handle needs a handler, got nil")
	}
	if err == nil {
		err = s.newHandlerRun(fn, o).run(ctx)
	}
	return s.annotate(err, "pubsub.Handle")
}

func (s *Subscription) newHandlerRun(fn Handler, o handleOptions) *handlerRun {
	return &handlerRun{
		handleOptions: o,
		sub:           s,
		handler:       fn,
		slots:         make(chan struct{}, o.concurrency+o.prefetch),
		work:          make(chan *Delivery, o.concurrency+o.prefetch),
		leases:        newLeases(s),
	}
}

func (h *handlerRun) run(ctx context.Context) error {
	var workers sync.WaitGroup
	for range h.concurrency {
		workers.Go(func() { h.runWorker(ctx) })
	}
	stopExtending := h.startExtending(ctx)
	err := h.fetchMessages(ctx)
	close(h.work)
	workers.Wait()
	stopExtending()
	return err
}

// fetchMessages hands messages to the workers until ctx ends or receiving fails
// for a reason that does not pass.
func (h *handlerRun) fetchMessages(ctx context.Context) error {
	for failures := 0; ; {
		n := h.acquireSlots(ctx)
		if n == 0 {
			return nil
		}
		ds, notMoved, err := h.sub.receiveBatch(ctx, n)
		for range n - len(ds) {
			<-h.slots
		}
		for _, d := range ds {
			h.track(d)
			h.work <- d
		}
		switch {
		case err == nil && notMoved == nil:
			failures = 0
			continue
		case fairlead.ContextError(ctx) != nil:
			return nil
		case errors.Is(err, ErrGap) && h.onGap != nil:
			h.onGap(err)
			failures = 0
			continue
		case errors.Is(err, ErrGap) || isFinal(err):
			return err
		}
		failures++
		h.report(ctx, failures, cmp.Or(err, notMoved))
		pauseBeforeRetry(ctx, failures)
	}
}

// isFinal reports whether receiving cannot go on after an error.
func isFinal(err error) bool {
	switch fairlead.CodeOf(err) {
	case fairlead.Closed, fairlead.NotFound, fairlead.Invalid, fairlead.Unsupported, fairlead.PermissionDenied:
		return true
	}
	return false
}

// report reports an error after which Handle goes on. Of failures in a row it logs
// the first, and then ever fewer.
func (h *handlerRun) report(ctx context.Context, failures int, err error) {
	if failures&(failures-1) == 0 { // 1, 2, 4, …
		slog.WarnContext(ctx, "pubsub: cannot receive, or move a message to the dead letters; trying again", "topic", h.sub.config.Topic, "failures", failures, "error", err)
	}
	h.reportError(err)
}

func (h *handlerRun) reportError(err error) {
	if h.onError != nil {
		annotated := h.sub.annotate(err, "pubsub.Handle")
		if err := contained.Call(func() error { h.onError(annotated); return nil }); err != nil {
			slog.Error("pubsub: the function of OnError did not return", "topic", h.sub.config.Topic, "failure", err)
		}
	}
}

// acquireSlots waits for a free slot, takes all that are free, and returns how
// many; 0 if the context ended.
func (h *handlerRun) acquireSlots(ctx context.Context) int {
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

// pauseBeforeRetry waits before the next attempt to receive: longer with every
// failure, up to 2 s.
func pauseBeforeRetry(ctx context.Context, failures int) {
	longest := min(50*time.Millisecond<<min(failures, 6), 2*time.Second)
	await.Pause(ctx, longest/2+rand.N(longest/2))
}

func (h *handlerRun) runWorker(ctx context.Context) {
	for d := range h.work {
		if ctx.Err() != nil {
			h.giveBack(ctx, d)
		} else {
			h.processMessage(ctx, d)
		}
		h.untrack(d)
		<-h.slots
	}
}

// giveBack returns a message whose handler has not begun. It does not count as an
// attempt where Release is claimed.
func (h *handlerRun) giveBack(ctx context.Context, d *Delivery) {
	kind := driver.Nack
	if h.sub.handle.Facet.Has(Release) {
		kind = driver.Release
	}
	h.settleAfterwards(ctx, d, func(ctx context.Context) error {
		return d.settle(ctx, driver.Settlement{Kind: kind})
	})
}

// processMessage calls the handler and settles the message by its result. It does
// neither if the lease was lost while the message waited: then another consumer has
// the message, or will have it.
func (h *handlerRun) processMessage(ctx context.Context, d *Delivery) {
	handling, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if lost := h.begin(d, cancel); lost != nil {
		h.reportSettlement(ctx, d, lost)
		return
	}
	parent := handling
	if !trace.SpanContextFromContext(ctx).IsValid() {
		parent = extractTraceContext(handling, d.Metadata)
	}
	ctx, call := h.sub.processing.Start(parent)
	err := h.callHandler(ctx, d)
	_ = call.End(err)
	h.settleAfterwards(ctx, d, func(ctx context.Context) error {
		if err == nil {
			return d.Ack(ctx)
		}
		return d.nackFor(ctx, h.delayBeforeRetry(d), err.Error())
	})
}

// delayBeforeRetry returns how long to delay a message whose handler failed.
func (h *handlerRun) delayBeforeRetry(d *Delivery) time.Duration {
	if !h.sub.handle.Facet.Has(NackDelay) {
		return 0
	}
	var delay time.Duration
	if err := contained.Call(func() error { delay = h.retryDelay(d.Attempt); return nil }); err != nil {
		slog.Error("pubsub: the function of RetryDelay did not return; the message is given back without a delay", "topic", h.sub.config.Topic, "failure", err)
	}
	if limit := h.sub.handle.Facet.Limits.MaxDelay; limit > 0 {
		delay = min(delay, limit)
	}
	return max(delay, 0)
}

// callHandler calls the handler. A handler that does not return has an error, too.
func (h *handlerRun) callHandler(ctx context.Context, d *Delivery) error {
	err := contained.Call(func() error {
		err := h.handler(ctx, d)
		if err != nil {
			_ = err.Error() // which may panic, and is needed later
		}
		return err
	})
	var failure *contained.Failure
	if errors.As(err, &failure) {
		slog.ErrorContext(ctx, "pubsub: a handler did not return; its message is given back", "topic", h.sub.config.Topic, "id", d.ID, "failure", failure.Error(), "stack", string(failure.Stack))
		return fmt.Errorf("the handler %w", failure)
	}
	return err
}

// settleTimeout bounds a settlement after the context of Handle has ended.
const settleTimeout = 10 * time.Second

// settleAfterwards settles a message that its handler has not settled, even if
// the context has ended. If that fails, the message is delivered again when its
// lease ends.
func (h *handlerRun) settleAfterwards(ctx context.Context, d *Delivery, settle func(context.Context) error) {
	if d.settled.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := settle(ctx); err != nil {
		h.reportSettlement(ctx, d, err)
	}
}

// reportSettlement reports that a message is not settled, or may not be.
func (h *handlerRun) reportSettlement(ctx context.Context, d *Delivery, err error) {
	consequence := "it is delivered again when its lease ends"
	switch fairlead.CodeOf(err) {
	case fairlead.UnknownOutcome:
		consequence = "it may be settled, or be delivered again when its lease ends"
	case fairlead.Conflict:
		consequence = "its lease was lost, so that it was or will be delivered again"
	}
	slog.WarnContext(ctx, "pubsub: a message was not settled: "+consequence, "topic", h.sub.config.Topic, "id", d.ID, "error", err)
	h.reportError(err)
}
