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
	return &publisher{p.backend.findOrCreateTopic(c.Name), p.life.Child("topic")}, nil
}

func (b *backend) findOrCreateTopic(name string) *topic {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topics[name]
	if t == nil {
		t = newTopic(b.historySize, b.dedupeWindow)
		b.topics[name] = t
	}
	return t
}

// OpenSubscription implements the pubsub driver's Provider. A broadcast
// subscription is the only consumer of a group that ends with it.
func (p *provider) OpenSubscription(ctx context.Context, c driver.SubscriptionConfig) (driver.Subscription, error) {
	if err := p.life.Check(ctx); err != nil {
		return nil, err
	}
	t := p.backend.findOrCreateTopic(c.Topic)
	t.mu.Lock()
	defer t.mu.Unlock()
	name := c.Group
	if name == "" {
		name = t.newBroadcastName()
	}
	g, err := t.findOrCreateGroup(name, c)
	if err != nil {
		return nil, err
	}
	return newSubscription(g, name, c.AckDeadline, p.life.Child("subscription")), nil
}

// Topics implements the pubsub driver's Provider.
func (p *provider) Topics(ctx context.Context, prefix string) ([]string, error) {
	if err := p.life.Check(ctx); err != nil {
		return nil, err
	}
	p.backend.mu.Lock()
	defer p.backend.mu.Unlock()
	return namesWithPrefix(p.backend.topics, prefix), nil
}

// DeleteTopic implements the pubsub driver's Provider. Open handles keep using
// the data, which no new handle sees.
func (p *provider) DeleteTopic(ctx context.Context, name string) error {
	if err := p.life.Check(ctx); err != nil {
		return err
	}
	p.backend.mu.Lock()
	defer p.backend.mu.Unlock()
	delete(p.backend.topics, name)
	return nil
}

// DeleteGroup implements the pubsub driver's Provider. Open handles fail with
// NotFound.
func (p *provider) DeleteGroup(ctx context.Context, topicName, groupName string) error {
	if err := p.life.Check(ctx); err != nil {
		return err
	}
	p.backend.mu.Lock()
	t := p.backend.topics[topicName]
	p.backend.mu.Unlock()
	if t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.deleteGroup(groupName)
	}
	return nil
}
