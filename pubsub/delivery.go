package pubsub

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/handle"
	"fairlead.dev/pubsub/driver"
)

// Delivery is a received message. It is leased to this consumer for the
// [AckDeadline], within which [Delivery.Ack] or [Delivery.Nack] settles it; in a
// [Handler], its result does. Its slice and map belong to the receiver.
type Delivery struct {
	ID       string // the publisher's, or one that the backend gave
	Key      string // the ordering key; empty for none
	Body     []byte
	Metadata map[string]string // nil if there is none
	// Time is when the message was stored, by the backend's clock; zero if
	// unknown.
	Time time.Time
	// Attempt counts the deliveries of this message to this group, including
	// this one: 1 for the first; 0 where [DeliveryCount] is not claimed. Where
	// [Release] is claimed, a message that [Subscription.Handle] has received and
	// given back before its handler began does not count.
	Attempt int
	// Position is the message's place in the topic; opaque; it stays valid for
	// [FromPosition]. It is empty if the backend has none.
	Position string

	sub     *Subscription
	token   string // settles this delivery
	settled atomic.Bool
}

func (s *Subscription) newDelivery(d driver.Delivery) *Delivery {
	return &Delivery{
		ID: d.ID, Key: d.Key, Body: d.Body, Metadata: d.Metadata,
		Time: d.Time, Attempt: d.Attempt, Position: d.Position,
		sub: s, token: d.Token,
	}
}

// Ack acknowledges the message: it is not delivered again. Where
// [ConfirmedAck] is claimed, nil means that the backend has recorded it.
//
// Errors: Conflict (ErrLeaseLost) if the delivery was settled before, or, where
// [FencedAck] is claimed, if its lease was lost: the message is then delivered
// again.
func (d *Delivery) Ack(ctx context.Context) error {
	return d.settle(ctx, driver.Settlement{Kind: driver.Ack})
}

// Nack returns the message to the group: it is delivered again after delay, at
// once if delay is 0. A delay requires the claim [NackDelay]. With
// [DeadLetter], a message that is at its last attempt is moved to the dead
// letters instead. Errors as for Ack.
func (d *Delivery) Nack(ctx context.Context, delay time.Duration) error {
	return d.nackFor(ctx, delay, "given back")
}

// nackFor is Nack with the reason that a dead letter states.
func (d *Delivery) nackFor(ctx context.Context, delay time.Duration, reason string) error {
	if d.settled.Load() {
		return d.sub.annotate(errSettled, "pubsub.Nack")
	}
	if err := d.sub.checkDelay(delay); err != nil {
		return d.sub.annotate(err, "pubsub.Nack")
	}
	if dead := d.sub.dead; dead != nil && d.Attempt >= dead.maxAttempts {
		return d.sub.annotate(d.moveToDeadLetters(ctx, reason), "pubsub.Nack")
	}
	return d.settle(ctx, driver.Settlement{Kind: driver.Nack, Delay: delay})
}

func (s *Subscription) checkDelay(delay time.Duration) error {
	longest := handle.LongestDuration(s.handle.Facet.Limits.MaxDelay)
	switch {
	case delay < 0:
		return fairlead.Errorf(fairlead.Invalid, "the delay is %v; it must not be negative", delay)
	case delay == 0:
		return nil
	case delay > longest:
		return fairlead.Errorf(fairlead.Invalid, "the delay is %v, the maximum is %v", delay, longest)
	}
	return s.handle.CheckClaim(NackDelay)
}

// Extend makes the lease last the AckDeadline from now on. It requires the
// claim [Extend]. Errors as for Ack.
func (d *Delivery) Extend(ctx context.Context) error {
	if err := d.sub.handle.CheckClaim(Extend); err != nil {
		return d.sub.annotate(err, "pubsub.Extend")
	}
	if d.settled.Load() {
		return d.sub.annotate(errSettled, "pubsub.Extend")
	}
	return d.sub.sendSettlement(ctx, driver.Settlement{Token: d.token, Kind: driver.Extend})
}

var errSettled = fairlead.Errorf(fairlead.Conflict, "the delivery was settled before")

// settle settles the delivery once. After a failure that may have left the
// lease with this consumer, it can be settled again.
func (d *Delivery) settle(ctx context.Context, st driver.Settlement) error {
	if !d.settled.CompareAndSwap(false, true) {
		return d.sub.annotate(errSettled, "pubsub.Settle")
	}
	st.Token = d.token
	err := d.sub.sendSettlement(ctx, st)
	if err != nil && !errors.Is(err, ErrLeaseLost) {
		d.settled.Store(false)
	}
	return err
}

func (s *Subscription) sendSettlement(ctx context.Context, st driver.Settlement) error {
	ctx, call := s.settling.Start(ctx)
	if err := s.checkOpen(); err != nil {
		return call.End(err)
	}
	settled, err := s.settlements.ExecuteOne(ctx, st)
	if err == nil {
		err = settled
	}
	return call.End(err)
}
