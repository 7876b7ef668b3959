package mutants

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	psdriver "fairlead.dev/pubsub/driver"
)

// tools are what other programs do to a mutant's backend. They are its
// [conformance.Operator].
type tools struct {
	mu       sync.Mutex
	backends map[string]psdriver.Provider // by the topics that were subscribed to
	purged   map[string]time.Time         // when a topic was purged
	replaced map[string]bool              // keys with a foreign value
}

func newTools() *tools {
	return &tools{backends: map[string]psdriver.Provider{}, purged: map[string]time.Time{}, replaced: map[string]bool{}}
}

// PurgeTopic implements [conformance.Operator].
func (o *tools) PurgeTopic(_ context.Context, topic string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.purged[topic] = time.Now()
	return nil
}

// foreignMark is in the metadata of a foreign message.
const foreignMark = "foreign"

// InsertMessage implements [conformance.Operator].
func (o *tools) InsertMessage(ctx context.Context, topic string) error {
	o.mu.Lock()
	p := o.backends[topic]
	o.mu.Unlock()
	t, err := p.OpenTopic(ctx, psdriver.TopicConfig{Name: topic})
	if err != nil {
		return err
	}
	defer t.Close(ctx)
	return t.Send(ctx, []psdriver.Message{{Metadata: map[string]string{foreignMark: "1"}}})[0].Err
}

// ReplaceValue implements [conformance.Operator].
func (o *tools) ReplaceValue(_ context.Context, _, key string) error {
	o.setReplaced(key, true)
	return nil
}

func (o *tools) setReplaced(key string, replaced bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.replaced[key] = replaced
}

func (o *tools) isReplaced(key string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.replaced[key]
}

func (o *tools) anyReplaced() (key string, any bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key, replaced := range o.replaced {
		if replaced {
			return key, true
		}
	}
	return "", false
}

// over makes a broker lose what was purged, as it must, and pass over foreign
// messages.
func (o *tools) over(b broker) broker {
	b.config = func(_ context.Context, p psdriver.Provider, c *psdriver.SubscriptionConfig) error {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.backends[c.Topic] = p
		return nil
	}
	if b.receive == nil {
		b.receive = o.receive
	}
	return b
}

// receive returns what is left of the messages, or Compacted if some were purged.
func (o *tools) receive(ctx context.Context, s *brokenSub, limit int) ([]psdriver.Delivery, error) {
	for {
		ds, err := s.Subscription.Receive(ctx, limit)
		if err != nil {
			return nil, err
		}
		left, lost := o.split(s.config.Topic, ds)
		if lost == 0 && len(left) > 0 {
			return left, nil
		}
		for _, d := range ds {
			kind := psdriver.Ack
			if lost > 0 && !o.isLost(s.config.Topic, d) {
				kind = psdriver.Release
			}
			if err := s.one(ctx, d.Token, kind); err != nil {
				return nil, err
			}
		}
		if lost > 0 {
			return nil, fairlead.Errorf(fairlead.Compacted, "%d messages were purged", lost)
		}
	}
}

func (o *tools) isLost(topic string, d psdriver.Delivery) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return d.Time.Before(o.purged[topic])
}

// split returns the messages that are not purged, and how many were purged. A foreign
// message is delivered as it is.
func (o *tools) split(topic string, ds []psdriver.Delivery) (left []psdriver.Delivery, lost int) {
	for _, d := range ds {
		if o.isLost(topic, d) {
			lost++
		} else {
			left = append(left, d)
		}
	}
	return left, lost
}

var errForeign = fairlead.Errorf(fairlead.Internal, "the value is not one of Fairlead")

// overStore makes a store return Internal for a foreign value, until it is written.
func (o *tools) overStore(inner driver.Store) store {
	return store{
		each: func(op driver.Op) driver.Result {
			if op.Kind != driver.OpGet {
				o.setReplaced(op.Key, false)
			} else if o.isReplaced(op.Key) {
				return driver.Result{Err: errForeign}
			}
			return one(inner, op)
		},
		list: func(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
			if key, any := o.anyReplaced(); any {
				return driver.Page{}, fairlead.Errorf(fairlead.Internal, "the value of %q is not one of Fairlead", key)
			}
			return inner.List(ctx, r)
		},
	}
}

// operatorMutant is a mutant whose pubsub facet is wrong after its backend was
// changed by others.
func operatorMutant(name, breaks string, caughtBy []string, receive func(o *tools) func(context.Context, *brokenSub, int) ([]psdriver.Delivery, error)) Mutant {
	o := newTools()
	return Mutant{
		Name: "pubsub-" + name, Breaks: breaks, CaughtBy: caughtBy, Operator: o,
		Open: breaking(func() broker { return o.over(broker{receive: receive(o)}) }),
	}
}

// unreported is a Receive that reports no loss to groups, or to broadcasts.
func unreported(broadcast bool) func(o *tools) func(context.Context, *brokenSub, int) ([]psdriver.Delivery, error) {
	return func(o *tools) func(context.Context, *brokenSub, int) ([]psdriver.Delivery, error) {
		return func(ctx context.Context, s *brokenSub, limit int) ([]psdriver.Delivery, error) {
			ds, err := o.receive(ctx, s, limit)
			if fairlead.CodeOf(err) == fairlead.Compacted && broadcast == (s.config.Group == "") {
				return o.receive(ctx, s, limit)
			}
			return ds, err
		}
	}
}

// blockedByForeign is a Receive that goes no further than a foreign message.
func blockedByForeign(broadcast bool) func(o *tools) func(context.Context, *brokenSub, int) ([]psdriver.Delivery, error) {
	return func(o *tools) func(context.Context, *brokenSub, int) ([]psdriver.Delivery, error) {
		return func(ctx context.Context, s *brokenSub, limit int) ([]psdriver.Delivery, error) {
			ds, err := s.Subscription.Receive(ctx, limit)
			for _, d := range ds {
				if d.Metadata[foreignMark] != "" && broadcast == (s.config.Group == "") {
					for _, d := range ds {
						_ = s.one(ctx, d.Token, psdriver.Nack)
					}
					return nil, errForeign
				}
			}
			return ds, err
		}
	}
}

func pubsubOperatorMutants() []Mutant {
	return []Mutant{
		operatorMutant("loss-of-group", "a group is not told that messages were purged, or its topic deleted", cases("pubsub/purged-group", "pubsub/topic-deleted-group"), unreported(false)),
		operatorMutant("loss-of-broadcast", "a broadcast is not told that messages were purged, or its topic deleted", cases("pubsub/purged-broadcast", "pubsub/topic-deleted-broadcast"), unreported(true)),
		operatorMutant("foreign-in-group", "a foreign message holds up a group", cases("pubsub/foreign-group"), blockedByForeign(false)),
		operatorMutant("foreign-in-broadcast", "a foreign message holds up a broadcast", cases("pubsub/foreign-broadcast"), blockedByForeign(true)),
		silentAfterDelete("topic-delete-silences", "subscriptions go silent when their topic is deleted", cases("pubsub/topic-deleted-group", "pubsub/topic-deleted-broadcast"), func(b *broker, deleted *atomic.Bool) {
			b.deleteTopic = func(next func() error) error { deleted.Store(true); return next() }
		}),
		silentAfterDelete("group-delete-silences", "consumers go silent when their group is deleted", cases("pubsub/group-deleted"), func(b *broker, deleted *atomic.Bool) {
			b.deleteGroup = func(ctx context.Context, p psdriver.Provider, topic, group string) error {
				deleted.Store(true)
				return p.DeleteGroup(ctx, topic, group)
			}
		}),
		untoldWhileHandling(),
	}
}

// untoldWhileHandling is a mutant that does not tell a consumer that its group was
// deleted, if that held a message then.
func untoldWhileHandling() Mutant {
	return Mutant{Name: "pubsub-group-delete-untold", Breaks: "a consumer that held a message when its group was deleted is told Unavailable for ever", CaughtBy: cases("pubsub/group-deleted-handle"), Open: breaking(func() broker {
		var unsettled, untold atomic.Int64
		return broker{
			deliver: func(*brokenSub, *psdriver.Delivery) { unsettled.Add(1) },
			settle: func(_ context.Context, _ *brokenSub, settlement *psdriver.Settlement) (bool, error) {
				if settlement.Kind != psdriver.Extend {
					unsettled.Add(-1)
				}
				return false, nil
			},
			deleteGroup: func(ctx context.Context, p psdriver.Provider, topic, group string) error {
				untold.Store(unsettled.Load())
				return p.DeleteGroup(ctx, topic, group)
			},
			receive: func(ctx context.Context, s *brokenSub, limit int) ([]psdriver.Delivery, error) {
				ds, err := s.Subscription.Receive(ctx, limit)
				if fairlead.CodeOf(err) == fairlead.NotFound && untold.Load() > 0 {
					err = fairlead.Errorf(fairlead.Unavailable, "the group cannot be reached")
				}
				return ds, err
			},
		}
	})}
}

// silentAfterDelete is a mutant whose consumers wait for ever after a deletion.
func silentAfterDelete(name, breaks string, caughtBy []string, mark func(b *broker, deleted *atomic.Bool)) Mutant {
	return Mutant{Name: "pubsub-" + name, Breaks: breaks, CaughtBy: caughtBy, Open: breaking(func() broker {
		var deleted atomic.Bool
		b := broker{receive: func(ctx context.Context, s *brokenSub, limit int) ([]psdriver.Delivery, error) {
			if deleted.Load() {
				<-ctx.Done()
				return nil, fairlead.ContextError(ctx)
			}
			return s.Subscription.Receive(ctx, limit)
		}}
		mark(&b, &deleted)
		return b
	})}
}

// operatorKVMutant is a mutant whose kv facet is wrong about values that other
// programs wrote. change changes a store that is right about them.
func operatorKVMutant(name, breaks string, caughtBy []string, change func(o *tools, healthy store) store) Mutant {
	o := newTools()
	m := kvMutantOf("foreign-"+name, breaks, caughtBy, kvProvider{wrap: func(inner driver.Store) driver.Store {
		s := change(o, o.overStore(inner))
		s.Store = inner
		return s
	}})
	m.Operator = o
	return m
}

func kvOperatorMutants() []Mutant {
	return []Mutant{
		operatorKVMutant("get-any", "a foreign value makes every read of its store fail", cases("kv/foreign-read"), func(o *tools, healthy store) store {
			each := healthy.each
			healthy.each = func(op driver.Op) driver.Result {
				if _, any := o.anyReplaced(); any && op.Kind == driver.OpGet {
					return driver.Result{Err: errForeign}
				}
				return each(op)
			}
			return healthy
		}),
		operatorKVMutant("delete", "a foreign value cannot be deleted", cases("kv/foreign-delete"), func(o *tools, healthy store) store {
			each := healthy.each
			healthy.each = func(op driver.Op) driver.Result {
				if op.Kind == driver.OpDelete && o.isReplaced(op.Key) {
					return driver.Result{Err: errForeign}
				}
				return each(op)
			}
			return healthy
		}),
		operatorKVMutant("list", "the error of a listing does not name the foreign value", cases("kv/foreign-list"), func(o *tools, healthy store) store {
			list := healthy.list
			healthy.list = func(ctx context.Context, r driver.ListRequest) (driver.Page, error) {
				page, err := list(ctx, r)
				if err != nil {
					err = errForeign
				}
				return page, err
			}
			return healthy
		}),
		operatorKVMutant("watch", "a watcher goes no further than a foreign value", cases("kv/foreign-watch"), func(o *tools, healthy store) store {
			healthy.events = func(events []driver.Event) []driver.Event {
				if _, any := o.anyReplaced(); any {
					return nil
				}
				return events
			}
			return healthy
		}),
	}
}
