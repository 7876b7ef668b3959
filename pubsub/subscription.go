package pubsub

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"fairlead.dev"
	"fairlead.dev/internal/batcher"
	"fairlead.dev/internal/handle"
	"fairlead.dev/internal/telemetry"
	"fairlead.dev/pubsub/driver"
)

// Subscription receives the messages of one topic.
type Subscription struct {
	provider    fairlead.Provider
	handle      *handle.Handle
	object      string // for errors: the names of topic and group
	driver      driver.Subscription
	settlements *batcher.Batcher[driver.Settlement, error]
	config      driver.SubscriptionConfig
	dead        *deadLetters // nil without DeadLetter

	receiving, settling, processing *telemetry.Operation
	received                        counter

	life    context.Context // ends with Close
	end     context.CancelFunc
	closing atomic.Bool
}

// Subscribe joins a group of a topic, or starts a broadcast subscription:
// exactly one of [Group] and [WithoutGroup] must be among the options. Topic and
// group are created if they do not exist. When Subscribe returns, every message
// that is published from then on will be delivered.
//
// Errors: Unsupported if the provider lacks the facet, a requirement, or a
// claim that an option requires; Compacted if messages after a [FromPosition]
// are no longer kept.
func Subscribe(ctx context.Context, p fairlead.Provider, topic string, opts ...SubscribeOption) (*Subscription, error) {
	s, err := openSubscription(ctx, p, topic, opts)
	return s, handle.Annotate(err, "pubsub.Subscribe", "", objectOf(topic, ""), "")
}

func openSubscription(ctx context.Context, p fairlead.Provider, topic string, opts []SubscribeOption) (*Subscription, error) {
	o, err := readSubscribeOptions(topic, opts)
	if err != nil {
		return nil, err
	}
	if err := handle.ValidateName("topic", topic); err != nil {
		return nil, err
	}
	h, err := handle.Open(ctx, p, fairlead.PubSub, o.require)
	if err != nil {
		return nil, err
	}
	s := newSubscription(p, h, o.driver)
	if err := s.openDriver(ctx, p, o); err != nil {
		h.Close()
		return nil, handle.Annotate(err, "", h.Provider, s.object, "")
	}
	return s, nil
}

func newSubscription(p fairlead.Provider, h *handle.Handle, c driver.SubscriptionConfig) *Subscription {
	attrs := topicAttributes(h, c.Topic)
	if c.Group != "" {
		attrs = append(attrs, attribute.String("messaging.consumer.group.name", c.Group))
	}
	calls := newTelemetry(h)
	handlers := telemetry.New(scope, "messaging.process.duration", h.Provider)
	object := objectOf(c.Topic, c.Group)
	s := &Subscription{
		provider:   p,
		handle:     h,
		object:     object,
		config:     c,
		receiving:  newOperation(calls, "pubsub.Receive", "receive", c.Topic, trace.SpanKindClient, attrs).About(object),
		settling:   newOperation(calls, "pubsub.Settle", "settle", c.Topic, trace.SpanKindClient, attrs).About(object),
		processing: newOperation(handlers, "pubsub.Handle", "process", c.Topic, trace.SpanKindConsumer, attrs).MarkEveryError().About(object),
		received:   newCounter("messaging.client.consumed.messages", "Messages that were received.", attrs),
	}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

func (s *Subscription) openDriver(ctx context.Context, p fairlead.Provider, o subscribeOptions) error {
	if err := o.check(s.handle.Facet); err != nil {
		return err
	}
	dp, err := driverOf(p)
	if err != nil {
		return err
	}
	if s.dead, err = openDeadLetters(ctx, p, o); err != nil {
		return err
	}
	if s.driver, err = dp.OpenSubscription(ctx, o.driver); err != nil {
		return errors.Join(err, s.dead.close(ctx))
	}
	s.settlements = batcher.New(s.handle.Facet.Limits, func(driver.Settlement) int { return 0 }, s.driver.Settle)
	return nil
}

// Describe returns the description that held when the subscription was opened.
func (s *Subscription) Describe() fairlead.FacetDescription { return copyDescription(s.handle) }

// Receive blocks until there is a message and returns it. The caller settles
// it with Ack or Nack.
//
// Errors: Closed, NotFound (the group was deleted: subscribe again), Invalid,
// Unsupported and PermissionDenied do not pass. Compacted
// (ErrGap) if messages were lost; the next call resumes after the gap. After every
// other one, for example Unavailable while the backend cannot be reached, call again
// after a pause.
func (s *Subscription) Receive(ctx context.Context) (*Delivery, error) {
	ds, err := s.ReceiveMany(ctx, 1)
	if err != nil {
		return nil, err
	}
	return ds[0], nil
}

// ReceiveMany blocks until there is at least one message, and returns at most
// limit messages. Errors as for Receive.
func (s *Subscription) ReceiveMany(ctx context.Context, limit int) ([]*Delivery, error) {
	ds, notMoved, err := s.receiveBatch(ctx, limit)
	if len(ds) > 0 {
		return ds, nil // a message that was not moved comes again
	}
	return nil, cmp.Or(err, notMoved)
}

// receiveBatch returns messages, or the error of receiving. notMoved is the first
// error of moving messages to the dead letters; the other messages of the batch come
// with it.
func (s *Subscription) receiveBatch(ctx context.Context, limit int) (ds []*Delivery, notMoved, err error) {
	ctx, call := s.receiving.Start(ctx)
	ds, notMoved, err = s.awaitMessages(ctx, limit)
	s.received.add(ctx, len(ds))
	if ended := call.End(cmp.Or(err, notMoved)); err != nil {
		err = ended
	} else {
		notMoved = ended
	}
	return ds, notMoved, err
}

func (s *Subscription) awaitMessages(caller context.Context, limit int) (ds []*Delivery, notMoved, err error) {
	if limit < 1 {
		return nil, nil, fairlead.Errorf(fairlead.Invalid, "the limit is %d; ask for at least 1 message", limit)
	}
	limit = min(limit, max(s.handle.Facet.Limits.MaxBatch, 1))
	ctx, cancel := s.handle.Requirements.WhileHeld(caller)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	for {
		if err := s.checkUsable(); err != nil {
			return nil, nil, err
		}
		received, err := s.driver.Receive(ctx, limit)
		if err != nil {
			return nil, nil, s.receiveError(caller, err)
		}
		for _, r := range received {
			ds = append(ds, s.newDelivery(r))
		}
		ds, notMoved = s.removeExhausted(ctx, ds)
		if len(ds) > 0 || notMoved != nil {
			return ds, notMoved, nil
		}
	}
}

// receiveError returns what an error of the driver means to a caller. Closed means
// that the subscription or its provider is closed, and Canceled and DeadlineExceeded
// that the caller's context has ended. Where the driver passes on such an error of
// something else, for example of a connection, receiving can go on.
func (s *Subscription) receiveError(ctx context.Context, err error) error {
	if unusable := s.checkUsable(); unusable != nil {
		return unusable
	}
	switch code := fairlead.CodeOf(err); code {
	case fairlead.Canceled, fairlead.DeadlineExceeded, fairlead.Unavailable:
		if ended := fairlead.ContextError(ctx); ended != nil {
			return ended
		}
		if code == fairlead.Unavailable {
			return err
		}
	case fairlead.Closed:
		if _, gone := s.provider.Describe(ctx); errors.Is(gone, fairlead.Closed) {
			return err
		}
	default:
		return err
	}
	return fairlead.Errorf(fairlead.Unavailable, "the provider interrupted a receive: %v", err)
}

// checkUsable fails if the subscription is closed or a requirement is not met.
func (s *Subscription) checkUsable() error {
	if err := s.checkOpen(); err != nil {
		return err
	}
	return s.handle.Requirements.Check()
}

func (s *Subscription) checkOpen() error {
	if s.life.Err() != nil {
		return fairlead.Errorf(fairlead.Closed, "the subscription is closed")
	}
	return nil
}

// removeExhausted moves the messages whose attempts are used up to the dead
// letters, and returns the others, with the first error. A message that could not be
// moved is given back for a while: then it is delivered and moved again.
func (s *Subscription) removeExhausted(ctx context.Context, ds []*Delivery) (others []*Delivery, notMoved error) {
	if s.dead == nil {
		return ds, nil
	}
	others = slices.DeleteFunc(ds, func(d *Delivery) bool {
		if d.Attempt <= s.dead.maxAttempts {
			return false
		}
		if err := d.moveToDeadLetters(ctx, "not acknowledged"); err != nil {
			d.postpone(ctx)
			notMoved = cmp.Or(notMoved, err)
		}
		return true
	})
	return others, notMoved
}

// Close returns the messages that were received and not settled to the group at
// once, and releases the handle. A Receive that waits fails with Closed. The group
// remains; a broadcast subscription ends. Calls after the first return nil.
func (s *Subscription) Close(ctx context.Context) error {
	if !s.closing.CompareAndSwap(false, true) {
		return nil
	}
	s.end()
	s.handle.Close()
	err := errors.Join(s.settlements.Close(ctx), s.driver.Close(ctx), s.dead.close(ctx))
	return s.annotate(err, "pubsub.Subscription.Close")
}

func (s *Subscription) annotate(err error, op string) error {
	return handle.Annotate(err, op, s.handle.Provider, s.object, "")
}
