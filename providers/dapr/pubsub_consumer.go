package dapr

import (
	"context"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

// groupConsumer consumes a group for all handles of the group in a provider.
//
// The runtime cannot return an event to the broker: it treats the answer RETRY
// as an acknowledgement. So an event that was given back, or whose lease has
// ended, stays here without an answer and is delivered again from here. An event
// that stays for long is renewed, see renewAll.
type groupConsumer struct {
	p         *provider
	topic     string
	group     string
	component string
	since     time.Time

	streams [2]topicStream  // of the topic, and of the redelivery topic
	life    context.Context // ends when the streams are to be cut off
	kill    context.CancelFunc
	tasks   sync.WaitGroup

	mu        sync.Mutex
	handles   int
	idleTimer *time.Timer              // closes the consumer; runs while there is no handle
	opened    providers.Signal         // a stream was established, or could not be
	changed   providers.Signal         // an event is ready, or a stream could not be established
	pending   map[string]*pendingEvent // by uid
	ready     []*pendingEvent
	leased    map[uint64]*pendingEvent // by token
	recent    []string                 // uids of the answered events, the oldest first
	tokens    uint64
	fault     error // why the last attempt to establish a stream failed
	faults    int   // how many attempts failed
}

// topicStream is the subscription to one of the two topics that deliver the
// events of a group.
type topicStream struct {
	open   context.Context // ends when no more events are accepted
	close  context.CancelFunc
	ended  chan struct{} // closed at the end of its stream
	stream *eventStream  // nil while there is none; guarded by the consumer's lock
}

// pendingEvent is an event that was received and is not forgotten yet.
type pendingEvent struct {
	receivedEvent
	stream   *eventStream // the stream to answer on; nil if that has ended
	id       string       // the id to answer with
	arrived  time.Time
	holder   *subscription
	token    uint64
	lease    *time.Timer
	settled  bool // acknowledged by a handle
	answered bool // acknowledged to the runtime, at least once
	renewing bool
}

func newGroupConsumer(p *provider, c driver.SubscriptionConfig, s assignment) *groupConsumer {
	g := &groupConsumer{
		p: p, topic: c.Topic, group: c.Group, component: s.component, since: s.since,
		pending: map[string]*pendingEvent{}, leased: map[uint64]*pendingEvent{},
	}
	g.life, g.kill = context.WithCancel(context.Background())
	for i, topic := range []string{g.topic, g.redeliveryTopic()} {
		in := &g.streams[i]
		in.open, in.close = context.WithCancel(g.life)
		in.ended = make(chan struct{})
		go func() {
			defer close(in.ended)
			g.keepSubscribed(in, topic)
		}()
	}
	g.tasks.Go(g.renewAll)
	return g
}

// redeliveryTopic is the topic of the events that are delivered to the group
// again. No other topic has such a name: ~ is not valid in it.
func (g *groupConsumer) redeliveryTopic() string { return g.topic + "~" + g.group }

// close ends the streams. It returns when the runtime has read all answers.
// Events without an answer move to the redelivery topic, after the provider has
// stopped reading that topic: a stream that ends while events have no answer would
// block all subscriptions of the sidecar.
func (g *groupConsumer) close() {
	timer := time.AfterFunc(drainTimeout, g.kill)
	defer timer.Stop()
	defer g.kill()
	redelivery := &g.streams[1]
	redelivery.close()
	<-redelivery.ended
	g.renew(g.takeRenewable(time.Now(), 0))
	g.streams[0].close()
	<-g.streams[0].ended
	g.kill()
	g.tasks.Wait()
}

func (g *groupConsumer) markConnected(in *topicStream, stream *eventStream) {
	g.mu.Lock()
	defer g.mu.Unlock()
	in.stream = stream
	g.fault = nil
	g.opened.Fire()
}

// connected reports whether both streams are established. The lock is held.
func (g *groupConsumer) connected() bool {
	return g.streams[0].stream != nil && g.streams[1].stream != nil
}

// markDisconnected notes that a stream has ended. The runtime delivers its
// events again.
func (g *groupConsumer) markDisconnected(in *topicStream, stream *eventStream) {
	g.mu.Lock()
	defer g.mu.Unlock()
	in.stream = nil
	for _, e := range g.pending {
		if e.stream == stream {
			e.stream = nil
		}
	}
}

// recordFault notes that a stream could not be established.
func (g *groupConsumer) recordFault(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fault = err
	g.faults++
	g.changed.Fire()
	g.opened.Fire()
}

// waitConnected waits until both streams are established.
func (g *groupConsumer) waitConnected(ctx context.Context) error {
	for {
		g.mu.Lock()
		if g.connected() {
			g.mu.Unlock()
			return nil
		}
		fault, opened := g.fault, g.opened.Next()
		g.mu.Unlock()
		if fault != nil {
			return fault
		}
		select {
		case <-opened:
		case <-ctx.Done():
			return fairlead.ContextError(ctx)
		case <-g.p.life.Done():
			return g.p.life.Err()
		}
	}
}

// handleEvent stores an event, or acknowledges it at once if it need not be
// delivered.
func (g *groupConsumer) handleEvent(stream *eventStream, r receivedEvent) {
	if g.admit(stream, r) {
		return
	}
	stream.answer(r.event.GetId())
}

// admit stores an event that is to be delivered, or that is pending already. It
// returns false for an event that is to be acknowledged at once.
func (g *groupConsumer) admit(stream *eventStream, r receivedEvent) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.pending[r.uid]
	switch {
	case e != nil && e.settled:
		if !e.answered {
			g.rememberAnswered(e)
		}
		return false
	case e == nil && r.publishedBefore(g.since):
		return false
	case e == nil:
		e = &pendingEvent{receivedEvent: r}
		g.pending[r.uid] = e
		g.makeReady(e)
	}
	e.stream, e.id, e.arrived = stream, r.event.GetId(), time.Now()
	return true
}

// makeReady makes an event available to Receive. The lock is held.
func (g *groupConsumer) makeReady(e *pendingEvent) {
	e.holder = nil
	g.ready = append(g.ready, e)
	g.changed.Fire()
}

// leaseReady leases ready events to a handle. If there are none, it returns the
// channel that the next change closes, and the faults so far.
func (g *groupConsumer) leaseReady(s *subscription, limit int) (ds []driver.Delivery, changed <-chan struct{}, faults int, fault error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(limit, len(g.ready))
	for _, e := range g.ready[:n] {
		ds = append(ds, g.lease(s, e))
	}
	if g.ready = g.ready[n:]; len(g.ready) == 0 {
		g.ready = nil
	}
	return ds, g.changed.Next(), g.faults, g.fault
}
