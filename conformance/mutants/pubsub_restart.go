package mutants

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
	psdriver "fairlead.dev/pubsub/driver"
)

// brokerOutage makes a memory provider behave like one whose backend can be
// killed and started. A kill loses nothing.
type brokerOutage struct {
	mu     sync.Mutex
	kills  int
	killed chan struct{} // closed while it is down
	starts []func()      // called at each start
}

func newBrokerOutage() *brokerOutage { return &brokerOutage{killed: make(chan struct{})} }

// reset returns the outage itself, with the backend up, for another run.
func (o *brokerOutage) reset() conformance.Control {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kills = 0
	return o
}

// Kill implements [conformance.Control].
func (o *brokerOutage) Kill(context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kills++
	close(o.killed)
	return nil
}

// Start implements [conformance.Control].
func (o *brokerOutage) Start(context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.starts {
		f()
	}
	o.killed = make(chan struct{})
	return nil
}

// state returns how often the backend was killed, and a channel that is closed while
// it is down.
func (o *brokerOutage) state() (kills int, killed <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.kills, o.killed
}

func (o *brokerOutage) down() bool {
	_, killed := o.state()
	select {
	case <-killed:
		return true
	default:
		return false
	}
}

// runSoon calls a function after a while, unless the backend is killed meanwhile.
func (o *brokerOutage) runSoon(do func()) {
	_, killed := o.state()
	go func() {
		select {
		case <-time.After(30 * time.Millisecond):
			do()
		case <-killed:
		}
	}()
}

// over adds the outage to the hooks of a broker, and claims of durability.
func (o *brokerOutage) over(b broker) broker {
	send, settle, describe := b.send, b.settle, b.describe
	b.send = func(ctx context.Context, next sending, msgs []psdriver.Message) []psdriver.SendResult {
		switch {
		case o.down() && len(msgs) > 0:
			return awayFor(len(msgs))
		case send != nil:
			return send(ctx, next, msgs)
		}
		return next(ctx, msgs)
	}
	if b.receive == nil {
		b.receive = o.receive
	}
	b.settle = func(ctx context.Context, s *brokenSub, settlement *psdriver.Settlement) (bool, error) {
		switch {
		case o.down():
			return true, errAway
		case settle != nil:
			return settle(ctx, s, settlement)
		}
		return false, nil
	}
	b.describe = func(d *fairlead.Description) {
		claim(fairlead.DurableFsync)(d)
		claim(fairlead.DurableQuorum)(d)
		if describe != nil {
			describe(d)
		}
	}
	return b
}

func awayFor(n int) []psdriver.SendResult {
	results := make([]psdriver.SendResult, n)
	for i := range results {
		results[i].Err = errAway
	}
	return results
}

// receive fails while the backend is down, and when it is killed.
func (o *brokerOutage) receive(ctx context.Context, s *brokenSub, limit int) ([]psdriver.Delivery, error) {
	_, killed := o.state()
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-killed:
			cancel()
		case <-inner.Done():
		}
	}()
	deliveries, err := s.Subscription.Receive(inner, limit)
	if err != nil && ctx.Err() == nil && errors.Is(err, context.Canceled) {
		err = errAway
	}
	return deliveries, err
}

// restarting makes a mutant whose backend can be killed.
func restarting(name, breaks string, caughtBy []string, b func(o *brokerOutage) broker) Mutant {
	o := newBrokerOutage()
	return Mutant{
		Name: name, Breaks: breaks, CaughtBy: caughtBy,
		Open:    breaking(func() broker { return o.over(b(o)) }),
		Control: o.reset,
	}
}

// durable returns the names of the cases for both claims of durability.
func durable(names ...string) []string {
	var out []string
	for _, name := range names {
		out = append(out, "pubsub/durable-"+name+"-fsync", "pubsub/durable-"+name+"-quorum")
	}
	return cases(out...)
}

func pubsubRestartMutants() []Mutant {
	return []Mutant{
		storedLater(),
		restarting("pubsub-publish-early", "a message is acknowledged before it is stored, and a kill comes in between", durable("publish"), func(o *brokerOutage) broker {
			return broker{send: func(ctx context.Context, next sending, msgs []psdriver.Message) []psdriver.SendResult {
				o.runSoon(func() { next(context.WithoutCancel(ctx), msgs) })
				return make([]psdriver.SendResult, len(msgs))
			}}
		}),
		restarting("pubsub-ack-early", "an acknowledgement is confirmed before the backend has it, and a kill comes in between", durable("ack"), func(o *brokerOutage) broker {
			return broker{settle: func(_ context.Context, s *brokenSub, settlement *psdriver.Settlement) (bool, error) {
				if settlement.Kind != psdriver.Ack {
					return false, nil
				}
				o.runSoon(func() { _ = s.one(context.Background(), settlement.Token, psdriver.Ack) })
				return true, nil
			}}
		}),
		restarting("pubsub-group-forgotten", "a group is forgotten when the backend starts, and begins again", durable("group"), func(o *brokerOutage) broker {
			return broker{subscription: o.forgetting}
		}),
		restarting("pubsub-keys-forgotten", "messages that are published after an outage have lost their keys, and do not wait for each other", durable("key"), func(o *brokerOutage) broker {
			return broker{
				send: func(ctx context.Context, next sending, msgs []psdriver.Message) []psdriver.SendResult {
					if kills, _ := o.state(); kills > 0 {
						msgs = slices.Clone(msgs)
						for i := range msgs {
							msgs[i].Metadata = map[string]string{"key": msgs[i].Key}
							msgs[i].Key = ""
						}
					}
					return next(ctx, msgs)
				},
				receive: func(ctx context.Context, s *brokenSub, limit int) ([]psdriver.Delivery, error) {
					deliveries, err := o.receive(ctx, s, limit)
					for i := range deliveries {
						if key := deliveries[i].Metadata["key"]; key != "" {
							deliveries[i].Key, deliveries[i].Metadata = key, nil
						}
					}
					return deliveries, err
				},
			}
		}),
		restarting("pubsub-atomic-torn", "a kill in the middle of an atomic batch leaves half of it", durable("atomic"), func(o *brokerOutage) broker {
			return broker{send: func(ctx context.Context, next sending, msgs []psdriver.Message) []psdriver.SendResult {
				half := len(msgs) / 2
				results := next(ctx, msgs[:half])
				time.Sleep(40 * time.Millisecond)
				if o.down() {
					return append(results, awayFor(len(msgs)-half)...)
				}
				return append(results, next(ctx, msgs[half:])...)
			}}
		}),
		restarting("pubsub-declares-less", "the claims of durability are withdrawn when something was published", durable("declared"), func(*brokerOutage) broker {
			var mu sync.Mutex
			published := false
			return broker{
				result: func(string, psdriver.Message, *psdriver.SendResult) {
					mu.Lock()
					defer mu.Unlock()
					published = true
				},
				describe: func(d *fairlead.Description) {
					mu.Lock()
					defer mu.Unlock()
					if published {
						unclaim(fairlead.PubSub, fairlead.DurableFsync)(d)
						unclaim(fairlead.PubSub, fairlead.DurableQuorum)(d)
					}
				},
			}
		}),
		restarting("pubsub-quiet", "a subscription goes quiet when the backend was killed", cases("pubsub/restart-receive", "pubsub/restart-broadcast", "pubsub/restart-handle"), func(o *brokerOutage) broker {
			return broker{receive: func(ctx context.Context, s *brokenSub, limit int) ([]psdriver.Delivery, error) {
				if kills, _ := o.state(); kills > 0 {
					<-ctx.Done()
				}
				return o.receive(ctx, s, limit)
			}}
		}),
		restarting("pubsub-gives-up", "a subscription never works again once the backend was killed", cases("pubsub/restart-receive", "pubsub/restart-broadcast", "pubsub/restart-handle"), func(o *brokerOutage) broker {
			return broker{receive: func(ctx context.Context, s *brokenSub, limit int) ([]psdriver.Delivery, error) {
				if kills, _ := o.state(); kills > 0 {
					return nil, fairlead.Errorf(fairlead.Internal, "the connection was lost")
				}
				return o.receive(ctx, s, limit)
			}}
		}),
	}
}

// storedLater stores messages that are sent while the backend is down, but reports
// that they were not stored.
func storedLater() Mutant {
	m := restarting("pubsub-publish-later", "a message that failed while the backend was down is stored nevertheless", durable("publish"), func(*brokerOutage) broker { return broker{} })
	o := m.Control().(*brokerOutage)
	m.Open = breaking(func() broker {
		b := o.over(broker{})
		b.send = func(ctx context.Context, next sending, msgs []psdriver.Message) []psdriver.SendResult {
			results := next(ctx, msgs)
			if o.down() {
				return awayFor(len(msgs))
			}
			return results
		}
		return b
	})
	return m
}

// swapped is a subscription that is replaced when the backend starts.
type swapped struct {
	mu      sync.Mutex
	present psdriver.Subscription
}

func (s *swapped) get() psdriver.Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.present
}

func (s *swapped) Receive(ctx context.Context, limit int) ([]psdriver.Delivery, error) {
	return s.get().Receive(ctx, limit)
}

func (s *swapped) Settle(ctx context.Context, all []psdriver.Settlement) []error {
	return s.get().Settle(ctx, all)
}

func (s *swapped) Close(ctx context.Context) error { return s.get().Close(ctx) }

// forgetting opens subscriptions whose group is deleted and created again when
// the backend starts.
func (o *brokerOutage) forgetting(ctx context.Context, p psdriver.Provider, c psdriver.SubscriptionConfig) (psdriver.Subscription, error) {
	first, err := p.OpenSubscription(ctx, c)
	if err != nil {
		return nil, err
	}
	s := &swapped{present: first}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.starts = append(o.starts, func() {
		ctx := context.Background()
		if p.DeleteGroup(ctx, c.Topic, c.Group) != nil {
			return // closed meanwhile
		}
		if reopened, err := p.OpenSubscription(ctx, c); err == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.present = reopened
		}
	})
	return s, nil
}
