package pubsub

import (
	"context"
	"errors"
	"sync"
	"time"

	"fairlead.dev/pubsub/driver"
)

// leases extends the leases of the deliveries that are in this process.
type leases struct {
	sub *Subscription

	mu sync.Mutex
	// held has the deliveries, each with the function that cancels the context
	// of its handler; nil before the handler begins.
	held map[*Delivery]context.CancelCauseFunc
}

// track adds a delivery's lease to the leases that are extended.
func (l *leases) track(d *Delivery, cancelHandler context.CancelCauseFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[d] = cancelHandler
}

func (l *leases) untrack(d *Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, d)
}

// startExtending extends leases where Extend is claimed, until stop is called,
// even if ctx ends before.
func (l *leases) startExtending(ctx context.Context) (stop func()) {
	if !l.sub.handle.Facet.Has(Extend) {
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

func (l *leases) extendPeriodically(ctx context.Context) {
	tick := time.NewTicker(l.sub.config.AckDeadline / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.extendAll(ctx)
		}
	}
}

// extendAll extends all leases, and cancels the handlers whose leases are lost. An
// extension that fails for another reason is repeated at the next tick.
func (l *leases) extendAll(ctx context.Context) {
	ds := l.unsettled()
	if len(ds) == 0 {
		return
	}
	extensions := make([]driver.Settlement, len(ds))
	for i, d := range ds {
		extensions[i] = driver.Settlement{Token: d.token, Kind: driver.Extend}
	}
	errs, err := l.sub.settlements.ExecuteMany(ctx, extensions)
	if err != nil {
		return
	}
	for i, err := range errs {
		if errors.Is(err, ErrLeaseLost) && !ds[i].settled.Load() {
			l.cancelHandler(ds[i], err)
		}
	}
}

func (l *leases) unsettled() []*Delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ds []*Delivery
	for d := range l.held {
		if !d.settled.Load() {
			ds = append(ds, d)
		}
	}
	return ds
}

// cancelHandler ends the context of a handler whose lease is lost.
func (l *leases) cancelHandler(d *Delivery, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if cancel := l.held[d]; cancel != nil {
		cancel(cause)
	}
}
