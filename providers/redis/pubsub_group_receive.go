package redis

import (
	"context"
	"strconv"
	"time"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

// Receive implements the pubsub driver's Subscription.
func (s *groupSubscription) Receive(ctx context.Context, limit int) ([]driver.Delivery, error) {
	return s.receiver.receive(ctx, s.life, s, limit)
}

// takeReady implements fetcher.
func (s *groupSubscription) takeReady(limit int, now time.Time) ([]driver.Delivery, time.Time) {
	var out []driver.Delivery
	for len(out) < limit && len(s.leased) > 0 {
		if d := s.leased[0]; now.Before(d.until) { // else the server delivers it again
			out = append(out, d.Delivery)
		}
		s.leased = s.leased[1:]
	}
	return out, time.Time{}
}

// fetch implements fetcher.
func (s *groupSubscription) fetch(limit int) error {
	if err := s.rejoinIfLost(); err != nil || !s.beginLeasing() {
		return err
	}
	reply, err := s.leaseMessages(limit)
	if err == nil && len(reply) > 3 {
		s.awaitMessages(reply)
	}
	return err
}

// rejoinIfLost joins the topic and the group again if they were lost. All
// messages that are in the topic then were stored after the loss.
func (s *groupSubscription) rejoinIfLost() error {
	if s.epoch != "" {
		return nil
	}
	c := s.config
	c.Start = driver.StartEarliest
	j, err := s.p.join(context.Background(), c)
	s.epoch = j.epoch
	return err
}

// beginLeasing announces a call that may lease messages. It returns false after
// Close, which waits for the end of the call.
func (s *groupSubscription) beginLeasing() bool {
	s.receiver.Lock()
	defer s.receiver.Unlock()
	if s.life.Err() != nil {
		return false
	}
	s.leasing = make(chan struct{})
	return true
}

// awaitLeasing waits for the end of a call that may still lease messages.
func (s *groupSubscription) awaitLeasing(ctx context.Context) {
	s.receiver.Lock()
	leasing := s.leasing
	s.receiver.Unlock()
	if leasing == nil {
		return
	}
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-leasing:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// leaseMessages returns the reply of the receive script. The script's call does not
// end with the call of Receive: messages that the server has leased must not be
// lost.
func (s *groupSubscription) leaseMessages(limit int) ([]any, error) {
	ctx := context.Background()
	sent := time.Now()
	reply, err := s.p.query(ctx, s.keys.stream, receiveScript.command(ctx,
		[]string{s.keys.stream, s.keys.meta, s.group.due, s.group.parked, s.group.wake},
		s.config.Group, s.consumer, s.epoch, limit, milliseconds(s.config.AckDeadline), s.group.base, maxReceiveBytes, maxParked))
	s.receiver.Lock()
	defer s.receiver.Unlock()
	close(s.leasing)
	s.leasing = nil
	if err != nil {
		return nil, err
	}
	l := asList(reply)
	return l, s.acceptReply(l, sent.Add(s.config.AckDeadline))
}

// acceptReply keeps the deliveries of a reply of the receive script. The
// receiver is locked.
func (s *groupSubscription) acceptReply(reply []any, until time.Time) error {
	switch asText(elementOf(reply, 0)) {
	case "ok":
	case "lost":
		s.epoch = ""
		return lostMessagesError()
	case "gone":
		return fairlead.Errorf(fairlead.NotFound, "the group was deleted; subscribe again")
	default:
		return unexpectedReply(reply)
	}
	for flat := asList(elementOf(reply, 2)); len(flat) > 3; {
		end := min(3+int(asNumber(flat[2])), len(flat))
		s.leased = append(s.leased, leasedDelivery{newDelivery(asText(flat[0]), asNumber(flat[1]), flat[3:end]), until})
		flat = flat[end:]
	}
	if asNumber(elementOf(reply, 1)) > 0 {
		return lostMessagesError()
	}
	return nil
}

func lostMessagesError() error {
	return fairlead.Errorf(fairlead.Compacted, "the server no longer has some messages of this subscription; it continues after them")
}

func newDelivery(id string, attempt int64, fields []any) driver.Delivery {
	d := decodeEntry(id, fields)
	d.Attempt = int(attempt)
	d.Token = token{id, strconv.FormatInt(attempt, 10), orderingKey(fields)}.String()
	return d
}

// awaitMessages waits for what the receive script named as the next cause for a
// delivery.
func (s *groupSubscription) awaitMessages(reply []any) {
	wait := maxWait
	if next := asNumber(elementOf(reply, 4)); next >= 0 {
		wait = min(wait, time.Duration(next)*time.Millisecond)
	}
	switch asText(elementOf(reply, 3)) {
	case "wait":
		s.p.awaitEntry(s.life, wait, s.keys.stream, s.group.wake, asText(elementOf(reply, 5)), asText(elementOf(reply, 6)))
	case "full": // the stream has more messages, which must wait
		providers.Pause(s.life.Context(), min(wait, retryPause))
	}
}
