package mutants

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance"
	"fairlead.dev/conformance/internal/suite"
	psdriver "fairlead.dev/pubsub/driver"
)

// configured opens providers that change a subscription's configuration.
func configured(change func(*psdriver.SubscriptionConfig)) conformance.Opener {
	return broken(broker{config: func(_ context.Context, _ psdriver.Provider, c *psdriver.SubscriptionConfig) error {
		change(c)
		return nil
	}})
}

// closingSub opens providers whose subscriptions close in another way.
func closingSub(how func(ctx context.Context, s *brokenSub) error) conformance.Opener {
	return broken(broker{close: how})
}

var pubsubReceiveMutants = []Mutant{
	{Name: "pubsub-groups-one", Breaks: "all groups of a topic are one", CaughtBy: cases("pubsub/group-fanout", "pubsub/late-group", "pubsub/slow-group", "pubsub/group-isolation", "pubsub/key-groups", "pubsub/replay-start"),
		Open: configured(func(c *psdriver.SubscriptionConfig) {
			if c.Group != "" {
				c.Group = "one"
			}
		})},
	{Name: "pubsub-groups-none", Breaks: "every consumer is a group of its own", CaughtBy: cases("pubsub/group-compete", "pubsub/group-compete-unsettled", "pubsub/group-compete-handlers", "pubsub/group-kept", "pubsub/close-inflight", "pubsub/close-fetched", "pubsub/lease-ends"),
		Open: broken(broker{config: func(_ context.Context, _ psdriver.Provider, c *psdriver.SubscriptionConfig) error {
			c.Group += fmt.Sprint(backends.Add(1))
			return nil
		}})},
	{Name: "pubsub-takes-all", Breaks: "a consumer is given all messages that are there, though it asked for one", CaughtBy: cases("pubsub/group-compete", "pubsub/group-compete-handlers", "pubsub/group-compete-unsettled"), Open: takingAll()},
	{Name: "pubsub-too-many", Breaks: "Receive returns more messages than asked for", CaughtBy: cases("pubsub/limit"),
		Open: broken(broker{receive: func(ctx context.Context, s *brokenSub, limit int) ([]psdriver.Delivery, error) {
			return s.Subscription.Receive(ctx, limit+2)
		}})},
	{Name: "pubsub-fills-up", Breaks: "Receive waits until there are as many messages as asked for", CaughtBy: cases("pubsub/limit"), Open: broken(broker{receive: fillUp})},
	{Name: "pubsub-one-in-flight", Breaks: "one message of a topic is in flight at a time", Open: withOneKey(true),
		CaughtBy: cases("pubsub/poison", "pubsub/waiting-many", "pubsub/group-compete-unsettled", "pubsub/handle-concurrency", "pubsub/key-one", "pubsub/key-many", "pubsub/ack-own", "pubsub/slow-group")},
	{Name: "pubsub-key-concurrent", Breaks: "messages with one key are delivered at once", Open: withOneKey(false),
		CaughtBy: cases("pubsub/key-one", "pubsub/key-nack", "pubsub/key-lease", "pubsub/key-delay", "pubsub/key-many", "pubsub/key-handlers", "pubsub/key-broadcast")},
	{Name: "pubsub-close-reorders", Breaks: "the messages that a consumer holds when it closes come again after others with their key", CaughtBy: cases("pubsub/key-close"),
		Open: withOneKey(false, func(b *broker) { b.close = closeReordering })},
	{Name: "pubsub-reversed", Breaks: "messages that are delivered together come in reverse order", CaughtBy: cases("pubsub/ordered", "pubsub/ordered-backlog", "pubsub/ordered-reopen", "pubsub/ordered-publishers"),
		Open: broken(broker{receive: func(ctx context.Context, s *brokenSub, limit int) ([]psdriver.Delivery, error) {
			deliveries, err := s.Subscription.Receive(ctx, limit)
			slices.Reverse(deliveries)
			return deliveries, err
		}})},
	{Name: "pubsub-lazy-group", Breaks: "a subscription begins when it first receives", CaughtBy: cases("pubsub/group-exists", "pubsub/broadcast-exists", "pubsub/shared"), Open: lazyGroups()},
	{Name: "pubsub-group-ends", Breaks: "a group ends with its last consumer", CaughtBy: cases("pubsub/group-kept", "pubsub/close-inflight", "pubsub/close-twice", "pubsub/count-close"),
		Open: closingSub(func(ctx context.Context, s *brokenSub) error {
			err := s.Subscription.Close(ctx)
			return suite.FirstError(err, s.provider.DeleteGroup(ctx, s.config.Topic, s.config.Group))
		})},
	{Name: "pubsub-broadcast-one", Breaks: "broadcast subscriptions share the messages", CaughtBy: cases("pubsub/broadcast", "pubsub/broadcast-nack", "pubsub/broadcast-ends"),
		Open: configured(func(c *psdriver.SubscriptionConfig) {
			if c.Group == "" {
				c.Group = "broadcast"
			}
		})},
	{Name: "pubsub-from-start", Breaks: "a new group begins with the oldest message", CaughtBy: cases("pubsub/late-group", "pubsub/broadcast", "pubsub/broadcast-ends", "pubsub/manage-delete-group"),
		Open: configured(func(c *psdriver.SubscriptionConfig) {
			if c.Start == psdriver.StartNew {
				c.Start = psdriver.StartEarliest
			}
		})},
	{Name: "pubsub-from-new", Breaks: "every group begins with what is new", Open: configured(func(c *psdriver.SubscriptionConfig) { c.Start = psdriver.StartNew }),
		CaughtBy: cases("pubsub/replay-start", "pubsub/replay-time", "pubsub/replay-time-past", "pubsub/replay-position", "pubsub/replay-bad-position", "pubsub/broadcast-replay")},
	{Name: "pubsub-rewinds", Breaks: "a consumer that asks for the start rewinds its group", CaughtBy: cases("pubsub/replay-existing"),
		Open: broken(broker{config: func(ctx context.Context, p psdriver.Provider, c *psdriver.SubscriptionConfig) error {
			if c.Start != psdriver.StartEarliest {
				return nil
			}
			return p.DeleteGroup(ctx, c.Topic, c.Group)
		}})},
	{Name: "pubsub-time-exclusive", Breaks: "a time means the messages after it, not those at it", CaughtBy: cases("pubsub/replay-time"),
		Open: configured(func(c *psdriver.SubscriptionConfig) { c.Time = c.Time.Add(1) })},
	{Name: "pubsub-time-hours", Breaks: "a time is cut to hours", CaughtBy: cases("pubsub/replay-time"),
		Open: configured(func(c *psdriver.SubscriptionConfig) { c.Time = c.Time.Truncate(time.Hour) })},
	{Name: "pubsub-position-at", Breaks: "a position means the message at it, too", CaughtBy: cases("pubsub/replay-position"),
		Open: configured(func(c *psdriver.SubscriptionConfig) {
			if n := number(c.Position + "."); n > 0 {
				c.Position = fmt.Sprint(n - 1)
			}
		})},
	{Name: "pubsub-position-any", Breaks: "a position that is none means the start", CaughtBy: cases("pubsub/replay-bad-position"),
		Open: broken(broker{config: func(_ context.Context, _ psdriver.Provider, c *psdriver.SubscriptionConfig) error {
			if c.Start == psdriver.StartPosition && len(c.Position) != 1 {
				c.Start = psdriver.StartEarliest
			}
			return nil
		}})},
	{Name: "pubsub-close-drops", Breaks: "what a consumer holds when it closes is acknowledged",
		CaughtBy: cases("pubsub/close-inflight", "pubsub/close-inflight-waiting", "pubsub/close-fetched", "pubsub/close-subscription", "pubsub/handle-close", "pubsub/handles-apart", "pubsub/ack-own", "pubsub/redelivery-same", "pubsub/count-close", "pubsub/key-close"),
		Open: closingSub(func(ctx context.Context, s *brokenSub) error {
			for _, d := range s.holds() {
				_ = s.one(ctx, d.Token, psdriver.Ack)
			}
			return s.Subscription.Close(ctx)
		})},
	{Name: "pubsub-close-leaks", Breaks: "what a consumer holds when it closes comes again only when its lease ends",
		CaughtBy: cases("pubsub/close-inflight", "pubsub/close-inflight-waiting", "pubsub/close-subscription", "pubsub/handles-apart", "pubsub/handle-close", "pubsub/count-close", "pubsub/key-close"),
		Open:     closingSub(func(context.Context, *brokenSub) error { return nil })},
	{Name: "pubsub-close-all", Breaks: "closing one consumer gives back what all of its group hold", CaughtBy: cases("pubsub/handles-apart"), Open: closingAll()},
	{Name: "pubsub-receive-endless", Breaks: "a Receive that waits does not notice the end of its context, nor Close", CaughtBy: cases("pubsub/cancel-wakes", "pubsub/close-wakes"),
		Open: broken(broker{
			receive: func(ctx context.Context, s *brokenSub, limit int) ([]psdriver.Delivery, error) {
				return s.Subscription.Receive(context.WithoutCancel(ctx), limit)
			},
			close: func(context.Context, *brokenSub) error { return nil },
		})},
	{Name: "pubsub-cancel-drops", Breaks: "what a Receive has taken when its context ends is lost", CaughtBy: cases("pubsub/cancel-loses-nothing"),
		Open: broken(broker{receive: func(ctx context.Context, s *brokenSub, limit int) ([]psdriver.Delivery, error) {
			deliveries, err := s.Subscription.Receive(ctx, limit)
			time.Sleep(2 * time.Millisecond)
			if ctx.Err() == nil || err != nil {
				return deliveries, err
			}
			for _, d := range deliveries {
				_ = s.one(context.WithoutCancel(ctx), d.Token, psdriver.Ack)
			}
			return nil, fairlead.ContextError(ctx)
		}})},
	{Name: "pubsub-shut-leaks", Breaks: "closing a provider leaves its consumers as they are", CaughtBy: cases("pubsub/close-provider"),
		Open: brokenShared(broker{shut: func(func() error) error { return nil }})},
}

// takingAll takes all available messages at once, and returns them in the portions
// that callers request.
func takingAll() conformance.Opener {
	return breaking(func() broker {
		var mu sync.Mutex
		fetched := map[*brokenSub][]psdriver.Delivery{}
		return broker{receive: func(ctx context.Context, s *brokenSub, limit int) ([]psdriver.Delivery, error) {
			mu.Lock()
			have := fetched[s]
			mu.Unlock()
			if len(have) == 0 {
				var err error
				if have, err = s.Subscription.Receive(ctx, 100); err != nil {
					return nil, err
				}
			}
			n := min(limit, len(have))
			mu.Lock()
			defer mu.Unlock()
			fetched[s] = have[n:]
			return have[:n], nil
		}}
	})
}

func fillUp(ctx context.Context, s *brokenSub, limit int) (all []psdriver.Delivery, err error) {
	for len(all) < limit {
		deliveries, err := s.Subscription.Receive(ctx, limit-len(all))
		if err != nil {
			return nil, err
		}
		all = append(all, deliveries...)
	}
	return all, nil
}

// withOneKey stores all messages with the same key, or without any, and delivers
// them with the key that they had.
func withOneKey(one bool, more ...func(*broker)) conformance.Opener {
	return breaking(func() broker {
		var keys sync.Map
		b := broker{
			keep: func(_ string, m *psdriver.Message) bool {
				if m.Key = ""; one {
					m.Key = "lane"
				}
				return true
			},
			result: func(topic string, m psdriver.Message, r *psdriver.SendResult) {
				keys.Store(topic+" "+r.Position, m.Key)
			},
			deliver: func(s *brokenSub, d *psdriver.Delivery) {
				d.Key = ""
				if key, ok := keys.Load(s.config.Topic + " " + d.Position); ok {
					d.Key = key.(string)
				}
			},
		}
		for _, change := range more {
			change(&b)
		}
		return b
	})
}

// closeReordering returns the held messages to their group with a delay, so that other
// messages overtake them.
func closeReordering(ctx context.Context, s *brokenSub) error {
	for _, d := range s.holds() {
		_ = s.Subscription.Settle(ctx, []psdriver.Settlement{{Token: d.Token, Kind: psdriver.Nack, Delay: 100 * time.Millisecond}})
	}
	return s.Subscription.Close(ctx)
}

// lazySub opens its subscription when it first receives.
type lazySub struct {
	psdriver.Subscription // nil until then
	open                  func() (psdriver.Subscription, error)
}

func lazyGroups() conformance.Opener {
	b := broker{subscription: func(ctx context.Context, p psdriver.Provider, c psdriver.SubscriptionConfig) (psdriver.Subscription, error) {
		return &lazySub{open: sync.OnceValues(func() (psdriver.Subscription, error) {
			return p.OpenSubscription(context.WithoutCancel(ctx), c)
		})}, nil
	}}
	return brokenShared(b)
}

func (s *lazySub) Receive(ctx context.Context, limit int) ([]psdriver.Delivery, error) {
	sub, err := s.open()
	if err != nil {
		return nil, err
	}
	return sub.Receive(ctx, limit)
}

func (s *lazySub) Settle(ctx context.Context, all []psdriver.Settlement) []error {
	sub, _ := s.open()
	return sub.Settle(ctx, all)
}

func (s *lazySub) Close(ctx context.Context) error {
	sub, err := s.open()
	if err != nil {
		return err
	}
	return sub.Close(ctx)
}

func closingAll() conformance.Opener {
	return breaking(func() broker {
		var mu sync.Mutex
		subs := map[string][]*brokenSub{}
		name := func(s *brokenSub) string { return s.config.Topic + " " + s.config.Group }
		return broker{
			receive: func(ctx context.Context, s *brokenSub, limit int) ([]psdriver.Delivery, error) {
				mu.Lock()
				subs[name(s)] = append(subs[name(s)], s)
				mu.Unlock()
				return s.Subscription.Receive(ctx, limit)
			},
			close: func(ctx context.Context, s *brokenSub) error {
				mu.Lock()
				defer mu.Unlock()
				for _, other := range subs[name(s)] {
					for _, d := range other.holds() {
						_ = other.one(ctx, d.Token, psdriver.Nack)
					}
				}
				return s.Subscription.Close(ctx)
			},
		}
	})
}
