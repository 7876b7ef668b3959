package gocloud

import (
	"context"
	"errors"
	"time"
)

// idlePeriod is how long fetching continues after the last call of Receive. Then
// the messages are given back, if other processes may need them.
const idlePeriod = 500 * time.Millisecond

// reopenPause is the pause after a failure to open a subscription.
const reopenPause = 100 * time.Millisecond

// fetcher is the goroutine that takes messages from the subscription of a group,
// while consumers ask for messages.
type fetcher struct {
	*group
	ctx  context.Context
	end  context.CancelFunc
	done chan struct{}
}

// startFetcher starts the fetcher unless it runs. The group is locked.
func (g *group) startFetcher() {
	if g.fetcher != nil || g.closed {
		return
	}
	ctx, end := context.WithCancel(context.Background())
	g.fetcher = &fetcher{g, ctx, end, make(chan struct{})}
	go g.fetcher.run()
}

// stop ends the fetcher and waits for it.
func (f *fetcher) stop() {
	f.end()
	<-f.done
}

// run fetches until the subscription fails, or no messages are needed.
func (f *fetcher) run() {
	defer close(f.done)
	defer f.end()
	err := f.fetchWhileWanted()
	f.mu.Lock()
	f.group.fetcher = nil
	var source *Subscription
	var ready []*heldMessage
	if err != nil && f.ctx.Err() == nil {
		f.failure = err
		source, ready = f.detach()
	}
	f.changed.Fire()
	f.mu.Unlock()
	closeSubscription(source, ready)
}

// fetchWhileWanted fetches messages for the consumers.
func (f *fetcher) fetchWhileWanted() error {
	for {
		if err := f.group.openSource(f.ctx); err != nil {
			f.pause(reopenPause)
			return err
		}
		for f.isWanted() {
			if err := f.fetchOne(); err != nil {
				return f.convertSourceError(err)
			}
		}
		if f.ctx.Err() != nil || f.waitForDemand() {
			return nil
		}
	}
}

// fetchOne waits for a message, up to idlePeriod.
func (f *fetcher) fetchOne() error {
	f.mu.Lock()
	source := f.source
	f.mu.Unlock()
	if source == nil {
		return errors.New("the subscription was closed")
	}
	ctx, cancel := context.WithTimeout(f.ctx, idlePeriod)
	defer cancel()
	r, err := source.next(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ready = append(f.ready, &heldMessage{received: r, source: source})
	f.changed.Fire()
	return nil
}

// isWanted reports whether to fetch more messages.
func (f *fetcher) isWanted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ctx.Err() == nil && len(f.ready) < maxReady && f.hasDemand()
}

// hasDemand reports whether a Receive waits, or waited within idlePeriod.
func (g *group) hasDemand() bool { return g.waitingCalls > 0 || time.Since(g.lastDemand) < idlePeriod }

// waitForDemand waits while no messages are wanted. It returns true if the
// fetcher can end: no consumer asks, and no lease needs the subscription.
func (f *fetcher) waitForDemand() bool {
	f.mu.Lock()
	f.makeExpiredReady(time.Now())
	demanded, full, held := f.hasDemand(), len(f.ready) >= maxReady, len(f.held) > 0
	changed, due := f.changed.Next(), f.nextDue()
	if !demanded && (f.driver.Local || f.name.group == "") {
		f.mu.Unlock()
		return true
	}
	if !demanded && !held {
		source, ready := f.detach()
		f.mu.Unlock()
		closeSubscription(source, ready)
		return true
	}
	f.mu.Unlock()
	if !demanded || full {
		f.waitForChange(changed, due)
	}
	return false
}

// waitForChange waits for a change of the group, the end of a lease, or the end
// of idlePeriod.
func (f *fetcher) waitForChange(changed <-chan struct{}, due time.Time) {
	wait := idlePeriod
	if !due.IsZero() {
		wait = min(wait, max(time.Until(due), 0))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-f.ctx.Done():
	}
}

func (f *fetcher) pause(d time.Duration) { f.waitForChange(nil, time.Now().Add(d)) }
