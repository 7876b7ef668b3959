package nats

import (
	"context"
	"errors"
	"slices"
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
	// freePulls is how many inboxes are kept for the next calls of Receive, and
	// how many pulls.
	freePulls = 8
	// keptFor is how long a message that comes when no Receive waits is kept for the
	// next one. To give it back at once would count as an attempt.
	keptFor = time.Second
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

	mu     sync.Mutex
	pulls  map[*pull]struct{}
	byKey  keyRecords
	idle   []*pull             // no Receive waits for them: see keepPull
	free   []*pull             // their inboxes serve again
	seen   natsgo.SequencePair // of the last first delivery of a message
	seenOn int                 // the connection on which it came
	// missing is since when the server does not know the consumer of the group; zero if
	// it knows it.
	missing time.Time

	life  *providers.Lifetime
	swept time.Time // when the keys' records were last swept
}

// pull is a request for messages under way.
type pull struct {
	sub        *natsgo.Subscription
	msgs       chan *natsgo.Msg // has room for all that may come
	connection int              // of p.reconnected, on which it was sent
	missing    int              // messages that have not come
	kept       int              // how often it was kept: see keepPull
	waits      bool             // for the next Receive
	left       bool             // none will: messages that come are given back
}

// open begins the subscription's life.
func (s *subscription) open() error {
	s.pulls = map[*pull]struct{}{}
	s.life = s.p.life.Child("subscription")
	s.leases.init()
	s.life.Go(s.keepLeases)
	return s.p.handles.Add(s)
}

// takeMessage passes a message to the Receive that waits, or keeps it for the next
// one, or gives it back.
func (s *subscription) takeMessage(q *pull, m *natsgo.Msg) {
	s.mu.Lock()
	if !q.left {
		select {
		case q.msgs <- m:
			if q.waits && m.Header.Get("Status") == "" {
				s.dropLater(q)
			}
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
	q.missing = r.Batch
	q.connection, _ = s.p.reconnected.current()
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
		q.left, q.waits = false, false
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
	_ = q.sub.Drain() // messages on their way are given back, too
}

// drainPull gives back the messages of a pull that no Receive waits for. The
// lock is held.
func (s *subscription) drainPull(q *pull) {
	q.left = true
	for len(q.msgs) > 0 {
		if m := <-q.msgs; m.Header.Get("Status") == "" {
			s.giveBack(m.Reply)
		}
	}
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

// keepPull keeps a pull whose Receive gives up, or has enough, for the next
// Receive, so that pulls do not accumulate, and a message that comes meanwhile does
// not count as an attempt.
func (s *subscription) keepPull(q *pull) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) >= freePulls || s.life.Err() != nil {
		s.drainPull(q)
		delete(s.pulls, q)
		_ = q.sub.Drain()
		return
	}
	q.waits = true
	q.kept++
	s.idle = append(s.idle, q)
	if len(q.msgs) > 0 {
		s.dropLater(q)
	}
}

// dropLater ends a pull that has a message, unless a Receive asks for it soon. The
// lock is held.
func (s *subscription) dropLater(q *pull) {
	kept := q.kept
	time.AfterFunc(keptFor, func() {
		s.mu.Lock()
		i := slices.Index(s.idle, q)
		if drop := i >= 0 && q.kept == kept; !drop {
			s.mu.Unlock()
			return
		}
		s.idle = slices.Delete(s.idle, i, i+1)
		s.mu.Unlock()
		s.dropPull(q)
	})
}

// keptPull returns a pull that was kept, and nil if there is none.
func (s *subscription) keptPull() *pull {
	connection, _ := s.p.reconnected.current()
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.idle) > 0 {
		q := s.idle[0]
		s.idle = s.idle[1:]
		q.waits = false
		if q.connection == connection {
			return q
		}
		s.drainPull(q) // the server has forgotten it with the connection
		s.forgetPull(q)
	}
	return nil
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
		return out, len(out) > 0, s.passing(err)
	})
}

// passing returns the error of a step as one that does not end the subscription,
// unless the subscription has ended: what a call to the server was told is Closed,
// or took too long, is not the subscription, nor the caller's time.
func (s *subscription) passing(err error) error {
	switch fairlead.CodeOf(err) {
	case fairlead.Closed, fairlead.Canceled, fairlead.DeadlineExceeded, fairlead.UnknownOutcome:
		if s.life.Err() == nil {
			return fairlead.Errorf(fairlead.Unavailable, "%w", err)
		}
	}
	return err
}

// step takes the messages that are there. If there are none, it waits for one
// message; it may return none.
func (s *subscription) step(ctx context.Context, limit int) ([]driver.Delivery, error) {
	if q := s.keptPull(); q != nil {
		if msgs, err := s.usePull(ctx, q, limit); len(msgs) > 0 || err != nil {
			return s.deliverOr(ctx, msgs, err)
		}
	}
	q, err := s.startPull(pullRequest{Batch: limit, NoWait: true})
	if err != nil {
		return nil, err
	}
	if msgs, err := s.usePull(ctx, q, limit); len(msgs) > 0 || err != nil {
		return s.deliverOr(ctx, msgs, err)
	}
	if q, err = s.startPull(pullRequest{Batch: 1, Expires: pullExpires, Heartbeat: pullHeartbeat}); err != nil {
		return nil, err
	}
	msgs, err := s.usePull(ctx, q, limit)
	return s.deliverOr(ctx, msgs, err)
}

// deliverOr delivers messages, or returns why there are none.
func (s *subscription) deliverOr(ctx context.Context, msgs []*natsgo.Msg, err error) ([]driver.Delivery, error) {
	switch {
	case len(msgs) > 0 && s.findGap(ctx, msgs):
		s.keepMessages(msgs)
		return nil, fairlead.Errorf(fairlead.Compacted, "messages are gone that were not received: another program has purged or deleted them")
	case len(msgs) > 0:
		return s.deliver(ctx, msgs)
	case errors.Is(err, errSilent), errors.Is(err, errReconnected):
		return nil, nil
	}
	return nil, err
}

// findGap reports whether messages of the topic were removed that were not received.
// The numbers of the server only say that it may be so: after a change of its leader,
// it may count deliveries from an earlier state.
func (s *subscription) findGap(ctx context.Context, msgs []*natsgo.Msg) bool {
	after, suspected := s.noteSequences(msgs)
	if !suspected {
		return false
	}
	info, err := s.p.streamInfo(ctx, s.stream)
	return err == nil && (info.State.First > after+1 || info.State.Deleted > 0)
}

// noteSequences returns a sequence after which messages may have been removed that
// were not received. The server counts the deliveries of a consumer: if more messages
// of the stream lie between two of them than deliveries, some were never delivered. A
// provider itself removes only what all groups have acknowledged.
func (s *subscription) noteSequences(msgs []*natsgo.Msg) (after uint64, suspected bool) {
	connection, _ := s.p.reconnected.current()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seenOn != connection { // a server that was restarted may count from an earlier state
		s.seen, s.seenOn = natsgo.SequencePair{}, connection
	}
	for _, m := range msgs {
		meta, err := m.Metadata()
		if err != nil || meta.NumDelivered != 1 {
			continue
		}
		seq, last := meta.Sequence, s.seen
		if last.Stream > 0 && seq.Consumer > last.Consumer && seq.Stream > last.Stream &&
			seq.Stream-last.Stream > seq.Consumer-last.Consumer {
			after, suspected = last.Stream, true
		}
		s.seen = seq
	}
	return after, suspected
}

// keepMessages keeps messages for the next Receive.
func (s *subscription) keepMessages(msgs []*natsgo.Msg) {
	q, err := s.newPull()
	if err != nil {
		for _, m := range msgs {
			s.giveBack(m.Reply)
		}
		return
	}
	q.missing = len(msgs)
	q.connection, _ = s.p.reconnected.current()
	for _, m := range msgs {
		q.msgs <- m // it has room for a batch
	}
	s.keepPull(q)
}

// usePull returns the messages that come for a pull, and ends or keeps it.
func (s *subscription) usePull(ctx context.Context, q *pull, limit int) ([]*natsgo.Msg, error) {
	msgs, over, err := s.collectMessages(ctx, q, limit)
	s.endPull(ctx, q, over, err)
	return msgs, err
}

// endPull keeps what a later Receive can use of a pull. over says that nothing more
// comes for it.
func (s *subscription) endPull(ctx context.Context, q *pull, over bool, err error) {
	switch {
	case over:
		s.reusePull(q)
	case err == nil || ctx.Err() != nil:
		s.keepPull(q)
	default:
		s.dropPull(q)
	}
}

// collectMessages returns at most limit of the messages that come for a pull. over
// says that nothing more comes.
func (s *subscription) collectMessages(ctx context.Context, q *pull, limit int) (out []*natsgo.Msg, over bool, err error) {
	_, broken := s.p.reconnected.current()
	silence := time.NewTimer(pullSilence)
	defer silence.Stop()
	for q.missing > 0 && len(out) < limit {
		m, err := s.nextMessage(ctx, q, broken, silence.C)
		if m == nil {
			return out, false, err
		}
		silence.Reset(pullSilence)
		if m.Header.Get("Status") == "" {
			out = append(out, m)
			q.missing--
			continue
		}
		if over, err := s.takeStatus(ctx, m); over {
			return out, true, err
		}
	}
	return out, q.missing == 0, nil
}

// errReconnected ends a pull that the server has forgotten with the connection.
var errReconnected = fairlead.Errorf(fairlead.Unavailable, "the connection broke")

// nextMessage waits for the next message or status of a pull. What is there comes
// before everything else.
func (s *subscription) nextMessage(ctx context.Context, q *pull, broken <-chan struct{}, silence <-chan time.Time) (*natsgo.Msg, error) {
	select {
	case m := <-q.msgs:
		return m, nil
	default:
	}
	select {
	case m := <-q.msgs:
		return m, nil
	case <-broken:
		return nil, errReconnected
	case <-silence:
		return nil, s.explainSilence(ctx)
	case <-ctx.Done():
		return nil, mapErr(ctx.Err(), false)
	case <-s.life.Done():
		return nil, s.life.Err()
	}
}

// explainSilence finds out why nothing comes for a pull, not even a heartbeat: a
// group that has its most messages in flight is silent until one of them comes
// again or is settled.
func (s *subscription) explainSilence(ctx context.Context) error {
	if err := s.explainMissing(ctx); err != nil {
		return fairlead.Errorf(fairlead.CodeOf(err), "nothing was heard of the messages asked for within %v: %w", pullSilence, err)
	}
	return errSilent
}

// errSilent ends a pull that the server does not answer although it knows the
// consumer.
var errSilent = fairlead.Errorf(fairlead.Unavailable, "the server answers, and does not answer the request for messages")

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
	s.idle = nil
	s.mu.Unlock()
	for _, reply := range s.leases.clear() {
		s.giveBack(reply)
	}
	s.records().close()
	if s.group == "" {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_ = s.p.deleteConsumer(ctx, s.stream, s.consumer) // or the server forgets it later
		return nil
	}
	return nil
}
