package redis

import (
	"context"
	"slices"
	"strconv"
	"strings"
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
		if d := s.leased[0]; now.Before(d.until) {
			out = append(out, d.Delivery)
		} else { // the server delivers it again
			s.unreturned = append(s.unreturned, d.Delivery)
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
	s.releaseUnreturned(context.Background())
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

// releaseUnreturned gives messages back whose leases have ended before a Receive
// could return them, so that those leases do not count as attempts.
func (s *groupSubscription) releaseUnreturned(ctx context.Context) {
	s.receiver.Lock()
	unreturned := s.unreturned
	s.unreturned = nil
	s.receiver.Unlock()
	for batch := range slices.Chunk(unreturned, maxBatch) {
		all := make([]driver.Settlement, len(batch))
		for i, d := range batch {
			all[i] = driver.Settlement{Token: d.Token, Kind: driver.Release}
		}
		s.settleAll(ctx, all) // an error of one says that it has another lease by now
	}
}

// leaseMessages returns the reply of the receive script. The script's call does not
// end with the call of Receive: messages that the server has leased must not be
// lost.
func (s *groupSubscription) leaseMessages(limit int) ([]any, error) {
	ctx := context.Background()
	sent := time.Now()
	inspect := 0
	if sent.Sub(s.inspected) >= inspectInterval {
		inspect = 1
	}
	reply, err := s.p.query(ctx, s.keys.stream, receiveScript.command(ctx,
		[]string{s.keys.stream, s.keys.meta, s.group.due, s.group.parked, s.group.wake},
		s.config.Group, s.consumer, s.epoch, limit, milliseconds(s.config.AckDeadline), s.group.base, maxReceiveBytes, maxParked, inspect))
	s.receiver.Lock()
	defer s.receiver.Unlock()
	close(s.leasing)
	s.leasing = nil
	if err != nil {
		return nil, err
	}
	l := asList(reply)
	if inspect == 1 && asText(elementOf(l, 0)) != "deleted" {
		s.inspected = sent
	}
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
	case "deleted":
		return deletedKeysError(asList(elementOf(reply, 1)))
	case "gone":
		return fairlead.Errorf(fairlead.NotFound, "the group was deleted; subscribe again")
	default:
		return unexpectedReply(reply)
	}
	deliveries, err := parseDeliveries(asList(elementOf(reply, 2)))
	if err != nil {
		return err
	}
	for _, d := range deliveries {
		s.leased = append(s.leased, leasedDelivery{d, until})
	}
	if asNumber(elementOf(reply, 1)) > 0 {
		return lostMessagesError()
	}
	return nil
}

// parseDeliveries takes the messages of a reply of the receive script: for each
// its ID, the number of its lease, its attempt, the number of its field names and
// values, and these.
func parseDeliveries(flat []any) (deliveries []driver.Delivery, err error) {
	for rest := flat; len(rest) > 0; {
		n := asNumber(elementOf(rest, 3))
		if len(rest) < 4 || n < 0 || n > int64(len(rest)-4) || !isStreamID(asText(rest[0])) || asNumber(rest[1]) < 1 {
			return nil, unexpectedReply(flat)
		}
		deliveries = append(deliveries, newDelivery(asText(rest[0]), asNumber(rest[1]), asNumber(rest[2]), rest[4:4+n]))
		rest = rest[4+n:]
	}
	return deliveries, nil
}

// deletedKeysError reports that the script has deleted keys of the group.
func deletedKeysError(keys []any) error {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = strconv.Quote(asText(key))
	}
	return fairlead.Errorf(fairlead.Internal, "another program has put a value of another type under a key of the group; it was deleted, and the group goes on: messages may come again: %s", strings.Join(names, ", "))
}

func lostMessagesError() error {
	return fairlead.Errorf(fairlead.Compacted, "the server no longer has some messages of this subscription; it continues after them")
}

func newDelivery(id string, lease, attempt int64, fields []any) driver.Delivery {
	d := decodeEntry(id, fields)
	d.Attempt = max(1, int(attempt))
	d.Token = token{id, strconv.FormatInt(lease, 10), orderingKey(fields)}.String()
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
