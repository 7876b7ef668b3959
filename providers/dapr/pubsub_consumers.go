package dapr

import (
	"context"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// consumerKey names a group.
type consumerKey struct{ topic, group string }

// groupConsumers holds the group consumers of a provider.
type groupConsumers struct {
	mu      sync.Mutex
	closed  bool
	all     map[consumerKey]*groupConsumer
	closing map[consumerKey]chan struct{} // closed when the consumer of that group has closed
}

// acquire returns the consumer of a group for one more handle. Two consumers of
// one group at once would compete for its messages, so acquire waits for one
// that is closing.
func (cs *groupConsumers) acquire(ctx context.Context, p *provider, c driver.SubscriptionConfig, s assignment) (*groupConsumer, error) {
	key := consumerKey{c.Topic, c.Group}
	for {
		g, closing, err := cs.tryAcquire(p, key, c, s)
		if g != nil || err != nil {
			return g, err
		}
		select {
		case <-closing:
		case <-ctx.Done():
			return nil, fairlead.ContextError(ctx)
		}
	}
}

func (cs *groupConsumers) tryAcquire(p *provider, key consumerKey, c driver.SubscriptionConfig, s assignment) (*groupConsumer, <-chan struct{}, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.closed {
		return nil, nil, fairlead.Errorf(fairlead.Closed, "the provider is closed")
	}
	if closing := cs.closing[key]; closing != nil {
		return nil, closing, nil
	}
	g := cs.all[key]
	if g == nil {
		g = newGroupConsumer(p, c, s)
		if cs.all == nil {
			cs.all, cs.closing = map[consumerKey]*groupConsumer{}, map[consumerKey]chan struct{}{}
		}
		cs.all[key] = g
	}
	g.handles++
	if g.idleTimer != nil {
		g.idleTimer.Stop()
		g.idleTimer = nil
	}
	return g, nil, nil
}

// release removes a handle from a consumer. A consumer without handles closes
// after idlePeriod.
func (cs *groupConsumers) release(g *groupConsumer) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	g.handles--
	if g.handles == 0 && !cs.closed {
		g.idleTimer = time.AfterFunc(idlePeriod, func() { cs.closeIdle(g) })
	}
}

// closeIdle closes a consumer that still has no handle.
func (cs *groupConsumers) closeIdle(g *groupConsumer) {
	key := consumerKey{g.topic, g.group}
	cs.mu.Lock()
	if g.handles > 0 || cs.closed || cs.all[key] != g {
		cs.mu.Unlock()
		return
	}
	delete(cs.all, key)
	done := make(chan struct{})
	cs.closing[key] = done
	cs.mu.Unlock()
	g.close()
	cs.mu.Lock()
	delete(cs.closing, key)
	cs.mu.Unlock()
	close(done)
}

// closeAll closes all consumers and waits for them.
func (cs *groupConsumers) closeAll() {
	cs.mu.Lock()
	cs.closed = true
	all, closing := cs.all, cs.closing
	cs.all, cs.closing = nil, nil
	cs.mu.Unlock()
	var closers sync.WaitGroup
	for _, g := range all {
		closers.Go(func() {
			if g.idleTimer != nil {
				g.idleTimer.Stop()
			}
			g.close()
		})
	}
	closers.Wait()
	for _, done := range closing {
		<-done
	}
}
