package dapr

import (
	"context"
	"time"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

// idlePeriod is how long a consumer without handles stays open: a new handle
// gets the events of the last one at once, and a runtime takes time to stop
// reading.
const idlePeriod = time.Second

// subscription is a handle for receiving.
type subscription struct {
	p        *provider
	consumer *groupConsumer
	deadline time.Duration

	life *providers.Lifetime
}

// OpenSubscription implements the pubsub driver's Provider.
func (p *provider) OpenSubscription(ctx context.Context, c driver.SubscriptionConfig) (driver.Subscription, error) {
	if err := p.life.Check(ctx); err != nil {
		return nil, err
	}
	if c.Group == "" {
		return nil, unsupportedClaim(driver.ClaimBroadcast)
	}
	assignment, err := p.assignGroup(ctx, c)
	if err != nil {
		return nil, err
	}
	g, err := p.consumers.acquire(ctx, p, c, assignment)
	if err != nil {
		return nil, err
	}
	if err := g.waitConnected(ctx); err != nil {
		p.consumers.release(g)
		return nil, err
	}
	// The clock of a publisher may be behind. A message that it publishes from now
	// on must not look older than a group that was just created.
	young := time.Until(assignment.since.Add(p.config.clockSkew))
	if !providers.Pause(ctx, min(young, 2*p.config.clockSkew)) {
		p.consumers.release(g)
		return nil, fairlead.ContextError(ctx)
	}
	return &subscription{p: p, consumer: g, deadline: c.AckDeadline, life: p.life.Child("subscription")}, nil
}

// Receive implements [driver.Subscription].
func (s *subscription) Receive(ctx context.Context, limit int) ([]driver.Delivery, error) {
	seen := -1
	for {
		if err := s.life.Check(ctx); err != nil {
			return nil, err
		}
		ds, changed, faults, fault := s.consumer.leaseReady(s, limit)
		if len(ds) > 0 {
			return ds, nil
		}
		if seen >= 0 && faults > seen {
			return nil, fault
		}
		seen = faults
		if err := s.life.Wait(ctx, changed, time.Time{}); err != nil {
			return nil, s.consumer.explainWait(err)
		}
	}
}

// explainWait adds to the error of a Receive whose context has ended why nothing
// could come, if a stream of the consumer is broken.
func (g *groupConsumer) explainWait(err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if fairlead.CodeOf(err) == fairlead.Closed || g.fault == nil || g.connected() {
		return err
	}
	return fairlead.Errorf(fairlead.CodeOf(err), "%w; before, the sidecar could not be subscribed to: %s", err, g.fault)
}

// Settle implements [driver.Subscription].
func (s *subscription) Settle(ctx context.Context, all []driver.Settlement) []error {
	if err := s.life.Check(ctx); err != nil {
		errs := make([]error, len(all))
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	return s.consumer.settle(s, all)
}

// Close implements [driver.Subscription].
func (s *subscription) Close(context.Context) error {
	if s.life.End() {
		s.consumer.returnLeases(s)
		s.p.consumers.release(s.consumer)
	}
	return nil
}
