package pubsub_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/pubsub"
	"fairlead.dev/pubsub/driver"
)

// fakeProvider is a provider over memory whose calls a test can replace.
type fakeProvider struct {
	driver.Provider
	disclaimed fairlead.Claim // a claim that it does not make
	maxMessage int            // 0: as memory
	receive    func(ctx context.Context, limit int, next receiveFunc) ([]driver.Delivery, error)
	settle     func(ctx context.Context, s []driver.Settlement, next settleFunc) []error
	send       func(ctx context.Context, topic string, msgs []driver.Message, next sendFunc) []driver.SendResult
	receives   atomic.Int64
}

type (
	receiveFunc func(context.Context, int) ([]driver.Delivery, error)
	settleFunc  func(context.Context, []driver.Settlement) []error
	sendFunc    func(context.Context, []driver.Message) []driver.SendResult
)

func openFake(t *testing.T) *fakeProvider {
	t.Helper()
	return &fakeProvider{Provider: openMemory(t).(driver.Provider)}
}

func (p *fakeProvider) Describe(ctx context.Context) (fairlead.Description, error) {
	d, err := p.Provider.Describe(ctx)
	for i, f := range d.Facets {
		var claims []fairlead.Claim
		for _, c := range f.Claims {
			if c != p.disclaimed {
				claims = append(claims, c)
			}
		}
		d.Facets[i].Claims = claims
		if p.maxMessage > 0 {
			d.Facets[i].Limits.MaxMessageBytes = p.maxMessage
		}
	}
	return d, err
}

func (p *fakeProvider) OpenTopic(ctx context.Context, c driver.TopicConfig) (driver.Topic, error) {
	t, err := p.Provider.OpenTopic(ctx, c)
	return fakeTopic{t, p, c.Name}, err
}

func (p *fakeProvider) OpenSubscription(ctx context.Context, c driver.SubscriptionConfig) (driver.Subscription, error) {
	s, err := p.Provider.OpenSubscription(ctx, c)
	return fakeSubscription{s, p}, err
}

type fakeTopic struct {
	driver.Topic
	p    *fakeProvider
	name string
}

func (f fakeTopic) Send(ctx context.Context, msgs []driver.Message) []driver.SendResult {
	if f.p.send == nil {
		return f.Topic.Send(ctx, msgs)
	}
	return f.p.send(ctx, f.name, msgs, f.Topic.Send)
}

type fakeSubscription struct {
	driver.Subscription
	p *fakeProvider
}

func (f fakeSubscription) Receive(ctx context.Context, limit int) ([]driver.Delivery, error) {
	f.p.receives.Add(1)
	if f.p.receive == nil {
		return f.Subscription.Receive(ctx, limit)
	}
	return f.p.receive(ctx, limit, f.Subscription.Receive)
}

func (f fakeSubscription) Settle(ctx context.Context, s []driver.Settlement) []error {
	if f.p.settle == nil {
		return f.Subscription.Settle(ctx, s)
	}
	return f.p.settle(ctx, s, f.Subscription.Settle)
}

func subscribe(t *testing.T, p fairlead.Provider, topic string, opts ...pubsub.SubscribeOption) *pubsub.Subscription {
	t.Helper()
	s, err := pubsub.Subscribe(t.Context(), p, topic, append(opts, pubsub.Group("g"))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

func publish(t *testing.T, p fairlead.Provider, msgs ...pubsub.Message) {
	t.Helper()
	topic := openTopic(t, p, "t")
	defer topic.Close(t.Context())
	if _, err := topic.PublishMany(t.Context(), msgs...); err != nil {
		t.Fatal(err)
	}
}

// within returns a context that ends after d and that the test's end cancels.
func within(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}
