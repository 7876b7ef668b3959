//go:build torture

package mutants

import (
	"context"
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/kv/driver"
	psdriver "fairlead.dev/pubsub/driver"
	rpcdriver "fairlead.dev/rpc/driver"
)

var latency = flag.Duration("latency", 300*time.Millisecond, "delay of each driver call")

// TestSlowProviderConforms runs every case over a memory provider each of whose
// calls takes long. A slow provider conforms: a case that fails here keeps a time
// that it does not measure.
func TestSlowProviderConforms(t *testing.T) {
	for name, pause := range map[string]func(){
		"steady": func() { time.Sleep(*latency) },
		"random": func() { time.Sleep(rand.N(2 * *latency)) },
	} {
		t.Run(name, func(t *testing.T) {
			conformance.Test(t, func(ctx context.Context) (fairlead.Provider, error) {
				p, err := fairlead.Open(ctx, "mem://")
				if err != nil {
					return nil, err
				}
				return &slowProvider{p.(whole), pause}, nil
			}, conformance.WithParallel(48))
		})
	}
}

// slowProvider is a memory provider that pauses before each call.
type slowProvider struct {
	whole
	pause func()
}

func (p *slowProvider) OpenStore(ctx context.Context, c driver.StoreConfig) (driver.Store, error) {
	p.pause()
	s, err := p.whole.OpenStore(ctx, c)
	if err != nil {
		return nil, err
	}
	return slowStore{s, p.pause}, nil
}

func (p *slowProvider) OpenTopic(ctx context.Context, c psdriver.TopicConfig) (psdriver.Topic, error) {
	p.pause()
	t, err := p.whole.OpenTopic(ctx, c)
	if err != nil {
		return nil, err
	}
	return slowTopic{t, p.pause}, nil
}

func (p *slowProvider) OpenSubscription(ctx context.Context, c psdriver.SubscriptionConfig) (psdriver.Subscription, error) {
	p.pause()
	s, err := p.whole.OpenSubscription(ctx, c)
	if err != nil {
		return nil, err
	}
	return slowSubscription{s, p.pause}, nil
}

func (p *slowProvider) OpenStream(ctx context.Context, c rpcdriver.StreamConfig) (rpcdriver.Stream, error) {
	p.pause()
	return p.whole.OpenStream(ctx, c)
}

type slowStore struct {
	driver.Store
	pause func()
}

func (s slowStore) Do(ctx context.Context, ops []driver.Op) []driver.Result {
	s.pause()
	return s.Store.Do(ctx, ops)
}

func (s slowStore) Txn(ctx context.Context, t driver.Txn) (driver.Revision, error) {
	s.pause()
	return s.Store.Txn(ctx, t)
}

func (s slowStore) List(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
	s.pause()
	return s.Store.List(ctx, r)
}

func (s slowStore) Watch(ctx context.Context, r driver.WatchRequest) (driver.Watcher, error) {
	s.pause()
	return s.Store.Watch(ctx, r)
}

type slowTopic struct {
	psdriver.Topic
	pause func()
}

func (t slowTopic) Send(ctx context.Context, msgs []psdriver.Message) []psdriver.SendResult {
	t.pause()
	return t.Topic.Send(ctx, msgs)
}

type slowSubscription struct {
	psdriver.Subscription
	pause func()
}

// Receive pauses after the message came, as a slow connection does: its lease runs.
func (s slowSubscription) Receive(ctx context.Context, limit int) ([]psdriver.Delivery, error) {
	deliveries, err := s.Subscription.Receive(ctx, limit)
	if err == nil {
		s.pause()
	}
	return deliveries, err
}

func (s slowSubscription) Settle(ctx context.Context, all []psdriver.Settlement) []error {
	s.pause()
	return s.Subscription.Settle(ctx, all)
}
