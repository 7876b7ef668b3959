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
func (p *fetcher) stop() {
	p.end()
	<-p.done
}

// run fetches until the subscription fails, or no messages are needed.
func (p *fetcher) run() {
	defer close(p.done)
	defer p.end()
	err := p.fetchWhileWanted()
	p.mu.Lock()
	p.group.fetcher = nil
	var source *Subscription
	var ready []*heldMessage
	if err != nil && p.ctx.Err() == nil {
		p.failure = err
		source, ready = p.detach()
	}
	p.changed.Fire()
	p.mu.Unlock()
	closeSubscription(source, ready)
}

// fetchWhileWanted fetches messages for the consumers.
func (p *fetcher) fetchWhileWanted() error {
	for {
		if err := p.group.openSource(p.ctx); err != nil {
			p.pause(reopenPause)
			return err
		}
		for p.isWanted() {
			if err := p.fetchOne(); err != nil {
				return p.convertSourceError(err)
			}
		}
		if p.ctx.Err() != nil || p.waitForDemand() {
			return nil
		}
	}
}

// fetchOne waits for a message, up to idlePeriod.
func (p *fetcher) fetchOne() error {
	p.mu.Lock()
	source := p.source
	p.mu.Unlock()
	if source == nil {
		return errors.New("the subscription was closed")
	}
	ctx, cancel := context.WithTimeout(p.ctx, idlePeriod)
	defer cancel()
	r, err := source.next(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = append(p.ready, &heldMessage{received: r, source: source})
	p.changed.Fire()
	return nil
}

// isWanted reports whether to fetch more messages.
func (p *fetcher) isWanted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ctx.Err() == nil && len(p.ready) < maxReady && p.hasDemand()
}

// hasDemand reports whether a Receive waits, or waited within idlePeriod.
func (g *group) hasDemand() bool { return g.waitingCalls > 0 || time.Since(g.lastDemand) < idlePeriod }

// waitForDemand waits while no messages are wanted. It returns true if the
// fetcher can end: no consumer asks, and no lease needs the subscription.
func (p *fetcher) waitForDemand() bool {
	p.mu.Lock()
	p.makeExpiredReady(time.Now())
	demanded, full, held := p.hasDemand(), len(p.ready) >= maxReady, len(p.held) > 0
	changed, due := p.changed.Next(), p.nextDue()
	if !demanded && (p.driver.Local || p.name.group == "") {
		p.mu.Unlock()
		return true
	}
	if !demanded && !held {
		source, ready := p.detach()
		p.mu.Unlock()
		closeSubscription(source, ready)
		return true
	}
	p.mu.Unlock()
	if !demanded || full {
		p.waitForChange(changed, due)
	}
	return false
}

// waitForChange waits for a change of the group, the end of a lease, or the end
// of idlePeriod.
func (p *fetcher) waitForChange(changed <-chan struct{}, due time.Time) {
	wait := idlePeriod
	if !due.IsZero() {
		wait = min(wait, max(time.Until(due), 0))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-p.ctx.Done():
	}
}

func (p *fetcher) pause(d time.Duration) { p.waitForChange(nil, time.Now().Add(d)) }
