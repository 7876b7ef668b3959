package gocloud

import (
	"context"
	"slices"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

// subscription is one consumer of a group.
type subscription struct {
	*group
	handles     *openHandles
	ackDeadline time.Duration
	life        *providers.Lifetime
	leave       func()
}

// OpenSubscription implements the pubsub driver's Provider.
func (p *provider) OpenSubscription(ctx context.Context, c driver.SubscriptionConfig) (driver.Subscription, error) {
	var g *group
	err := call(ctx, p.life, func(ctx context.Context) error {
		joined, err := p.handles.join(ctx, c.Topic, c.Group)
		if err != nil {
			return err
		}
		if ctx.Err() != nil { // OpenSubscription has returned without it
			p.handles.leave(joined)
			return ctx.Err()
		}
		g = joined
		return nil
	})
	if err != nil {
		return nil, convertError(unwrapAbandoned(err))
	}
	s := &subscription{group: g, handles: p.handles, ackDeadline: c.AckDeadline, life: p.life.Child("subscription")}
	s.leave = sync.OnceFunc(func() {
		s.group.releaseConsumer(s)
		s.handles.leave(s.group)
	})
	context.AfterFunc(s.life.Context(), s.leave)
	return s, nil
}

// Receive implements the pubsub driver's Subscription.
func (s *subscription) Receive(ctx context.Context, limit int) ([]driver.Delivery, error) {
	err := s.life.Check(ctx)
	if err != nil {
		return nil, err
	}
	s.countWaiting(1)
	defer s.countWaiting(-1)
	for err == nil {
		var out []driver.Delivery
		var wake wakeup
		out, wake, err = s.tryReceive(limit)
		if len(out) > 0 || err != nil {
			return out, err
		}
		err = s.life.Wait(ctx, wake.changed, wake.at)
	}
	return nil, err
}

// wakeup says when Receive tries again: after a change, or at a time.
type wakeup struct {
	changed <-chan struct{}
	at      time.Time
}

// countWaiting counts the calls of Receive that wait.
func (s *subscription) countWaiting(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waitingCalls += n
	s.lastDemand = time.Now()
}

// tryReceive leases ready messages, and makes sure that more are fetched.
func (s *subscription) tryReceive(limit int) ([]driver.Delivery, wakeup, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deleted {
		return nil, wakeup{}, fairlead.Errorf(fairlead.NotFound, "the group was deleted; subscribe again")
	}
	if out := s.lease(s, limit, time.Now()); len(out) > 0 {
		if len(s.ready) == 0 {
			s.startFetcher()
			s.changed.Fire() // the fetcher may wait for space
		}
		return out, wakeup{}, nil
	}
	if err := s.failure; err != nil {
		s.failure = nil
		return nil, wakeup{}, err
	}
	wake := wakeup{s.changed.Next(), s.nextDue()}
	s.startFetcher()
	return nil, wake, nil
}

// Settle implements the pubsub driver's Subscription.
func (s *subscription) Settle(ctx context.Context, all []driver.Settlement) []error {
	errs := make([]error, len(all))
	if err := s.life.Check(ctx); err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	acks := make([]*heldMessage, len(all))
	s.mu.Lock()
	now := time.Now()
	for i, st := range all {
		acks[i], errs[i] = s.settle(s, st, now)
	}
	s.mu.Unlock()
	return s.confirm(ctx, acks, errs)
}

// confirm acknowledges messages to the backend that were acknowledged here. The
// acknowledgement continues when ctx ends: the group does not hold these
// messages any more.
func (s *subscription) confirm(ctx context.Context, acks []*heldMessage, errs []error) []error {
	if !slices.ContainsFunc(acks, func(m *heldMessage) bool { return m != nil && m.source.Ack != nil }) {
		s.acknowledge(acks, errs)
		return errs
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.acknowledge(acks, errs)
	}()
	select {
	case <-done:
		return errs
	case <-ctx.Done():
		return s.unconfirmed(acks, errs)
	}
}

// acknowledge acknowledges messages to the backend. A driver that returns an
// error has lost the channel of the message, which is delivered again.
func (s *subscription) acknowledge(acks []*heldMessage, errs []error) {
	for i, m := range acks {
		if m == nil {
			continue
		}
		if err := m.source.ack(m.received); err != nil {
			errs[i] = fairlead.Errorf(fairlead.Conflict, "the subscription was interrupted after this delivery; the message is delivered again: %w", err)
		}
	}
}

// unconfirmed returns the errors of acknowledgements that a driver has not
// completed. It returns a new slice: acknowledge may still write to errs.
func (s *subscription) unconfirmed(acks []*heldMessage, errs []error) []error {
	out := make([]error, len(errs))
	for i, m := range acks {
		if m == nil {
			out[i] = errs[i]
		} else {
			out[i] = fairlead.Errorf(fairlead.UnknownOutcome, "the backend did not accept the acknowledgement in time")
		}
	}
	return out
}

// Close implements the pubsub driver's Subscription.
func (s *subscription) Close(context.Context) error {
	s.life.End()
	s.leave()
	return nil
}
