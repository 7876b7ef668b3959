package intercept

import (
	"context"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// OpenTopic implements [driver.Provider].
func (p provider) OpenTopic(ctx context.Context, c driver.TopicConfig) (driver.Topic, error) {
	return open(ctx, p, fairlead.PubSub, Call{Op: "pubsub.OpenTopic", Target: c.Name, Input: c},
		func(d driver.Provider) (driver.Topic, error) { return d.OpenTopic(ctx, c) },
		func(t driver.Topic) driver.Topic { return topic{t, c.Name, p.hooks} })
}

// OpenSubscription implements [driver.Provider].
func (p provider) OpenSubscription(ctx context.Context, c driver.SubscriptionConfig) (driver.Subscription, error) {
	return open(ctx, p, fairlead.PubSub, Call{Op: "pubsub.OpenSubscription", Target: c.Topic, Input: c},
		func(d driver.Provider) (driver.Subscription, error) { return d.OpenSubscription(ctx, c) },
		func(s driver.Subscription) driver.Subscription { return subscription{s, c.Topic, p.hooks} })
}

// Topics implements [driver.Provider].
func (p provider) Topics(ctx context.Context, prefix string) ([]string, error) {
	return manage(ctx, p, fairlead.PubSub, Call{Op: "pubsub.Topics", Target: prefix},
		func(d driver.Provider) ([]string, error) { return d.Topics(ctx, prefix) })
}

// DeleteTopic implements [driver.Provider].
func (p provider) DeleteTopic(ctx context.Context, name string) error {
	return managePlain(ctx, p, fairlead.PubSub, Call{Op: "pubsub.DeleteTopic", Target: name},
		func(d driver.Provider) error { return d.DeleteTopic(ctx, name) })
}

// DeleteGroup implements [driver.Provider].
func (p provider) DeleteGroup(ctx context.Context, topic, group string) error {
	return managePlain(ctx, p, fairlead.PubSub, Call{Op: "pubsub.DeleteGroup", Target: topic, Input: group},
		func(d driver.Provider) error { return d.DeleteGroup(ctx, topic, group) })
}

type topic struct {
	driver.Topic
	name  string
	hooks *Hooks
}

// Send implements [driver.Topic].
func (t topic) Send(ctx context.Context, msgs []driver.Message) []driver.SendResult {
	return runBatch(ctx, t.hooks, Call{Op: "pubsub.Send", Target: t.name}, msgs,
		func() []driver.SendResult { return t.Topic.Send(ctx, msgs) },
		func(err error) driver.SendResult { return driver.SendResult{Err: err} })
}

// Close implements [driver.Topic].
func (t topic) Close(ctx context.Context) error {
	return runClose(ctx, t.hooks, Call{Op: "pubsub.Topic.Close", Target: t.name}, t.Topic.Close)
}

type subscription struct {
	driver.Subscription
	topic string
	hooks *Hooks
}

// Receive implements [driver.Subscription].
func (s subscription) Receive(ctx context.Context, limit int) ([]driver.Delivery, error) {
	return run(ctx, s.hooks, Call{Op: "pubsub.Receive", Target: s.topic, Input: limit}, func() ([]driver.Delivery, error) { return s.Subscription.Receive(ctx, limit) })
}

// Settle implements [driver.Subscription].
func (s subscription) Settle(ctx context.Context, all []driver.Settlement) []error {
	return runBatch(ctx, s.hooks, Call{Op: "pubsub.Settle", Target: s.topic}, all,
		func() []error { return s.Subscription.Settle(ctx, all) },
		func(err error) error { return err })
}

// Close implements [driver.Subscription].
func (s subscription) Close(ctx context.Context) error {
	return runClose(ctx, s.hooks, Call{Op: "pubsub.Subscription.Close", Target: s.topic}, s.Subscription.Close)
}
