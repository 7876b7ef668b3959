package gocloud

import (
	"context"
	"slices"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// subscription is one consumer of a group.
type subscription struct {
	*group
	hub   *hub
	lease time.Duration
	life  lifetime
	leave func()
}

// OpenSubscription implements the pubsub driver's Provider.
func (p *provider) OpenSubscription(ctx context.Context, c driver.SubscriptionConfig) (driver.Subscription, error) {
	if limit := p.backend.PubSub.AckDeadline; limit > 0 && c.AckDeadline > limit {
		return nil, fairlead.Errorf(fairlead.Invalid, "an AckDeadline of %v is longer than the backend's own of %v; make it shorter, or raise the backend's and say so with ack-deadline in the URL", c.AckDeadline, limit)
	}
	var g *group
	err := p.life.call(ctx, func(ctx context.Context) error {
		joined, err := p.hub.join(ctx, c.Topic, c.Group)
		if err != nil {
			return err
		}
		if ctx.Err() != nil { // nobody waits for it any more
			p.hub.leave(joined)
			return ctx.Err()
		}
		g = joined
		return nil
	})
	if err != nil {
		return nil, failed(openFailed(err))
	}
	s := &subscription{group: g, hub: p.hub, lease: c.AckDeadline, life: newLifetime(p.life.ctx)}
	s.leave = sync.OnceFunc(func() {
		s.group.release(s)
		s.hub.leave(s.group)
	})
	context.AfterFunc(s.life.ctx, s.leave)
	return s, nil
}

// openFailed is the reason why something was not opened in time.
func openFailed(err error) error {
	if g, ok := err.(errGivenUp); ok {
		return g.cause
	}
	return err
}

// Receive implements the pubsub driver's Subscription.
func (s *subscription) Receive(ctx context.Context, limit int) ([]driver.Delivery, error) {
	err := s.life.ready(ctx)
	if err != nil {
		return nil, err
	}
	s.ask(1)
	defer s.ask(-1)
	for err == nil {
		var out []driver.Delivery
		var wake wakeup
		out, wake, err = s.try(limit)
		if len(out) > 0 || err != nil {
			return out, err
		}
		err = s.life.wait(ctx, wake.changed, wake.at)
	}
	return nil, err
}

// wakeup is when to look again.
type wakeup struct {
	changed <-chan struct{}
	at      time.Time
}

// ask counts the calls that wait.
func (s *subscription) ask(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking += n
	s.asked = time.Now()
}

// try takes what is there, and makes sure that more comes.
func (s *subscription) try(limit int) ([]driver.Delivery, wakeup, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deleted {
		return nil, wakeup{}, fairlead.Errorf(fairlead.NotFound, "the group was deleted; subscribe again")
	}
	if out := s.take(s, limit, time.Now()); len(out) > 0 {
		if len(s.ready) == 0 {
			s.startPump()
			s.changed.Fire() // a pump that waits for room
		}
		return out, wakeup{}, nil
	}
	if err := s.failure; err != nil {
		s.failure = nil
		return nil, wakeup{}, err
	}
	wake := wakeup{s.changed.Next(), s.nextDue()}
	s.startPump()
	return nil, wake, nil
}

// Settle implements the pubsub driver's Subscription.
func (s *subscription) Settle(ctx context.Context, all []driver.Settlement) []error {
	errs := make([]error, len(all))
	if err := s.life.ready(ctx); err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	acks := make([]*message, len(all))
	s.mu.Lock()
	now := time.Now()
	for i, st := range all {
		acks[i], errs[i] = s.settle(s, st, now)
	}
	s.mu.Unlock()
	return s.confirm(ctx, acks, errs)
}

// confirm acknowledges to the backend what was acknowledged here. It goes on
// when ctx ends: these messages are no longer kept here.
func (s *subscription) confirm(ctx context.Context, acks []*message, errs []error) []error {
	if !slices.ContainsFunc(acks, func(m *message) bool { return m != nil && m.feed.Ack != nil }) {
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
		return s.unanswered(acks, errs)
	}
}

// acknowledge tells the backend. A driver that says that it could not has
// lost the channel by which the message came: it comes again.
func (s *subscription) acknowledge(acks []*message, errs []error) {
	for i, m := range acks {
		if m == nil {
			continue
		}
		if err := m.feed.ack(m.received); err != nil {
			errs[i] = fairlead.Errorf(fairlead.Conflict, "the subscription was interrupted since this delivery; it comes again: %w", err)
		}
	}
}

// unanswered is for acknowledgements that a driver still holds up: they have
// another list of errors, so that nobody writes to the one returned.
func (s *subscription) unanswered(acks []*message, errs []error) []error {
	out := make([]error, len(errs))
	for i, m := range acks {
		if m == nil {
			out[i] = errs[i]
		} else {
			out[i] = fairlead.Errorf(fairlead.UnknownOutcome, "the backend did not take the acknowledgement in time")
		}
	}
	return out
}

// Close implements the pubsub driver's Subscription.
func (s *subscription) Close(context.Context) error {
	s.life.end()
	s.leave()
	return nil
}
