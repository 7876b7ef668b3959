package dapr

import (
	"context"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/await"
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

	closed chan struct{}
	close  sync.Once
}

// OpenSubscription implements the pubsub driver's Provider.
func (p *provider) OpenSubscription(ctx context.Context, c driver.SubscriptionConfig) (driver.Subscription, error) {
	if p.life.Err() != nil {
		return nil, errProviderClosed
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
	s := &subscription{p: p, consumer: g, deadline: c.AckDeadline, closed: make(chan struct{})}
	if err := g.waitConnected(ctx); err != nil {
		p.consumers.release(g)
		return nil, err
	}
	// The clock of a publisher may be behind. A message that it publishes from now
	// on must not look older than a group that was just created.
	young := time.Until(assignment.since.Add(p.config.clockSkew))
	if !await.Pause(ctx, min(young, 2*p.config.clockSkew)) {
		p.consumers.release(g)
		return nil, fairlead.ContextError(ctx)
	}
	return s, nil
}

// Receive implements [driver.Subscription].
func (s *subscription) Receive(ctx context.Context, limit int) ([]driver.Delivery, error) {
	seen := -1
	for {
		if err := s.checkOpen(ctx); err != nil {
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
		select {
		case <-changed:
		case <-ctx.Done():
		case <-s.closed:
		case <-s.p.life.Done():
		}
	}
}

// checkOpen returns the error of a call that cannot begin or continue.
func (s *subscription) checkOpen(ctx context.Context) error {
	select {
	case <-s.closed:
		return fairlead.Errorf(fairlead.Closed, "the subscription is closed")
	case <-s.p.life.Done():
		return errProviderClosed
	default:
	}
	if ctx.Err() != nil {
		return fairlead.ContextError(ctx)
	}
	return nil
}

// Settle implements [driver.Subscription].
func (s *subscription) Settle(ctx context.Context, all []driver.Settlement) []error {
	if err := s.checkOpen(ctx); err != nil {
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
	s.close.Do(func() {
		close(s.closed)
		s.consumer.returnLeases(s)
		s.p.consumers.release(s.consumer)
	})
	return nil
}
