package mutants

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"fairlead.dev"
	"fairlead.dev/conformance"
	psdriver "fairlead.dev/pubsub/driver"
)

// broker changes what a memory provider does with messages; a nil hook
// changes nothing.
type broker struct {
	describe func(*fairlead.Description)
	name     func(topic string) string
	config   func(ctx context.Context, p psdriver.Provider, c *psdriver.SubscriptionConfig) error
	// keep changes a message before it is stored, or drops it.
	keep func(topic string, m *psdriver.Message) bool
	// result changes the result for a message.
	result func(topic string, m psdriver.Message, r *psdriver.SendResult)
	send   func(ctx context.Context, next sending, msgs []psdriver.Message) []psdriver.SendResult
	// deliver changes a message before it is delivered.
	deliver func(s *brokenSub, d *psdriver.Delivery)
	receive func(ctx context.Context, s *brokenSub, limit int) ([]psdriver.Delivery, error)
	// settle changes a settlement, or carries it out itself.
	settle func(ctx context.Context, s *brokenSub, settlement *psdriver.Settlement) (dealtWith bool, err error)
	close  func(ctx context.Context, s *brokenSub) error

	topics       func(next func() ([]string, error)) ([]string, error)
	deleteTopic  func(next func() error) error
	deleteGroup  func(ctx context.Context, p psdriver.Provider, topic, group string) error
	subscription func(ctx context.Context, p psdriver.Provider, c psdriver.SubscriptionConfig) (psdriver.Subscription, error)
	shut         func(next func() error) error // of the provider
}

type sending = func(context.Context, []psdriver.Message) []psdriver.SendResult

// brokenBroker is a memory provider with a broker's hooks.
type brokenBroker struct {
	whole
	broker
}

// broken opens memory providers with these hooks.
func broken(b broker) conformance.Opener { return brokenOf("mem://", func() broker { return b }) }

// breaking opens memory providers, each with hooks and state of its own.
func breaking(b func() broker) conformance.Opener { return brokenOf("mem://", b) }

var backends atomic.Int64

// brokenShared opens memory providers that share one backend.
func brokenShared(b broker) conformance.Opener {
	return brokenOf(fmt.Sprintf("mem://mutant-%d", backends.Add(1)), func() broker { return b })
}

func brokenOf(url string, b func() broker) conformance.Opener {
	return func(ctx context.Context) (fairlead.Provider, error) {
		p, err := fairlead.Open(ctx, url)
		if err != nil {
			return nil, err
		}
		return &brokenBroker{p.(whole), b()}, nil
	}
}

func (p *brokenBroker) Describe(ctx context.Context) (fairlead.Description, error) {
	d, err := p.whole.Describe(ctx)
	if err == nil && p.describe != nil {
		p.describe(&d)
	}
	return d, err
}

func (p *brokenBroker) Close(ctx context.Context) error {
	if p.shut != nil {
		return p.shut(func() error { return p.whole.Close(ctx) })
	}
	return p.whole.Close(ctx)
}

func (p *brokenBroker) Topics(ctx context.Context, prefix string) ([]string, error) {
	next := func() ([]string, error) { return p.whole.Topics(ctx, prefix) }
	if p.topics != nil {
		return p.topics(next)
	}
	return next()
}

func (p *brokenBroker) DeleteTopic(ctx context.Context, name string) error {
	next := func() error { return p.whole.DeleteTopic(ctx, name) }
	if p.deleteTopic != nil {
		return p.deleteTopic(next)
	}
	return next()
}

func (p *brokenBroker) DeleteGroup(ctx context.Context, topic, group string) error {
	if p.deleteGroup != nil {
		return p.deleteGroup(ctx, p.whole, topic, group)
	}
	return p.whole.DeleteGroup(ctx, topic, group)
}

func (p *brokenBroker) OpenTopic(ctx context.Context, c psdriver.TopicConfig) (psdriver.Topic, error) {
	if p.name != nil {
		c.Name = p.name(c.Name)
	}
	t, err := p.whole.OpenTopic(ctx, c)
	if err != nil {
		return nil, err
	}
	return &brokenTopic{t, &p.broker, c.Name}, nil
}

func (p *brokenBroker) OpenSubscription(ctx context.Context, c psdriver.SubscriptionConfig) (psdriver.Subscription, error) {
	if p.name != nil {
		c.Topic = p.name(c.Topic)
	}
	if p.config != nil {
		if err := p.config(ctx, p.whole, &c); err != nil {
			return nil, err
		}
	}
	open := p.subscription
	if open == nil {
		open = func(ctx context.Context, p psdriver.Provider, c psdriver.SubscriptionConfig) (psdriver.Subscription, error) {
			return p.OpenSubscription(ctx, c)
		}
	}
	s, err := open(ctx, p.whole, c)
	if err != nil {
		return nil, err
	}
	return &brokenSub{Subscription: s, broker: &p.broker, provider: p.whole, config: c, held: map[string]psdriver.Delivery{}, gone: map[string]psdriver.Delivery{}}, nil
}

// brokenTopic is a topic with hooks.
type brokenTopic struct {
	psdriver.Topic
	*broker
	name string
}

func (t *brokenTopic) Send(ctx context.Context, msgs []psdriver.Message) []psdriver.SendResult {
	results := make([]psdriver.SendResult, len(msgs))
	var kept []psdriver.Message
	var places []int
	for i, m := range msgs {
		if t.keep != nil && !t.keep(t.name, &m) {
			results[i].ID = fmt.Sprintf("lost-%d", backends.Add(1))
			continue
		}
		kept, places = append(kept, m), append(places, i)
	}
	next := t.Topic.Send
	if t.send != nil {
		next = func(ctx context.Context, kept []psdriver.Message) []psdriver.SendResult {
			return t.send(ctx, t.Topic.Send, kept)
		}
	}
	for j, r := range next(ctx, kept) {
		if t.result != nil {
			t.result(t.name, msgs[places[j]], &r)
		}
		results[places[j]] = r
	}
	return results
}

// brokenSub is a subscription with hooks. It knows which messages its consumer
// holds.
type brokenSub struct {
	psdriver.Subscription
	*broker
	provider psdriver.Provider
	config   psdriver.SubscriptionConfig

	mu   sync.Mutex
	held map[string]psdriver.Delivery
	gone map[string]psdriver.Delivery // messages that were held before
}

func (s *brokenSub) Receive(ctx context.Context, limit int) ([]psdriver.Delivery, error) {
	next := func() ([]psdriver.Delivery, error) { return s.Subscription.Receive(ctx, limit) }
	if s.broker.receive != nil {
		next = func() ([]psdriver.Delivery, error) { return s.broker.receive(ctx, s, limit) }
	}
	deliveries, err := next()
	for i := range deliveries {
		s.hold(deliveries[i])
		if s.deliver != nil {
			s.deliver(s, &deliveries[i])
		}
	}
	return deliveries, err
}

func (s *brokenSub) hold(d psdriver.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[d.Token] = d
}

// holds returns the deliveries that the consumer holds.
func (s *brokenSub) holds() []psdriver.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	var deliveries []psdriver.Delivery
	for _, d := range s.held {
		deliveries = append(deliveries, d)
	}
	return deliveries
}

func (s *brokenSub) release(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, ok := s.held[token]; ok {
		s.gone[token] = d
	}
	delete(s.held, token)
}

// last returns the delivery of a token that is being settled.
func (s *brokenSub) last(token string) psdriver.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone[token]
}

func (s *brokenSub) Settle(ctx context.Context, all []psdriver.Settlement) []error {
	errs := make([]error, len(all))
	for i, settlement := range slices.Clone(all) {
		if settlement.Kind != psdriver.Extend {
			s.release(settlement.Token)
		}
		if s.broker.settle != nil {
			var dealtWith bool
			if dealtWith, errs[i] = s.broker.settle(ctx, s, &settlement); dealtWith {
				continue
			}
		}
		errs[i] = s.Subscription.Settle(ctx, []psdriver.Settlement{settlement})[0]
	}
	return errs
}

func (s *brokenSub) Close(ctx context.Context) error {
	if s.broker.close != nil {
		return s.broker.close(ctx, s)
	}
	return s.Subscription.Close(ctx)
}

// one settles one delivery.
func (s *brokenSub) one(ctx context.Context, token string, kind psdriver.SettleKind) error {
	return s.Subscription.Settle(ctx, []psdriver.Settlement{{Token: token, Kind: kind}})[0]
}

// every returns a function that is true for every n-th call.
func every(n int64) func() bool {
	var calls atomic.Int64
	return func() bool { return calls.Add(1)%n == 0 }
}
