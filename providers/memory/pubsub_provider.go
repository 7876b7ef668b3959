package memory

import (
	"context"

	"fairlead.dev/pubsub/driver"
)

// OpenTopic implements the pubsub driver's Provider.
func (p *provider) OpenTopic(ctx context.Context, c driver.TopicConfig) (driver.Topic, error) {
	if err := p.life.Check(ctx); err != nil {
		return nil, err
	}
	life := p.life.Child("topic")
	return &publisher{p.backend.topics.open(c.Name, life.Context()), life}, nil
}

// OpenSubscription implements the pubsub driver's Provider. A broadcast
// subscription is the only consumer of a group that ends with it.
func (p *provider) OpenSubscription(ctx context.Context, c driver.SubscriptionConfig) (driver.Subscription, error) {
	if err := p.life.Check(ctx); err != nil {
		return nil, err
	}
	life := p.life.Child("subscription")
	t := p.backend.topics.open(c.Topic, life.Context())
	t.mu.Lock()
	defer t.mu.Unlock()
	name := c.Group
	if name == "" {
		name = t.newBroadcastName()
	}
	g, err := t.findOrCreateGroup(name, c)
	if err != nil {
		life.End()
		return nil, err
	}
	return newSubscription(g, name, c.AckDeadline, life), nil
}

// Topics implements the pubsub driver's Provider.
func (p *provider) Topics(ctx context.Context, prefix string) ([]string, error) {
	if err := p.life.Check(ctx); err != nil {
		return nil, err
	}
	return p.backend.topics.names(prefix), nil
}

// DeleteTopic implements the pubsub driver's Provider. Open subscriptions report
// Compacted, and continue. A message that an open handle publishes creates the
// topic again.
func (p *provider) DeleteTopic(ctx context.Context, name string) error {
	if err := p.life.Check(ctx); err != nil {
		return err
	}
	p.backend.topics.delete(name)
	return nil
}

// DeleteGroup implements the pubsub driver's Provider. Open handles fail with
// NotFound.
func (p *provider) DeleteGroup(ctx context.Context, topicName, groupName string) error {
	if err := p.life.Check(ctx); err != nil {
		return err
	}
	if t, ok := p.backend.topics.find(topicName); ok {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.deleteGroup(groupName)
	}
	return nil
}
