package gocloud

import (
	"context"
	"errors"
	"time"
)

// idle is how long nobody asks for messages before no more are taken. What
// was taken is given back then, if other processes may want it.
const idle = 500 * time.Millisecond

// reopenPause keeps a feed that cannot be opened from being tried too often.
const reopenPause = 100 * time.Millisecond

// pump takes messages from the feed of a group, as long as somebody asks. It
// is one goroutine.
type pump struct {
	*group
	ctx  context.Context
	end  context.CancelFunc
	done chan struct{}
}

// startPump starts the group's pump if it does not run. The group is locked.
func (g *group) startPump() {
	if g.pump != nil || g.closed {
		return
	}
	ctx, end := context.WithCancel(context.Background())
	g.pump = &pump{g, ctx, end, make(chan struct{})}
	go g.pump.run()
}

// stop ends the pump and waits for it.
func (p *pump) stop() {
	p.end()
	<-p.done
}

// run takes messages until the feed fails, or nobody wants any.
func (p *pump) run() {
	defer close(p.done)
	defer p.end()
	err := p.fill()
	p.mu.Lock()
	p.group.pump = nil
	var feed *Feed
	var ready []*message
	if err != nil && p.ctx.Err() == nil {
		p.failure = err
		feed, ready = p.detach()
	}
	p.changed.Fire()
	p.mu.Unlock()
	closeFeed(feed, ready)
}

// fill moves messages from the feed to those that are ready.
func (p *pump) fill() error {
	for {
		if err := p.group.open(p.ctx); err != nil {
			p.pause(reopenPause)
			return err
		}
		for p.wanted() {
			if err := p.one(); err != nil {
				return p.broken(err)
			}
		}
		if p.ctx.Err() != nil || p.parked() {
			return nil
		}
	}
}

// one waits for a message, for a while.
func (p *pump) one() error {
	p.mu.Lock()
	feed := p.feed
	p.mu.Unlock()
	if feed == nil {
		return errors.New("the subscription was closed")
	}
	ctx, cancel := context.WithTimeout(p.ctx, idle)
	defer cancel()
	r, err := feed.next(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = append(p.ready, &message{received: r, feed: feed})
	p.changed.Fire()
	return nil
}

// wanted says whether to take more.
func (p *pump) wanted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ctx.Err() == nil && len(p.ready) < maxReady && p.active()
}

// active says whether somebody asks for messages, or did a moment ago.
func (g *group) active() bool { return g.asking > 0 || time.Since(g.asked) < idle }

// parked waits while no message is wanted. It reports that the pump is of no
// more use: nobody asks, and nothing has to be kept for those who do later.
func (p *pump) parked() bool {
	p.mu.Lock()
	p.expire(time.Now())
	active, full, held := p.active(), len(p.ready) >= maxReady, len(p.held) > 0
	changed, due := p.changed.Next(), p.nextDue()
	if !active && (p.driver.Local || p.name.group == "") {
		p.mu.Unlock()
		return true
	}
	if !active && !held {
		feed, ready := p.detach()
		p.mu.Unlock()
		closeFeed(feed, ready)
		return true
	}
	p.mu.Unlock()
	if !active || full {
		p.await(changed, due)
	}
	return false
}

// await waits for a change of the group, for a lease to end, or for the moment
// from which nobody has asked lately.
func (p *pump) await(changed <-chan struct{}, due time.Time) {
	wait := idle
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

func (p *pump) pause(d time.Duration) { p.await(nil, time.Now().Add(d)) }
