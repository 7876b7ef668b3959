package dapr

import (
	"context"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/pubsub/driver"
)

// lingering is how long a feed without handles stays: a handle that comes
// gets at once what the last one had in hand, and a runtime needs a while to
// stop reading.
const lingering = time.Second

// subscription is a handle for receiving.
type subscription struct {
	p        *provider
	feed     *feed
	deadline time.Duration

	closed chan struct{}
	close  sync.Once
}

// OpenSubscription implements the pubsub driver's Provider.
func (p *provider) OpenSubscription(ctx context.Context, c driver.SubscriptionConfig) (driver.Subscription, error) {
	if p.life.Err() != nil {
		return nil, errClosed
	}
	if c.Group == "" {
		return nil, notOffered(driver.ClaimBroadcast)
	}
	seat, err := p.join(ctx, c)
	if err != nil {
		return nil, err
	}
	f, err := p.feeds.hold(ctx, p, c, seat)
	if err != nil {
		return nil, err
	}
	s := &subscription{p: p, feed: f, deadline: c.AckDeadline, closed: make(chan struct{})}
	if err := f.connected(ctx); err != nil {
		p.feeds.drop(f)
		return nil, err
	}
	// The clock of a publisher may be behind: what it publishes from now on must
	// not look older than a group that was just made.
	young := time.Until(seat.since.Add(p.config.clockSkew))
	if !await.Pause(ctx, min(young, 2*p.config.clockSkew)) {
		p.feeds.drop(f)
		return nil, fairlead.ContextError(ctx)
	}
	return s, nil
}

// Receive implements [driver.Subscription].
func (s *subscription) Receive(ctx context.Context, limit int) ([]driver.Delivery, error) {
	seen := -1
	for {
		if err := s.ended(ctx); err != nil {
			return nil, err
		}
		ds, changed, faults, fault := s.feed.take(s, limit)
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

// ended says why a call cannot go on.
func (s *subscription) ended(ctx context.Context) error {
	select {
	case <-s.closed:
		return fairlead.Errorf(fairlead.Closed, "the subscription is closed")
	case <-s.p.life.Done():
		return errClosed
	default:
	}
	if ctx.Err() != nil {
		return fairlead.ContextError(ctx)
	}
	return nil
}

// Settle implements [driver.Subscription].
func (s *subscription) Settle(ctx context.Context, all []driver.Settlement) []error {
	if err := s.ended(ctx); err != nil {
		errs := make([]error, len(all))
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	return s.feed.settle(s, all)
}

// Close implements [driver.Subscription].
func (s *subscription) Close(context.Context) error {
	s.close.Do(func() {
		close(s.closed)
		s.feed.giveBack(s)
		s.p.feeds.drop(s.feed)
	})
	return nil
}
