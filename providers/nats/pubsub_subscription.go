package nats

import (
	"context"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

const (
	// pullExpires is how long the server keeps a request that waits.
	pullExpires   = 5 * time.Second
	pullHeartbeat = time.Second
	// pullSilence is the time without a heartbeat after which the consumer, or its
	// server, counts as gone.
	pullSilence = 2500 * time.Millisecond
	// deliverGrace is how long the records of ordering keys may still be changed
	// after the caller's context has ended.
	deliverGrace = time.Second
	// freePulls is how many inboxes are kept for the next calls of Receive.
	freePulls = 8
)

// subscription is a consumer of a group, or a broadcast, which is a group of
// its own. It asks the server for no more messages than a Receive wants, so that
// it holds no messages that other consumers could process.
type subscription struct {
	*topic
	group    string // empty: a broadcast
	consumer string
	lease    time.Duration
	leases   leases

	mu    sync.Mutex
	pulls map[*pull]struct{}
	lanes laneBook
	idle  *pull   // no Receive waits for it: see keepPull
	free  []*pull // their inboxes serve again

	life  *providers.Lifetime
	swept time.Time // when the lanes' records were last swept
}

// pull is a request for messages under way.
type pull struct {
	sub  *natsgo.Subscription
	msgs chan *natsgo.Msg // has room for all that may come
	left bool             // no Receive waits: messages that come are given back
}

// open begins the subscription's life.
func (s *subscription) open() error {
	s.pulls = map[*pull]struct{}{}
	s.life = s.p.life.Child("subscription")
	s.leases.init()
	s.life.Go(s.keepLeases)
	return s.p.handles.Add(s)
}

// takeMessage passes a message to the Receive that waits, or gives it back.
func (s *subscription) takeMessage(q *pull, m *natsgo.Msg) {
	s.mu.Lock()
	if !q.left {
		select {
		case q.msgs <- m:
			s.mu.Unlock()
			return
		default: // more heartbeats than there is room for
		}
	}
	if q.left && endsPull(m) {
		s.forgetPull(q)
	}
	s.mu.Unlock()
	if m.Header.Get("Status") == "" {
		s.giveBack(m.Reply)
	}
}

// endsPull reports whether m is the last message for a pull of one message.
func endsPull(m *natsgo.Msg) bool { return m.Header.Get("Status") != "100" }

// forgetPull removes a pull to which nothing more comes. The lock is held.
func (s *subscription) forgetPull(q *pull) {
	delete(s.pulls, q)
	if s.idle == q {
		s.idle = nil
	}
	_ = q.sub.Unsubscribe() // it may have ended with the connection
}

// giveBack makes the message come again at once. If the request does not reach the
// server, the message comes when the server misses this consumer.
func (s *subscription) giveBack(reply string) {
	_ = s.p.nc.Publish(reply, []byte("-NAK"))
}

// startPull sends a request for messages.
func (s *subscription) startPull(r pullRequest) (*pull, error) {
	q, err := s.newPull()
	if err != nil {
		return nil, err
	}
	if err := s.p.pull(s.stream, s.consumer, q.sub.Subject, r); err != nil {
		s.dropPull(q)
		return nil, err
	}
	return q, nil
}

// newPull returns a pull without a request.
func (s *subscription) newPull() (*pull, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		q := s.free[n-1]
		s.free = s.free[:n-1]
		s.drainPull(q) // a late heartbeat
		q.left = false
		return q, nil
	}
	q := &pull{msgs: make(chan *natsgo.Msg, pubsubBatch+16)}
	var err error
	q.sub, err = s.p.nc.Subscribe(s.p.nc.NewInbox(), func(m *natsgo.Msg) { s.takeMessage(q, m) })
	if err != nil {
		return nil, mapErr(err, false)
	}
	s.pulls[q] = struct{}{}
	return q, nil
}

// dropPull ends a pull that is not needed: messages that still come for it are
// given back.
func (s *subscription) dropPull(q *pull) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drainPull(q)
	delete(s.pulls, q)
	if s.idle == q {
		s.idle = nil
	}
	_ = q.sub.Drain() // messages on their way are given back, too
}

// drainPull gives back the messages of a pull that no Receive waits for. The
// lock is held.
func (s *subscription) drainPull(q *pull) (ended bool) {
	q.left = true
	for len(q.msgs) > 0 {
		m := <-q.msgs
		if m.Header.Get("Status") == "" {
			s.giveBack(m.Reply)
		}
		ended = ended || endsPull(m)
	}
	return ended
}

// reusePull keeps a pull that was answered completely for a later Receive.
func (s *subscription) reusePull(q *pull) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.free) < freePulls && s.life.Err() == nil {
		s.free = append(s.free, q)
		return
	}
	s.forgetPull(q)
}

// waitingPull returns a pull that waits for one message.
func (s *subscription) waitingPull() (*pull, error) {
	s.mu.Lock()
	if q := s.idle; q != nil {
		s.idle, q.left = nil, false
		s.mu.Unlock()
		return q, nil
	}
	s.mu.Unlock()
	return s.startPull(pullRequest{Batch: 1, Expires: pullExpires, Heartbeat: pullHeartbeat})
}

// keepPull keeps a pull whose Receive gives up for the next Receive, so that
// pulls do not accumulate. Messages that come before then are given back.
func (s *subscription) keepPull(q *pull) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch ended := s.drainPull(q); {
	case ended || s.idle != nil:
		delete(s.pulls, q)
		_ = q.sub.Drain()
	default:
		s.idle = q
	}
}

// Receive implements the pubsub driver's Subscription. Close waits for it, and
// then gives back what it has taken.
func (s *subscription) Receive(ctx context.Context, limit int) ([]driver.Delivery, error) {
	ctx, end, err := s.life.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	return providers.Retry(ctx, s.life, providers.Patience{}, func(ctx context.Context) ([]driver.Delivery, bool, error) {
		out, err := s.step(ctx, min(limit, pubsubBatch))
		if len(out) > 0 {
			err = nil // an error that lasts comes with the next call
		}
		return out, len(out) > 0, err
	})
}

// step takes the messages that are there. If there are none, it waits for one
// message; it may return none.
func (s *subscription) step(ctx context.Context, limit int) ([]driver.Delivery, error) {
	q, err := s.startPull(pullRequest{Batch: limit, NoWait: true})
	if err != nil {
		return nil, err
	}
	msgs, over, err := s.collectMessages(ctx, q, limit)
	s.endPull(q, over)
	if len(msgs) > 0 {
		return s.deliver(ctx, msgs)
	}
	if err != nil {
		return nil, err
	}
	if q, err = s.waitingPull(); err != nil {
		return nil, err
	}
	msgs, over, err = s.collectMessages(ctx, q, 1)
	if len(msgs) == 0 && !over && ctx.Err() != nil {
		s.keepPull(q)
	} else {
		s.endPull(q, over)
	}
	if len(msgs) > 0 {
		return s.deliver(ctx, msgs)
	}
	return nil, err
}

// endPull ends a pull; complete says that nothing more comes for it.
func (s *subscription) endPull(q *pull, over bool) {
	if over {
		s.reusePull(q)
	} else {
		s.dropPull(q)
	}
}

// collectMessages returns the messages that come for a pull of n messages. over
// says that nothing more comes.
func (s *subscription) collectMessages(ctx context.Context, q *pull, n int) (out []*natsgo.Msg, over bool, err error) {
	_, broken := s.p.reconnected.current()
	silence := time.NewTimer(pullSilence)
	defer silence.Stop()
	for len(out) < n {
		select {
		case m := <-q.msgs:
			silence.Reset(pullSilence)
			if m.Header.Get("Status") == "" {
				out = append(out, m)
				continue
			}
			if over, err := s.takeStatus(ctx, m); over {
				return out, true, err
			}
		case <-broken:
			return out, false, nil
		case <-silence.C:
			return out, false, fairlead.Errorf(fairlead.Unavailable, "the server has not been heard of for %v", pullSilence)
		case <-ctx.Done():
			return out, false, mapErr(ctx.Err(), false)
		case <-s.life.Done():
			return out, false, s.life.Err()
		}
	}
	return out, true, nil
}

// takeStatus handles a status of the server; over says that the pull has ended.
func (s *subscription) takeStatus(ctx context.Context, m *natsgo.Msg) (over bool, err error) {
	switch m.Header.Get("Status") {
	case "100":
		return false, nil
	case "404", "408":
		return true, nil
	default: // 409: the consumer moves, or was deleted; 503: there is none
		providers.Pause(ctx, noResponderPause)
		return true, s.explainMissing(ctx)
	}
}

// Close implements the pubsub driver's Subscription.
func (s *subscription) Close(ctx context.Context) error {
	if !s.life.End() {
		return nil
	}
	s.p.handles.Remove(s)
	s.life.Drain()
	s.mu.Lock()
	for q := range s.pulls {
		s.drainPull(q)
		_ = q.sub.Drain()
	}
	s.mu.Unlock()
	for _, reply := range s.leases.clear() {
		s.giveBack(reply)
	}
	s.book().close()
	if s.group == "" {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_ = s.p.deleteConsumer(ctx, s.stream, s.consumer) // or the server forgets it later
		return nil
	}
	return nil
}
