package pubsub

import (
	"context"
	"errors"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// leases extends the leases of the deliveries that are in this process, and cancels
// the handlers whose leases end.
type leases struct {
	sub     *Subscription
	extends bool // Extend is claimed

	mu   sync.Mutex
	held map[*Delivery]*heldLease
}

// heldLease is the lease of one delivery.
type heldLease struct {
	cancel  context.CancelCauseFunc // of the handler's context; nil before the handler begins
	until   time.Time               // the lease is given up then, unless it is extended
	timer   *time.Timer             // fires at until; nil where Extend is not claimed
	failure error                   // of the last extension
	lost    error                   // why the lease was lost; nil while it is held
}

func newLeases(s *Subscription) *leases {
	return &leases{sub: s, extends: s.handle.Facet.Has(Extend), held: map[*Delivery]*heldLease{}}
}

// usableTime is how long a lease is relied upon: a tenth less than it lasts, for
// clocks that run at different rates.
func (l *leases) usableTime() time.Duration {
	d := l.sub.config.AckDeadline
	return d - d/10
}

// track adds a delivery that was just received.
func (l *leases) track(d *Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := &heldLease{}
	if l.extends {
		held.until = time.Now().Add(l.usableTime())
		held.timer = time.AfterFunc(l.usableTime(), func() { l.expire(d) })
	}
	l.held[d] = held
}

// begin notes that a handler begins, with the function that cancels its context. It
// returns why the lease was lost, if it was: the handler must not begin then.
func (l *leases) begin(d *Delivery, cancel context.CancelCauseFunc) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.held[d]
	held.cancel = cancel
	return held.lost
}

func (l *leases) untrack(d *Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if timer := l.held[d].timer; timer != nil {
		timer.Stop()
	}
	delete(l.held, d)
}

// startExtending extends leases where Extend is claimed, until stop is called,
// even if ctx ends before.
func (l *leases) startExtending(ctx context.Context) (stop func()) {
	if !l.extends {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var extending sync.WaitGroup
	extending.Go(func() { l.extendPeriodically(ctx) })
	return func() {
		cancel()
		extending.Wait()
	}
}

// shortestPause bounds how often leases are extended.
const shortestPause = 5 * time.Millisecond

// extendPeriodically extends all leases three times in their length, and more often
// while that fails.
func (l *leases) extendPeriodically(ctx context.Context) {
	length := l.sub.config.AckDeadline
	pause := time.NewTimer(max(length/3, shortestPause))
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		next := length / 3
		if !l.extendAll(ctx) {
			next = length / 30
		}
		pause.Reset(max(next, shortestPause))
	}
}

// extendAll extends all leases, and reports whether none has to be extended again
// soon. A lease that is lost cancels its handler.
func (l *leases) extendAll(ctx context.Context) bool {
	ds := l.unsettled()
	if len(ds) == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, max(l.sub.config.AckDeadline/3, shortestPause))
	defer cancel()
	extensions := make([]driver.Settlement, len(ds))
	for i, d := range ds {
		extensions[i] = driver.Settlement{Token: d.token, Kind: driver.Extend}
	}
	began := time.Now()
	errs, err := l.sub.settlements.ExecuteMany(ctx, extensions)
	if err != nil {
		return false
	}
	all := true
	for i, err := range errs {
		l.noteExtension(ds[i], began, err)
		all = all && (err == nil || errors.Is(err, ErrLeaseLost))
	}
	return all
}

func (l *leases) unsettled() []*Delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ds []*Delivery
	for d, held := range l.held {
		if held.lost == nil && !d.settled.Load() {
			ds = append(ds, d)
		}
	}
	return ds
}

// noteExtension notes the result of an extension whose call began at the given time.
func (l *leases) noteExtension(d *Delivery, began time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.held[d]
	if held == nil || held.lost != nil || d.settled.Load() {
		return
	}
	switch held.failure = err; {
	case err == nil:
		held.until = began.Add(l.usableTime())
		held.timer.Reset(time.Until(held.until))
	case errors.Is(err, ErrLeaseLost):
		held.lose(err)
	}
}

// expire gives up a lease that was not extended in time.
func (l *leases) expire(d *Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.held[d]
	if held == nil || held.lost != nil || time.Until(held.until) > 0 {
		return // settled, or extended while the timer fired
	}
	if held.failure == nil {
		held.lose(fairlead.Errorf(fairlead.Unavailable, "the lease was not extended in time"))
	} else {
		held.lose(fairlead.Errorf(fairlead.Unavailable, "the lease could not be extended in time: %w", held.failure))
	}
}

// lose ends the context of the lease's handler.
func (h *heldLease) lose(cause error) {
	h.lost = cause
	if h.timer != nil {
		h.timer.Stop()
	}
	if h.cancel != nil {
		h.cancel(cause)
	}
}
