package redis

import (
	"context"
	"time"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

const (
	// maxReceiveBytes is the size of messages at which a call of Receive takes
	// no more of them.
	maxReceiveBytes = 8 << 20
	// maxParked bounds the messages of a group that wait for another one with
	// their ordering key. When it is reached, the group reads no new messages.
	maxParked = 10_000
	// giveBackStep is the approximate number of messages that one call checks.
	giveBackStep = 500
	// inspectInterval is how often a subscription looks for messages that other
	// programs have removed before the group has read them.
	inspectInterval = time.Second
	// closeTimeout bounds how long Close waits for a running call.
	closeTimeout = time.Second
)

// groupSubscription is a handle of a group: one consumer of the stream's
// consumer group.
type groupSubscription struct {
	p        *provider
	life     *providers.Lifetime
	config   driver.SubscriptionConfig
	keys     topicKeys
	group    groupKeys
	consumer string
	trimmer  trimmer

	// epoch identifies the topic that was joined. It is empty if the topic must
	// be joined again. Only the fetch uses it, of which one runs at a time.
	epoch string
	// inspected is when the server last looked for removed messages. Only the
	// fetch uses it.
	inspected time.Time

	receiver receiver
	// These are guarded by the receiver.
	leased     []leasedDelivery
	unreturned []driver.Delivery // their leases ended before a Receive could return them
	leasing    chan struct{}     // closed at the end of the running call that may lease; nil if there is none
}

// leasedDelivery is a delivery that no Receive has returned yet.
type leasedDelivery struct {
	driver.Delivery
	until time.Time
}

// OpenSubscription implements the pubsub driver's Provider.
func (p *provider) OpenSubscription(ctx context.Context, c driver.SubscriptionConfig) (driver.Subscription, error) {
	if err := p.checkPermissions(ctx, fairlead.PubSub, p.topicKeys(c.Topic).stream); err != nil {
		return nil, err
	}
	j, err := p.join(ctx, c)
	if err != nil {
		return nil, err
	}
	if c.Group == "" {
		return newBroadcast(p, c, j), nil
	}
	keys := p.topicKeys(c.Topic)
	s := &groupSubscription{
		p: p, life: p.life.Child("subscription"), config: c, keys: keys, group: keys.group(c.Group),
		consumer: randomName(), trimmer: trimmer{p: p, keys: keys}, epoch: j.epoch,
	}
	if err := p.subscriptions.Add(s); err != nil {
		s.life.End()
		return nil, err
	}
	return s, nil
}

// Close implements the pubsub driver's Subscription.
func (s *groupSubscription) Close(ctx context.Context) error {
	if !s.life.End() {
		return nil // another call gives the messages back
	}
	defer s.p.subscriptions.Remove(s)
	s.awaitLeasing(ctx)
	s.dropLeased()
	s.releaseUnreturned(ctx)
	return s.giveBack(ctx)
}

// dropLeased makes the deliveries that no Receive has returned unreturned ones.
func (s *groupSubscription) dropLeased() {
	s.receiver.Lock()
	defer s.receiver.Unlock()
	for _, d := range s.leased {
		s.unreturned = append(s.unreturned, d.Delivery)
	}
	s.leased = nil
}

// giveBack makes all messages that the consumer holds due, and removes the
// consumer.
func (s *groupSubscription) giveBack(ctx context.Context) error {
	for cursor := "0"; ; {
		reply, err := s.p.query(ctx, s.keys.stream, giveBackScript.command(ctx,
			[]string{s.keys.stream, s.group.due, s.group.wake}, s.config.Group, s.consumer, cursor, giveBackStep))
		if err != nil {
			return err
		}
		if cursor = asText(reply); cursor == "0" {
			return nil
		}
	}
}

// closeSubscriptions closes the subscriptions of groups. Messages that cannot be
// given back because the server does not answer are delivered again after their
// leases.
func (p *provider) closeSubscriptions(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	if err := p.subscriptions.CloseAll(ctx); err != nil {
		p.logger.DebugContext(ctx, "redis: messages could not be given back; they are delivered again after their leases", "error", err)
	}
}
