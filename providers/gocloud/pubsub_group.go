package gocloud

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/tidwall/btree"

	"fairlead.dev"
	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

// maxReady bounds the messages that are fetched before a consumer asks for them.
const maxReady = 100

// group is a subscription of gocloud.dev that the consumers of this process
// share. gocloud.dev has no leases, and identifies an acknowledgement only by
// the message. The group keeps both.
//
// A message is in one of three states: ready, for the next Receive; leased to a
// consumer; or delayed, after it was given back with a delay. Leased and delayed
// messages are held, ordered by the end of the lease or the delay.
type group struct {
	driver    *PubSub
	name      groupName
	consumers int // guarded by openHandles.mu

	opening sync.Mutex // held while the subscription is opened

	mu           sync.Mutex
	source       *Subscription // nil if it is not open
	fetcher      *fetcher      // nil if it does not run
	ready        []*heldMessage
	held         map[uint64]*heldMessage
	due          *btree.BTreeG[*heldMessage]
	tokens       uint64
	waitingCalls int       // calls of Receive that wait
	lastDemand   time.Time // when such a call last began or ended
	changed      providers.Signal
	failure      error // of the subscription, for the next Receive
	closed       bool
	deleted      bool
}

// heldMessage is a message that was fetched and is not settled.
type heldMessage struct {
	*received
	source *Subscription
	owner  *subscription // nil while it is not leased
	token  uint64
	until  time.Time // the end of the lease or the delay
}

func newGroup(d *PubSub, name groupName) *group {
	before := func(a, b *heldMessage) bool {
		return cmp.Or(a.until.Compare(b.until), cmp.Compare(a.token, b.token)) < 0
	}
	return &group{
		driver: d,
		name:   name,
		held:   map[uint64]*heldMessage{},
		due:    btree.NewBTreeGOptions(before, btree.Options{NoLocks: true}),
	}
}

// lease leases up to limit messages to a consumer.
func (g *group) lease(s *subscription, limit int, now time.Time) []driver.Delivery {
	g.makeExpiredReady(now)
	n := min(limit, len(g.ready))
	out := make([]driver.Delivery, n)
	for i, m := range g.ready[:n] {
		m.owner = s
		g.hold(m, now.Add(s.ackDeadline))
		out[i] = copyDelivery(m.content)
		out[i].Token = formatToken(m.token)
		g.ready[i] = nil
	}
	g.ready = g.ready[n:]
	return out
}

// makeExpiredReady makes the messages ready whose lease or delay has ended.
func (g *group) makeExpiredReady(now time.Time) {
	for {
		m, ok := g.due.Min()
		if !ok || m.until.After(now) {
			return
		}
		g.release(m)
		g.ready = append(g.ready, m)
	}
}

// hold keeps a message until a time, with a new token.
func (g *group) hold(m *heldMessage, until time.Time) {
	g.tokens++
	m.token, m.until = g.tokens, until
	g.held[m.token] = m
	g.due.Set(m)
}

// release removes a message from the held ones.
func (g *group) release(m *heldMessage) {
	g.due.Delete(m)
	delete(g.held, m.token)
	m.owner = nil
}

// nextDue returns when the next lease or delay ends, or the zero time.
func (g *group) nextDue() time.Time {
	if m, ok := g.due.Min(); ok {
		return m.until
	}
	return time.Time{}
}

// settle settles one message. If the message is to be acknowledged, settle
// returns it: that happens without the lock.
func (g *group) settle(s *subscription, st driver.Settlement, now time.Time) (*heldMessage, error) {
	m, err := g.findLeased(s, st.Token, now)
	if err != nil {
		return nil, err
	}
	switch st.Kind {
	case driver.Ack:
		g.release(m)
		g.changed.Fire() // the fetcher may wait for the end of the last lease
		return m, nil
	case driver.Nack:
		g.release(m)
		g.giveBack(m, st.Delay, now)
	case driver.Extend:
		g.due.Delete(m)
		m.until = now.Add(cmp.Or(st.Delay, s.ackDeadline))
		g.due.Set(m)
	}
	return nil, nil
}

func (g *group) giveBack(m *heldMessage, delay time.Duration, now time.Time) {
	if delay > 0 {
		g.hold(m, now.Add(delay))
	} else {
		g.ready = append(g.ready, m)
	}
	g.changed.Fire()
}

// findLeased returns the message of a token, if the consumer still has the
// lease.
func (g *group) findLeased(s *subscription, token string, now time.Time) (*heldMessage, error) {
	number, ok := parseToken(token)
	if !ok {
		return nil, fairlead.Errorf(fairlead.Invalid, "token %q is not the token of a delivery; pass Delivery.Token unchanged", token)
	}
	m := g.held[number]
	if m == nil || m.owner != s || !m.until.After(now) {
		return nil, fairlead.Errorf(fairlead.Conflict, "the delivery is already settled, or its lease was lost")
	}
	return m, nil
}

// releaseConsumer makes the messages of a consumer ready.
func (g *group) releaseConsumer(s *subscription) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range g.held {
		if m.owner == s {
			g.release(m)
			g.ready = append(g.ready, m)
		}
	}
	g.changed.Fire()
}

// closeDeleted closes a group that was deleted. Its consumers fail from then on.
func (g *group) closeDeleted() {
	g.mu.Lock()
	g.deleted = true
	g.changed.Fire()
	g.mu.Unlock()
	g.close()
}

// restart makes a group continue after its topic was deleted. The next Receive
// reports the loss.
func (g *group) restart(ctx context.Context) {
	g.mu.Lock()
	wasClosed := g.closed
	g.closed = true // no fetcher starts meanwhile
	p := g.fetcher
	g.mu.Unlock()
	if p != nil {
		p.stop()
	}
	g.opening.Lock()
	g.mu.Lock()
	source, ready := g.detach()
	g.failure = fairlead.Errorf(fairlead.Compacted, "the topic was deleted, with messages that were not received; the subscription continues with those that are published from then on")
	g.closed = wasClosed
	g.changed.Fire()
	g.mu.Unlock()
	g.opening.Unlock()
	closeSubscription(source, ready)
	_ = g.openSource(ctx) // if it fails, the fetcher tries again
}

// close ends the fetcher and closes the subscription, which gives all held
// messages back.
func (g *group) close() {
	g.mu.Lock()
	g.closed = true
	p := g.fetcher
	g.changed.Fire()
	g.mu.Unlock()
	if p != nil {
		p.stop()
	}
	g.opening.Lock() // a call that opens the subscription finds the group closed, and closes it
	defer g.opening.Unlock()
	g.mu.Lock()
	source, ready := g.detach()
	g.mu.Unlock()
	closeSubscription(source, ready)
}

// detach removes the subscription and its messages from the group, and returns
// both.
func (g *group) detach() (*Subscription, []*heldMessage) {
	source, ready := g.source, g.ready
	for _, m := range g.held {
		ready = append(ready, m)
	}
	for _, m := range ready {
		m.owner = nil
	}
	g.source, g.ready = nil, nil
	clear(g.held)
	g.due.Clear()
	return source, ready
}
