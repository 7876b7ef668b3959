package memory

import (
	"context"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

// broadcastPrefix begins the group names of broadcast subscriptions. No other
// group has such a name: a slash is not valid in it.
const broadcastPrefix = "broadcast/"

// newBroadcastName returns the name of a group for one broadcast subscription.
// The topic is locked.
func (t *topic) newBroadcastName() string {
	t.broadcasts++
	return broadcastPrefix + formatPosition(t.broadcasts)
}

// subscription is a handle of a group.
type subscription struct {
	group       *group
	name        string
	ackDeadline time.Duration
	life        *providers.Lifetime
	losses      int         // of its group, that it has reported
	stopRelease func() bool // cancels the release at the end of life
}

// newSubscription returns a handle that releases its deliveries when its life
// ends. The topic is locked.
func newSubscription(g *group, name string, ackDeadline time.Duration, life *providers.Lifetime) *subscription {
	g.handles++
	s := &subscription{group: g, name: name, ackDeadline: ackDeadline, life: life, losses: g.losses}
	s.stopRelease = context.AfterFunc(life.Context(), s.release)
	return s
}

// Receive implements the pubsub driver's Subscription.
func (s *subscription) Receive(ctx context.Context, limit int) ([]driver.Delivery, error) {
	err := s.life.Check(ctx)
	for err == nil {
		deliveries, changed, due, failure := s.tryReceive(limit)
		if len(deliveries) > 0 || failure != nil {
			return deliveries, failure
		}
		err = s.life.Wait(ctx, changed, due)
	}
	return nil, err
}

// tryReceive returns the messages that can be delivered now. If there are none,
// it returns what to wait for: a change, or the time at which the next message
// is due.
func (s *subscription) tryReceive(limit int) (deliveries []driver.Delivery, changed <-chan struct{}, due time.Time, err error) {
	t := s.group.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.group.deleted {
		return nil, nil, time.Time{}, fairlead.Errorf(fairlead.NotFound, "the group was deleted; subscribe again")
	}
	if s.losses != s.group.losses {
		s.losses = s.group.losses
		return nil, nil, time.Time{}, fairlead.Errorf(fairlead.Compacted, "the topic was deleted, with messages that were not received; the subscription continues with those that are published from then on")
	}
	return s.group.deliver(s, limit, time.Now()), t.changed.Next(), s.group.nextDue(), nil
}

// Settle implements the pubsub driver's Subscription.
func (s *subscription) Settle(ctx context.Context, settlements []driver.Settlement) []error {
	errs := make([]error, len(settlements))
	if err := s.life.Check(ctx); err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	s.group.topic.mu.Lock()
	defer s.group.topic.mu.Unlock()
	now := time.Now()
	for i, st := range settlements {
		errs[i] = s.group.settle(s, st, now)
	}
	return errs
}

// Close implements the pubsub driver's Subscription. When it returns, everything
// is released.
func (s *subscription) Close(context.Context) error {
	isFirst := s.stopRelease()
	s.life.End()
	if isFirst {
		s.release()
	}
	return nil
}

// release makes the deliveries of the subscription available to its group at
// once. It deletes the group of a broadcast subscription.
func (s *subscription) release() {
	t := s.group.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	s.group.handles--
	if strings.HasPrefix(s.name, broadcastPrefix) {
		t.deleteGroup(s.name)
		return
	}
	now := time.Now()
	for _, p := range s.group.pending {
		if p.owner == s {
			s.group.giveBack(p, now)
		}
	}
}
