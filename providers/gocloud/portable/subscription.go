package portable

import (
	"context"
	"errors"
	"sync"
	"time"

	gcpubsub "gocloud.dev/pubsub"
	"gocloud.dev/pubsub/driver"

	"fairlead.dev"
	"fairlead.dev/pubsub"
)

// pollTime is how long one ReceiveBatch waits. gocloud.dev asks drivers to wait
// for at most about a second.
const pollTime = time.Second

// OpenSubscription joins a group of a topic, or begins a broadcast: one of
// pubsub.Group and pubsub.Broadcast of Fairlead must be among the options. It
// creates topic and group if they do not exist. It returns the errors of
// pubsub.Subscribe.
func OpenSubscription(ctx context.Context, p fairlead.Provider, topic string, opts ...Option) (*gcpubsub.Subscription, error) {
	s, err := NewSubscriptionDriver(ctx, p, topic, opts...)
	if err != nil {
		return nil, err
	}
	return gcpubsub.NewSubscription(s, nil, nil), nil
}

// NewSubscriptionDriver is like [OpenSubscription], for programs that create the
// subscription of gocloud.dev themselves, to give it other batchers.
func NewSubscriptionDriver(ctx context.Context, p fairlead.Provider, topic string, opts ...Option) (driver.Subscription, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	s := &subscription{onGap: o.onGap}
	s.source.open = func(ctx context.Context) (*pubsub.Subscription, error) {
		if err := o.checkExists(ctx, p, topic); err != nil {
			return nil, err
		}
		return pubsub.Subscribe(ctx, p, topic, o.subscribe...)
	}
	s.life, s.end = context.WithCancel(context.Background())
	if !o.mustExist {
		if _, err := s.source.get(ctx); err != nil {
			s.end()
			return nil, err
		}
	}
	return s, nil
}

// subscription is a driver of gocloud.dev.
type subscription struct {
	errorConverter
	source lazyHandle[*pubsub.Subscription]
	onGap  func(error)
	life   context.Context // ends with Close
	end    context.CancelFunc

	mu       sync.Mutex
	waiting  chan receiveResult // of the call that receives; nil if there is none
	buffered []*pubsub.Delivery // received beyond the limit of a call
}

type receiveResult struct {
	ds  []*pubsub.Delivery
	err error
}

// ReceiveBatch implements gocloud.dev's driver.Subscription. gocloud.dev wants
// an answer each second. Canceling a call that waits for messages could delay
// some until their leases end. So that call continues, and the next ReceiveBatch
// waits for its result.
func (s *subscription) ReceiveBatch(ctx context.Context, limit int) ([]*driver.Message, error) {
	source, err := s.source.get(ctx)
	if err != nil {
		return nil, err
	}
	if ds := s.takeBuffered(limit); len(ds) > 0 {
		return convertDeliveries(ds), nil
	}
	timer := time.NewTimer(pollTime)
	defer timer.Stop()
	answer := s.startReceive(source, limit)
	select {
	case r := <-answer:
		s.endReceive(answer)
		return s.convertResult(r, limit)
	case <-timer.C:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// takeBuffered returns deliveries that an earlier call received.
func (s *subscription) takeBuffered(limit int) []*pubsub.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(limit, len(s.buffered))
	ds := s.buffered[:n]
	s.buffered = s.buffered[n:]
	return ds
}

// startReceive starts to receive, unless a call is under way. If several calls
// wait for one result, one of them gets it.
func (s *subscription) startReceive(source *pubsub.Subscription, limit int) chan receiveResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == nil {
		answer := make(chan receiveResult, 1)
		s.waiting = answer
		go func() {
			ds, err := source.ReceiveMany(s.life, limit)
			answer <- receiveResult{ds, err}
		}()
	}
	return s.waiting
}

func (s *subscription) endReceive(answer chan receiveResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == answer {
		s.waiting = nil
	}
}

func (s *subscription) convertResult(r receiveResult, limit int) ([]*driver.Message, error) {
	if errors.Is(r.err, pubsub.ErrGap) && s.onGap != nil {
		s.onGap(r.err)
		return nil, nil
	}
	if n := min(limit, len(r.ds)); n < len(r.ds) {
		s.mu.Lock()
		s.buffered = append(s.buffered, r.ds[n:]...)
		s.mu.Unlock()
		r.ds = r.ds[:n]
	}
	return convertDeliveries(r.ds), r.err
}

func convertDeliveries(ds []*pubsub.Delivery) []*driver.Message {
	ms := make([]*driver.Message, len(ds))
	for i, d := range ds {
		ms[i] = &driver.Message{
			LoggableID: d.ID,
			Body:       d.Body,
			Metadata:   d.Metadata,
			AckID:      d,
			AsFunc:     func(target any) bool { return assign(target, d) },
		}
	}
	return ms
}

// SendAcks implements gocloud.dev's driver.Subscription.
func (s *subscription) SendAcks(ctx context.Context, ids []driver.AckID) error {
	return settle(ids, func(d *pubsub.Delivery) error { return d.Ack(ctx) })
}

// CanNack implements gocloud.dev's driver.Subscription.
func (s *subscription) CanNack() bool { return true }

// SendNacks implements gocloud.dev's driver.Subscription.
func (s *subscription) SendNacks(ctx context.Context, ids []driver.AckID) error {
	return settle(ids, func(d *pubsub.Delivery) error { return d.Nack(ctx, 0) })
}

// settle settles deliveries concurrently, which package pubsub groups, and
// returns the first error. A lost lease, or an earlier settlement, is not an
// error for gocloud.dev.
func settle(ids []driver.AckID, one func(*pubsub.Delivery) error) error {
	errs := make([]error, len(ids))
	var all sync.WaitGroup
	for i, id := range ids {
		all.Go(func() {
			if err := one(id.(*pubsub.Delivery)); !errors.Is(err, pubsub.ErrLeaseLost) {
				errs[i] = err
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// IsRetryable implements gocloud.dev's driver.Subscription. Receiving and
// settling can be repeated.
func (s *subscription) IsRetryable(err error) bool {
	switch fairlead.CodeOf(err) {
	case fairlead.Unavailable, fairlead.UnknownOutcome:
		return true
	}
	return false
}

// As implements gocloud.dev's driver.Subscription.
func (s *subscription) As(target any) bool {
	source, opened := s.source.peek()
	return opened && assign(target, source)
}

// Close implements gocloud.dev's driver.Subscription. Another consumer gets the
// messages that gocloud.dev has fetched ahead at once.
func (s *subscription) Close() error {
	s.end()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return s.source.close(ctx)
}
