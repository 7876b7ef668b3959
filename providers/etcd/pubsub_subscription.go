package etcd

import (
	"context"
	"time"

	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

// subscription is a consumer of a group, or a broadcast.
type subscription struct {
	p     *provider
	g     *group
	name  string          // in etcd; random
	lease time.Duration   // of a delivery
	held  map[uint64]bool // its leases that are not settled, by whether Receive has returned them; the group's lock guards it
	life  *providers.Lifetime
}

// holds reports whether a lease is not settled. The group's lock is held.
func (s *subscription) holds(lease uint64) bool {
	_, ok := s.held[lease]
	return ok
}

// giveUpAfter is how long a Receive whose context has ended waits for messages
// that are being taken for it.
const giveUpAfter = 500 * time.Millisecond

// Receive implements the pubsub driver's Subscription.
func (s *subscription) Receive(ctx context.Context, limit int) ([]driver.Delivery, error) {
	if err := s.life.Check(ctx); err != nil {
		return nil, err
	}
	r := s.g.enqueue(s, limit)
	select {
	case got := <-r.done:
		return s.accept(got)
	case <-s.life.Done():
	case <-ctx.Done():
	}
	if s.g.withdraw(r) {
		return nil, s.life.Check(ctx)
	}
	// Messages are being taken. They are not lost if they come soon; otherwise they
	// are given back.
	timer := time.NewTimer(giveUpAfter)
	defer timer.Stop()
	select {
	case got := <-r.done:
		return s.accept(got)
	case <-s.life.Done():
	case <-timer.C:
	}
	s.g.abandon(r)
	select {
	case got := <-r.done:
		return s.accept(got)
	default:
		return nil, s.life.Check(ctx)
	}
}

// accept returns what a Receive got, unless the subscription was closed meanwhile:
// then Close gives the messages back.
func (s *subscription) accept(got result) ([]driver.Delivery, error) {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	if err := s.life.Err(); err != nil {
		return nil, err
	}
	for _, lease := range got.leases {
		if s.holds(lease) {
			s.held[lease] = true
		}
	}
	return got.out, got.err
}

// Settle implements the pubsub driver's Subscription.
func (s *subscription) Settle(ctx context.Context, all []driver.Settlement) []error {
	if err := s.life.Check(ctx); err != nil {
		errs := make([]error, len(all))
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	return s.g.settle(ctx, s.name, all)
}

// Close implements the pubsub driver's Subscription.
func (s *subscription) Close(ctx context.Context) error {
	if !s.life.End() {
		return nil
	}
	s.p.subscriptions.Remove(s)
	s.giveBackAll(ctx)
	s.g.leave(s)
	return nil
}

// closeWait bounds how long Close waits for messages that are being taken.
const closeWait = time.Second

// giveBackAll gives back what the subscription holds. If this fails, the messages
// come again when their leases end.
func (s *subscription) giveBackAll(ctx context.Context) {
	if s.g.isBroadcast() {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, closeWait)
	defer cancel()
	select {
	case s.g.turn <- struct{}{}:
		defer func() { <-s.g.turn }()
	case <-bounded.Done():
	}
	if all := s.g.holdings(s); len(all) > 0 {
		_ = s.g.settle(ctx, s.name, all)
	}
}

// holdings returns the settlements that give back what a subscription holds. The
// delivery of a message that Receive has not returned does not count.
func (g *group) holdings(s *subscription) (all []driver.Settlement) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, number := range g.ledger.heldBy(s.name) {
		lease := g.ledger.entries[number].lease.Lease
		kind := driver.Release
		if s.held[lease] {
			kind = driver.Nack
		}
		all = append(all, driver.Settlement{Token: formatToken(number, lease), Kind: kind})
	}
	return all
}

// abandon notes that nobody waits for a request that is being served.
func (g *group) abandon(r *request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r.left = true
	if !r.serving {
		g.drop(r)
	}
}
