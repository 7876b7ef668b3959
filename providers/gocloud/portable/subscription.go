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

// pollTime is how long one ReceiveBatch waits. gocloud.dev asks drivers for no
// more than about a second.
const pollTime = time.Second

// OpenSubscription joins a group of a topic, or begins a broadcast: one of
// pubsub.Group and pubsub.WithoutGroup of Fairlead must be among the options.
// Topic and group are created if need be. Errors are those of
// pubsub.Subscribe.
func OpenSubscription(ctx context.Context, p fairlead.Provider, topic string, opts ...Option) (*gcpubsub.Subscription, error) {
	s, err := NewSubscriptionDriver(ctx, p, topic, opts...)
	if err != nil {
		return nil, err
	}
	return gcpubsub.NewSubscription(s, nil, nil), nil
}

// NewSubscriptionDriver is as [OpenSubscription], for those who make the
// subscription of gocloud.dev themselves, to give it other batchers.
func NewSubscriptionDriver(ctx context.Context, p fairlead.Provider, topic string, opts ...Option) (driver.Subscription, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	s := &subscription{onGap: o.onGap}
	s.from.open = func(ctx context.Context) (*pubsub.Subscription, error) {
		if err := o.exists(ctx, p, topic); err != nil {
			return nil, err
		}
		return pubsub.Subscribe(ctx, p, topic, o.subscribe...)
	}
	s.life, s.end = context.WithCancel(context.Background())
	if !o.mustExist {
		if _, err := s.from.get(ctx); err != nil {
			s.end()
			return nil, err
		}
	}
	return s, nil
}

// subscription is a driver of gocloud.dev.
type subscription struct {
	errorsOf
	from  lazy[*pubsub.Subscription]
	onGap func(error)
	life  context.Context // ends with Close
	end   context.CancelFunc

	mu      sync.Mutex
	waiting chan received      // of the call that waits for messages, if there is one
	more    []*pubsub.Delivery // received beyond what was asked for
}

type received struct {
	ds  []*pubsub.Delivery
	err error
}

// ReceiveBatch implements gocloud.dev's driver.Subscription. gocloud.dev wants
// an answer each second. To cut off a call that waits for messages is to let
// some come late, when their leases end: so that call goes on, and the next
// ReceiveBatch waits for the same.
func (s *subscription) ReceiveBatch(ctx context.Context, limit int) ([]*driver.Message, error) {
	from, err := s.from.get(ctx)
	if err != nil {
		return nil, err
	}
	if ds := s.left(limit); len(ds) > 0 {
		return messages(ds), nil
	}
	timer := time.NewTimer(pollTime)
	defer timer.Stop()
	answer := s.ask(from, limit)
	select {
	case r := <-answer:
		s.answered(answer)
		return s.take(r, limit)
	case <-timer.C:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// left returns what was received before.
func (s *subscription) left(limit int) []*pubsub.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(limit, len(s.more))
	ds := s.more[:n]
	s.more = s.more[n:]
	return ds
}

// ask starts to wait for messages, unless somebody does already. Of several
// who wait for the same answer one gets it.
func (s *subscription) ask(from *pubsub.Subscription, limit int) chan received {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == nil {
		answer := make(chan received, 1)
		s.waiting = answer
		go func() {
			ds, err := from.ReceiveMany(s.life, limit)
			answer <- received{ds, err}
		}()
	}
	return s.waiting
}

func (s *subscription) answered(answer chan received) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == answer {
		s.waiting = nil
	}
}

func (s *subscription) take(r received, limit int) ([]*driver.Message, error) {
	if errors.Is(r.err, pubsub.ErrGap) && s.onGap != nil {
		s.onGap(r.err)
		return nil, nil
	}
	if n := min(limit, len(r.ds)); n < len(r.ds) {
		s.mu.Lock()
		s.more = append(s.more, r.ds[n:]...)
		s.mu.Unlock()
		r.ds = r.ds[:n]
	}
	return messages(r.ds), r.err
}

func messages(ds []*pubsub.Delivery) []*driver.Message {
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

// settle settles all at once, which package pubsub groups, and returns the
// first error. One that says that the lease was lost, or that it was settled
// before, is none to gocloud.dev.
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

// IsRetryable implements gocloud.dev's driver.Subscription. To receive and to
// settle can be repeated.
func (s *subscription) IsRetryable(err error) bool {
	switch fairlead.CodeOf(err) {
	case fairlead.Unavailable, fairlead.UnknownOutcome:
		return true
	}
	return false
}

// As implements gocloud.dev's driver.Subscription.
func (s *subscription) As(target any) bool {
	from, opened := s.from.peek()
	return opened && assign(target, from)
}

// Close implements gocloud.dev's driver.Subscription. What gocloud.dev has
// fetched ahead comes to another consumer at once.
func (s *subscription) Close() error {
	s.end()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return s.from.close(ctx)
}
