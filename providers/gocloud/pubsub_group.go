package gocloud

import (
	"cmp"
	"sync"
	"time"

	"github.com/tidwall/btree"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/pubsub/driver"
)

// maxReady bounds the messages that are taken from a feed before somebody
// asks for them.
const maxReady = 100

// group is a subscription of gocloud.dev as the consumers of this process
// share it. gocloud.dev has no leases, and tells an acknowledgement from its
// neighbour only by the message: both are kept here.
//
// A message is in one of three places: ready, for whoever asks first; leased
// to a consumer; or waiting, after it was given back with a delay. The last
// two are ordered by when they end.
type group struct {
	driver    *PubSub
	name      groupName
	consumers int // guarded by the hub

	opening sync.Mutex // held while a feed is opened

	mu      sync.Mutex
	feed    *Feed // nil if none is open
	pump    *pump // nil if nobody takes messages from the feed
	ready   []*message
	held    map[uint64]*message
	due     *btree.BTreeG[*message]
	tokens  uint64
	asking  int       // calls of Receive that wait
	asked   time.Time // when one of them ended last
	changed await.Signal
	failure error // of the feed, for one who asks
	closed  bool
	deleted bool
}

// message is one message that was taken from a feed and is not settled.
type message struct {
	*received
	feed  *Feed
	owner *subscription // nil while it waits
	token uint64
	until time.Time // the end of the lease or of the delay
}

func newGroup(d *PubSub, name groupName) *group {
	before := func(a, b *message) bool {
		return cmp.Or(a.until.Compare(b.until), cmp.Compare(a.token, b.token)) < 0
	}
	return &group{
		driver: d,
		name:   name,
		held:   map[uint64]*message{},
		due:    btree.NewBTreeGOptions(before, btree.Options{NoLocks: true}),
	}
}

// take leases up to limit messages to a consumer.
func (g *group) take(s *subscription, limit int, now time.Time) []driver.Delivery {
	g.expire(now)
	n := min(limit, len(g.ready))
	out := make([]driver.Delivery, n)
	for i, m := range g.ready[:n] {
		m.owner = s
		g.hold(m, now.Add(s.lease))
		out[i] = own(m.content)
		out[i].Token = formatToken(m.token)
		g.ready[i] = nil
	}
	g.ready = g.ready[n:]
	return out
}

// expire makes ready what is no longer leased or delayed.
func (g *group) expire(now time.Time) {
	for {
		m, ok := g.due.Min()
		if !ok || m.until.After(now) {
			return
		}
		g.drop(m)
		g.ready = append(g.ready, m)
	}
}

// hold keeps a message until a time, under a new token.
func (g *group) hold(m *message, until time.Time) {
	g.tokens++
	m.token, m.until = g.tokens, until
	g.held[m.token] = m
	g.due.Set(m)
}

// drop takes a message out of those that are held.
func (g *group) drop(m *message) {
	g.due.Delete(m)
	delete(g.held, m.token)
	m.owner = nil
}

// nextDue is when the next lease or delay ends; zero if none does.
func (g *group) nextDue() time.Time {
	if m, ok := g.due.Min(); ok {
		return m.until
	}
	return time.Time{}
}

// settle settles one message. It returns the message if it is to be
// acknowledged, which is done without the lock.
func (g *group) settle(s *subscription, st driver.Settlement, now time.Time) (*message, error) {
	m, err := g.leased(s, st.Token, now)
	if err != nil {
		return nil, err
	}
	switch st.Kind {
	case driver.Ack:
		g.drop(m)
		g.changed.Fire() // the pump may be waiting for the last lease to end
		return m, nil
	case driver.Nack:
		g.drop(m)
		g.giveBack(m, st.Delay, now)
	case driver.Extend:
		g.due.Delete(m)
		m.until = now.Add(cmp.Or(st.Delay, s.lease))
		g.due.Set(m)
	}
	return nil, nil
}

func (g *group) giveBack(m *message, delay time.Duration, now time.Time) {
	if delay > 0 {
		g.hold(m, now.Add(delay))
	} else {
		g.ready = append(g.ready, m)
	}
	g.changed.Fire()
}

// leased returns the message that a token stands for, if its lease is still
// the consumer's.
func (g *group) leased(s *subscription, token string, now time.Time) (*message, error) {
	number, ok := parseToken(token)
	if !ok {
		return nil, fairlead.Errorf(fairlead.Invalid, "token %q is not one of a delivery", token)
	}
	m := g.held[number]
	if m == nil || m.owner != s || !m.until.After(now) {
		return nil, fairlead.Errorf(fairlead.Conflict, "the lease of this delivery was lost or is settled")
	}
	return m, nil
}

// release gives back what a consumer holds.
func (g *group) release(s *subscription) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range g.held {
		if m.owner == s {
			g.drop(m)
			g.ready = append(g.ready, m)
		}
	}
	g.changed.Fire()
}

// remove ends the group for those who still hold it.
func (g *group) remove() {
	g.mu.Lock()
	g.deleted = true
	g.changed.Fire()
	g.mu.Unlock()
	g.close()
}

// close ends the pump and closes the feed, and so gives back all that is held.
func (g *group) close() {
	g.mu.Lock()
	g.closed = true
	p := g.pump
	g.changed.Fire()
	g.mu.Unlock()
	if p != nil {
		p.stop()
	}
	g.opening.Lock() // whoever opens a feed finds the group closed, and closes it
	defer g.opening.Unlock()
	g.mu.Lock()
	feed, ready := g.detach()
	g.mu.Unlock()
	closeFeed(feed, ready)
}

// detach forgets the feed and all messages that came from it, and returns
// the feed with those that nobody held.
func (g *group) detach() (*Feed, []*message) {
	feed, ready := g.feed, g.ready
	for _, m := range g.held {
		ready = append(ready, m)
	}
	for _, m := range ready {
		m.owner = nil
	}
	g.feed, g.ready = nil, nil
	clear(g.held)
	g.due.Clear()
	return feed, ready
}
