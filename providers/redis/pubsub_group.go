package redis

import (
	"context"
	"strconv"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/pubsub/driver"
)

const (
	// maxReceiveBytes is when a call of Receive takes no more messages.
	maxReceiveBytes = 8 << 20
	// maxParked bounds the messages of a group that wait behind another one
	// with their ordering key: beyond it, the group reads no new ones.
	maxParked = 10_000
	// giveBackStep is about how many messages one call looks at.
	giveBackStep = 500
	// closeWait bounds how long Close waits for a call under way.
	closeWait = time.Second
)

// groupSubscription is a handle of a group: one consumer of the stream's
// consumer group.
type groupSubscription struct {
	handle
	config   driver.SubscriptionConfig
	keys     topicKeys
	group    groupKeys
	consumer string
	trimmer  trimmer

	// epoch is that of the topic as it was joined; empty: join it anew. It
	// belongs to the pull, of which there is one at a time.
	epoch string

	inbox inbox
	// These are guarded by the inbox.
	leased []leased
	asking chan struct{} // closed at the end of the call that may lease; nil: none
}

// leased is a delivery that no Receive has returned yet.
type leased struct {
	driver.Delivery
	until time.Time
}

// OpenSubscription implements the pubsub driver's Provider.
func (p *provider) OpenSubscription(ctx context.Context, c driver.SubscriptionConfig) (driver.Subscription, error) {
	j, err := p.join(ctx, c)
	if err != nil {
		return nil, err
	}
	if c.Group == "" {
		return newBroadcast(p, c, j), nil
	}
	keys := p.topicKeys(c.Topic)
	s := &groupSubscription{
		handle: newHandle(p), config: c, keys: keys, group: keys.group(c.Group),
		consumer: randomName(), trimmer: trimmer{p: p, keys: keys}, epoch: j.epoch,
	}
	p.subscriptions.add(s)
	return s, nil
}

// Receive implements the pubsub driver's Subscription.
func (s *groupSubscription) Receive(ctx context.Context, limit int) ([]driver.Delivery, error) {
	return s.inbox.receive(ctx, &s.handle, s, limit)
}

// take implements source.
func (s *groupSubscription) take(limit int, now time.Time) ([]driver.Delivery, time.Time) {
	var out []driver.Delivery
	for len(out) < limit && len(s.leased) > 0 {
		if d := s.leased[0]; now.Before(d.until) { // else it comes again
			out = append(out, d.Delivery)
		}
		s.leased = s.leased[1:]
	}
	return out, time.Time{}
}

// pull implements source.
func (s *groupSubscription) pull(limit int) error {
	if err := s.rejoin(); err != nil || !s.begin() {
		return err
	}
	l, err := s.ask(limit)
	if err == nil && len(l) > 3 {
		s.rest(l)
	}
	return err
}

// rejoin joins the topic and the group again if they were lost. What is in the
// topic then was all stored after the loss.
func (s *groupSubscription) rejoin() error {
	if s.epoch != "" {
		return nil
	}
	c := s.config
	c.Start = driver.StartEarliest
	j, err := s.p.join(context.Background(), c)
	s.epoch = j.epoch
	return err
}

// begin announces a call that may lease messages. It returns false after
// Close, which waits for the end of the call.
func (s *groupSubscription) begin() bool {
	s.inbox.Lock()
	defer s.inbox.Unlock()
	if s.life.Err() != nil {
		return false
	}
	s.asking = make(chan struct{})
	return true
}

// ask leases messages. It does not end with the call of Receive: what the
// server has leased must not be lost.
func (s *groupSubscription) ask(limit int) ([]any, error) {
	sent := time.Now()
	reply, err := s.p.run(context.Background(), nil, receiveScript,
		[]string{s.keys.stream, s.keys.meta, s.group.due, s.group.parked, s.group.wake},
		s.config.Group, s.consumer, s.epoch, limit, ceilMs(s.config.AckDeadline), s.group.base, maxReceiveBytes, maxParked)
	s.inbox.Lock()
	defer s.inbox.Unlock()
	close(s.asking)
	s.asking = nil
	if err != nil {
		return nil, err
	}
	l := list(reply)
	return l, s.accept(l, sent.Add(s.config.AckDeadline))
}

// accept takes what the receive script returned. The inbox is locked.
func (s *groupSubscription) accept(l []any, until time.Time) error {
	switch text(at(l, 0)) {
	case "ok":
	case "lost":
		s.epoch = ""
		return lostMessages()
	case "gone":
		return fairlead.Errorf(fairlead.NotFound, "the group was deleted; subscribe again")
	default:
		return unexpectedReply(l)
	}
	for flat := list(at(l, 2)); len(flat) > 3; {
		fields := min(3+int(number(flat[2])), len(flat))
		s.leased = append(s.leased, leased{newDelivery(text(flat[0]), number(flat[1]), flat[3:fields]), until})
		flat = flat[fields:]
	}
	if number(at(l, 1)) > 0 {
		return lostMessages()
	}
	return nil
}

func lostMessages() error {
	return fairlead.Errorf(fairlead.Compacted, "messages of this subscription are gone from the server; it goes on behind them")
}

func newDelivery(id string, attempt int64, fields []any) driver.Delivery {
	d := decode(id, fields)
	d.Attempt = int(attempt)
	d.Token = token{id, strconv.FormatInt(attempt, 10), keyOf(fields)}.String()
	return d
}

// rest waits for what the receive script said that there may be.
func (s *groupSubscription) rest(l []any) {
	wait := longestWait
	if next := number(at(l, 4)); next >= 0 {
		wait = min(wait, time.Duration(next)*time.Millisecond)
	}
	switch text(at(l, 3)) {
	case "wait":
		s.block(wait, s.keys.stream, s.group.wake, text(at(l, 5)), text(at(l, 6)))
	case "full": // the stream has more, which must wait
		await.Pause(s.life, min(wait, busyPause))
	}
}

// Settle implements the pubsub driver's Subscription.
func (s *groupSubscription) Settle(ctx context.Context, all []driver.Settlement) []error {
	errs := make([]error, len(all))
	if err := s.ready(ctx); err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	m := s.p.newMark()
	args := []any{m, s.config.Group, s.group.base, longestWait.Milliseconds()}
	var sent []int
	for i, st := range all {
		t, err := parseToken(st.Token)
		if err != nil {
			errs[i] = err
			continue
		}
		args = append(args, int(st.Kind), t.member(s.consumer), t.id, t.key, ceilMs(s.delay(st)))
		sent = append(sent, i)
	}
	if len(sent) > 0 {
		s.settle(ctx, m, args, sent, errs)
		s.trimmer.perhaps(ctx)
	}
	return errs
}

func (s *groupSubscription) delay(st driver.Settlement) time.Duration {
	if st.Kind == driver.Extend && st.Delay == 0 {
		return s.config.AckDeadline
	}
	return st.Delay
}

// settle puts the outcome of the settlements in args where sent says.
func (s *groupSubscription) settle(ctx context.Context, m *mark, args []any, sent []int, errs []error) {
	reply, err := s.p.run(ctx, m, settleScript,
		[]string{s.keys.stream, s.group.due, s.group.parked, s.group.wake}, args...)
	codes := list(reply)
	if err == nil && len(codes) != len(sent) {
		err = unexpectedReply(reply)
	}
	for n, i := range sent {
		switch {
		case err != nil:
			errs[i] = err
		case number(codes[n]) != 0:
			errs[i] = lostLease()
		}
	}
}

func lostLease() error {
	return fairlead.Errorf(fairlead.Conflict, "the lease of this delivery was lost or is settled")
}

// token says which delivery it was: the id of the entry, the attempt, and the
// ordering key, for a group as the server has it.
type token struct{ id, attempt, key string }

func (t token) String() string { return t.id + "/" + t.attempt + "/" + t.key }

// member is what the scripts keep of the delivery while the consumer holds it.
func (t token) member(consumer string) string {
	return t.id + " " + t.attempt + " " + consumer + " " + t.key
}

func parseToken(s string) (token, error) {
	id, rest, _ := strings.Cut(s, "/")
	attempt, key, ok := strings.Cut(rest, "/")
	if !ok || !isStreamID(id) || !isUint(attempt) {
		return token{}, invalid("token %.100q is not one of a delivery", s)
	}
	return token{id, attempt, key}, nil
}

// Close implements the pubsub driver's Subscription.
func (s *groupSubscription) Close(ctx context.Context) error {
	s.end()
	if !s.p.subscriptions.remove(s) {
		return nil // the provider gave back
	}
	s.awaitAsking(ctx)
	for cursor := "0"; ; {
		reply, err := s.p.run(ctx, nil, giveBackScript,
			[]string{s.keys.stream, s.group.due, s.group.wake}, s.config.Group, s.consumer, cursor, giveBackStep)
		if err != nil {
			return err
		}
		if cursor = text(reply); cursor == "0" {
			return nil
		}
	}
}

// awaitAsking waits for the end of a call that may still lease messages.
func (s *groupSubscription) awaitAsking(ctx context.Context) {
	s.inbox.Lock()
	asking := s.asking
	s.inbox.Unlock()
	if asking == nil {
		return
	}
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	select {
	case <-asking:
	case <-timer.C:
	case <-ctx.Done():
	}
}
