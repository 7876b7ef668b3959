package pubsub

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

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
	handle  *handle.Handle
	driver  driver.Subscription
	settles *batcher.Batcher[driver.Settlement, error]
	config  driver.SubscriptionConfig
	dead    *deadLetters // nil without DeadLetter

	receive, settle, process *telemetry.Operation
	consumed                 counter

	life    context.Context // ends with Close
	end     context.CancelFunc
	closing atomic.Bool
}

// Subscribe joins a group of a topic, or begins a broadcast: exactly one of
// [Group] and [Broadcast] must be among the options. Topic and group are
// created if need be; when it returns, every message that is published from
// then on will be delivered.
//
// Errors: Unsupported if the provider lacks the facet, a requirement, or a
// claim that an option needs; Compacted if the messages behind a
// [FromPosition] are no longer kept.
func Subscribe(ctx context.Context, p fairlead.Provider, topic string, opts ...SubscribeOption) (*Subscription, error) {
	s, err := subscribe(ctx, p, topic, opts)
	return s, fairlead.Annotate(err, "pubsub.Subscribe", "")
}

func subscribe(ctx context.Context, p fairlead.Provider, topic string, opts []SubscribeOption) (*Subscription, error) {
	o := subscribeOptions{SubscriptionConfig: driver.SubscriptionConfig{
		Topic: topic, Start: driver.StartNew, AckDeadline: DefaultAckDeadline,
	}}
	for _, opt := range opts {
		if err := opt.subscribe(&o); err != nil {
			return nil, err
		}
	}
	if err := handle.CheckName("topic", topic); err != nil {
		return nil, err
	}
	h, err := handle.Open(ctx, p, fairlead.PubSub, o.require)
	if err != nil {
		return nil, err
	}
	s := newSubscription(h, o.SubscriptionConfig)
	if err := s.open(ctx, p, o); err != nil {
		h.Close()
		return nil, fairlead.Annotate(err, "", h.Provider)
	}
	return s, nil
}

func newSubscription(h *handle.Handle, c driver.SubscriptionConfig) *Subscription {
	attrs := attributes(h, c.Topic)
	if c.Group != "" {
		attrs = append(attrs, attribute.String("messaging.consumer.group.name", c.Group))
	}
	t := newTelemetry(h)
	processing := telemetry.New(scope, "messaging.process.duration", h.Provider)
	s := &Subscription{
		handle:   h,
		config:   c,
		receive:  operation(t, "pubsub.Receive", "receive", c.Topic, trace.SpanKindClient, attrs),
		settle:   operation(t, "pubsub.Settle", "settle", c.Topic, trace.SpanKindClient, attrs),
		process:  operation(processing, "pubsub.Handle", "process", c.Topic, trace.SpanKindConsumer, attrs),
		consumed: newCounter("messaging.client.consumed.messages", "Messages that were received.", attrs),
	}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

func (s *Subscription) open(ctx context.Context, p fairlead.Provider, o subscribeOptions) error {
	if err := o.check(s.handle.Facet); err != nil {
		return err
	}
	dp, err := provider(p)
	if err != nil {
		return err
	}
	if s.dead, err = openDeadLetters(ctx, p, o); err != nil {
		return err
	}
	if s.driver, err = dp.OpenSubscription(ctx, o.SubscriptionConfig); err != nil {
		return errors.Join(err, s.dead.close(ctx))
	}
	s.settles = batcher.New(s.handle.Facet.Limits, func(driver.Settlement) int { return 0 }, s.driver.Settle)
	return nil
}

// Describe returns what holds for this subscription, as found when it was
// opened.
func (s *Subscription) Describe() fairlead.FacetDescription { return describe(s.handle) }

// Receive blocks until a message is there and returns it. The caller settles
// it with Ack or Nack.
//
// Errors: Compacted (ErrGap) if messages were lost; the next call goes on
// behind the gap. Unavailable while the backend is away; call again.
func (s *Subscription) Receive(ctx context.Context) (*Delivery, error) {
	ds, err := s.ReceiveMany(ctx, 1)
	if err != nil {
		return nil, err
	}
	return ds[0], nil
}

// ReceiveMany blocks until at least one message is there, and returns at most
// limit. Errors as for Receive.
func (s *Subscription) ReceiveMany(ctx context.Context, limit int) ([]*Delivery, error) {
	ctx, call := s.receive.Start(ctx)
	ds, err := s.receiveMany(ctx, limit)
	s.consumed.add(ctx, len(ds))
	return ds, call.End(err)
}

func (s *Subscription) receiveMany(ctx context.Context, limit int) ([]*Delivery, error) {
	if limit < 1 {
		return nil, fairlead.Errorf(fairlead.Invalid, "the limit is %d; ask for at least 1 message", limit)
	}
	limit = min(limit, max(s.handle.Facet.Limits.MaxBatch, 1))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	for {
		if err := s.ready(); err != nil {
			return nil, err
		}
		received, err := s.driver.Receive(ctx, limit)
		if err != nil {
			return nil, errors.Join(s.closed(), err)
		}
		ds := make([]*Delivery, len(received))
		for i, r := range received {
			ds[i] = &Delivery{Delivery: r, sub: s}
		}
		ds, err = s.buryExhausted(ctx, ds)
		if len(ds) > 0 || err != nil {
			return ds, err
		}
	}
}

func (s *Subscription) ready() error {
	if err := s.closed(); err != nil {
		return err
	}
	return s.handle.Ready()
}

func (s *Subscription) closed() error {
	if s.life.Err() != nil {
		return fairlead.Errorf(fairlead.Closed, "the subscription is closed")
	}
	return nil
}

// buryExhausted moves deliveries beyond the last attempt to the dead letters,
// and returns the others.
func (s *Subscription) buryExhausted(ctx context.Context, ds []*Delivery) ([]*Delivery, error) {
	if s.dead == nil {
		return ds, nil
	}
	var failed error
	ds = slices.DeleteFunc(ds, func(d *Delivery) bool {
		if d.Attempt <= s.dead.maxAttempts {
			return false
		}
		failed = cmpOr(failed, d.bury(ctx, "not acknowledged"))
		return true
	})
	if len(ds) > 0 {
		failed = nil // the message comes again, and is tried again then
	}
	return ds, failed
}

// Close gives back at once what was received and is not settled, and releases
// the handle. A Receive that waits fails with Closed. The group stays; a
// broadcast ends. Calls after the first return nil.
func (s *Subscription) Close(ctx context.Context) error {
	if !s.closing.CompareAndSwap(false, true) {
		return nil
	}
	s.end()
	s.handle.Close()
	err := errors.Join(s.settles.Close(ctx), s.driver.Close(ctx), s.dead.close(ctx))
	return fairlead.Annotate(err, "pubsub.Subscription.Close", s.handle.Provider)
}

// Delivery is one message, received. Its slices and maps belong to the
// receiver.
type Delivery struct {
	driver.Delivery

	sub     *Subscription
	settled atomic.Bool
}

// Ack says that the message was dealt with: it does not come again. Where
// [ConfirmedAck] is claimed, nil means that the backend knows.
//
// Errors: Conflict (ErrLeaseLost) if the message was settled before, or, where
// [FencedAck] is claimed, if its lease was lost: then it comes again.
func (d *Delivery) Ack(ctx context.Context) error {
	return d.finish(ctx, driver.Settlement{Kind: driver.Ack})
}

// Nack gives the message back: it comes again after delay, at once for 0. A
// delay needs the claim [NackDelay]. With [DeadLetter], the last attempt is
// moved to the dead letters instead.
func (d *Delivery) Nack(ctx context.Context, delay time.Duration) error {
	return d.nack(ctx, delay, "given back")
}

func (d *Delivery) nack(ctx context.Context, delay time.Duration, reason string) error {
	if dead := d.sub.dead; dead != nil && d.Attempt >= dead.maxAttempts {
		return fairlead.Annotate(d.bury(ctx, reason), "pubsub.Nack", d.sub.handle.Provider)
	}
	if err := d.sub.checkDelay(delay); err != nil {
		return fairlead.Annotate(err, "pubsub.Nack", d.sub.handle.Provider)
	}
	return d.finish(ctx, driver.Settlement{Kind: driver.Nack, Delay: delay})
}

func (s *Subscription) checkDelay(delay time.Duration) error {
	limit := s.handle.Facet.Limits.MaxDelay
	switch {
	case delay < 0:
		return fairlead.Errorf(fairlead.Invalid, "the delay is %v; it must not be negative", delay)
	case delay == 0:
		return nil
	case limit > 0 && delay > limit:
		return fairlead.Errorf(fairlead.TooLarge, "the delay is %v, the limit is %v", delay, limit)
	}
	return s.handle.Needs(NackDelay)
}

// Extend makes the lease last the AckDeadline from now on. It needs the claim
// [Extend]. Errors as for Ack.
func (d *Delivery) Extend(ctx context.Context) error {
	if err := d.sub.handle.Needs(Extend); err != nil {
		return fairlead.Annotate(err, "pubsub.Extend", d.sub.handle.Provider)
	}
	if d.settled.Load() {
		return fairlead.Annotate(errSettled, "pubsub.Extend", d.sub.handle.Provider)
	}
	return d.sub.do(ctx, driver.Settlement{Token: d.Token, Kind: driver.Extend})
}

var errSettled = fairlead.Errorf(fairlead.Conflict, "the delivery was settled before")

// finish settles the delivery for good. If that fails and the lease may still
// be ours, it can be tried again.
func (d *Delivery) finish(ctx context.Context, st driver.Settlement) error {
	if !d.settled.CompareAndSwap(false, true) {
		return fairlead.Annotate(errSettled, "pubsub.Settle", d.sub.handle.Provider)
	}
	st.Token = d.Token
	err := d.sub.do(ctx, st)
	if err != nil && !errors.Is(err, ErrLeaseLost) {
		d.settled.Store(false)
	}
	return err
}

func (s *Subscription) do(ctx context.Context, st driver.Settlement) error {
	ctx, call := s.settle.Start(ctx)
	if err := s.closed(); err != nil {
		return call.End(err)
	}
	settled, err := s.settles.Do(ctx, st)
	if err == nil {
		err = settled
	}
	return call.End(err)
}
