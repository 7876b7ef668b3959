package memory

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/btree"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// maxWaiting bounds the messages of a group that wait for an earlier message
// with their ordering key.
const maxWaiting = 10_000

// group is what one group knows of a topic's messages. A message before next is
// acknowledged, or pending, or waits for its ordering key. The methods of a
// group are called with its topic locked.
type group struct {
	topic   *topic
	next    uint64 // sequence number of the first message that was not looked at
	pending map[uint64]*pendingMessage
	due     *btree.BTreeG[*pendingMessage] // the pending messages by their due time
	keys    keyQueues
	handles int // open subscriptions
	losses  int // how often its topic was deleted, with what it had not received
	deleted bool
}

// pendingMessage is a message that is leased, or that is to be delivered again.
type pendingMessage struct {
	sequence uint64
	attempts int
	owner    *subscription // nil while it is not leased
	leaseID  uint64        // changes with every delivery
	due      time.Time     // when it is delivered again: the end of the lease or the delay
}

func newGroup(t *topic, next uint64) *group {
	return &group{
		topic:   t,
		next:    next,
		pending: map[uint64]*pendingMessage{},
		due:     btree.NewBTreeGOptions(lessDue, btree.Options{NoLocks: true}),
		keys:    newKeyQueues(),
	}
}

func lessDue(a, b *pendingMessage) bool {
	return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.sequence, b.sequence)) < 0
}

// findOrCreateGroup returns the group with a name. The configuration says where
// a new group starts.
func (t *topic) findOrCreateGroup(name string, c driver.SubscriptionConfig) (*group, error) {
	if g := t.groups[name]; g != nil {
		return g, nil
	}
	next, err := t.firstSequence(c)
	if err != nil {
		return nil, err
	}
	g := newGroup(t, next)
	t.groups[name] = g
	return g, nil
}

// deleteGroup removes a group, if it exists, and wakes its consumers.
func (t *topic) deleteGroup(name string) {
	g := t.groups[name]
	if g == nil {
		return
	}
	delete(t.groups, name)
	g.deleted = true
	g.drop()
}

// restart makes the group continue with the messages that are published from now
// on, after its topic was deleted.
func (g *group) restart() {
	g.losses++
	g.next = g.topic.log.last() + 1
	g.keys = newKeyQueues()
	g.drop()
}

// drop removes the messages that are pending, and wakes the consumers.
func (g *group) drop() {
	clear(g.pending)
	g.due.Clear()
	g.topic.changed.Fire()
}

// oldestNeeded returns the sequence number of the oldest message that the group
// has not acknowledged.
func (g *group) oldestNeeded() uint64 {
	oldest := g.keys.oldestWaiting(g.next)
	for sequence := range g.pending {
		oldest = min(oldest, sequence)
	}
	return oldest
}

// deliver leases up to limit messages to a subscription: first messages that are
// due again, then new ones.
func (g *group) deliver(s *subscription, limit int, now time.Time) []driver.Delivery {
	var deliveries []driver.Delivery
	for len(deliveries) < limit {
		m, ok := g.nextMessage(now)
		if !ok {
			break
		}
		deliveries = append(deliveries, g.lease(m, s, now))
	}
	return deliveries
}

// nextMessage returns the next message to deliver, if there is one.
func (g *group) nextMessage(now time.Time) (*pendingMessage, bool) {
	if m, ok := g.due.Min(); ok && !m.due.After(now) {
		return m, true
	}
	return g.nextNewMessage()
}

// nextNewMessage returns the first message that was not looked at yet. It skips
// messages that have to wait for an earlier one with their ordering key.
func (g *group) nextNewMessage() (*pendingMessage, bool) {
	for g.next <= g.topic.log.last() && g.keys.waiting() < maxWaiting {
		sequence := g.next
		g.next++
		if g.keys.acquire(g.topic.log.message(sequence).Key, sequence) {
			return &pendingMessage{sequence: sequence}, true
		}
	}
	return nil, false
}

// lease hands a message to a subscription for its ack deadline.
func (g *group) lease(p *pendingMessage, s *subscription, now time.Time) driver.Delivery {
	p.attempts++
	p.owner = s
	p.leaseID++
	g.pending[p.sequence] = p
	g.schedule(p, now.Add(s.ackDeadline))
	m := g.topic.log.message(p.sequence)
	return driver.Delivery{
		ID:       m.ID,
		Key:      m.Key,
		Body:     copyBytes(m.Body),
		Metadata: copyMetadata(m.Metadata),
		Time:     m.stored,
		Token:    formatDeliveryToken(p),
		Attempt:  p.attempts,
		Position: formatPosition(p.sequence),
	}
}

// schedule sets when a message is delivered again.
func (g *group) schedule(p *pendingMessage, due time.Time) {
	g.due.Delete(p)
	p.due = due
	g.due.Set(p)
}

// nextDue returns when the next pending message is due, or the zero time.
func (g *group) nextDue() time.Time {
	if p, ok := g.due.Min(); ok {
		return p.due
	}
	return time.Time{}
}

// settle carries out one settlement.
func (g *group) settle(s *subscription, st driver.Settlement, now time.Time) error {
	p, err := g.findLeased(s, st.Token)
	if err != nil {
		return err
	}
	switch st.Kind {
	case driver.Ack:
		g.acknowledge(p, now)
	case driver.Nack:
		g.giveBack(p, now.Add(st.Delay))
	case driver.Extend:
		g.schedule(p, now.Add(cmp.Or(st.Delay, s.ackDeadline)))
	case driver.Release:
		p.attempts--
		g.giveBack(p, now)
	}
	return nil
}

// findLeased returns the message that a token names, if the subscription still
// has the lease.
func (g *group) findLeased(s *subscription, token string) (*pendingMessage, error) {
	sequence, leaseID, err := parseDeliveryToken(token)
	if err != nil {
		return nil, err
	}
	p := g.pending[sequence]
	if p == nil || p.owner != s || p.leaseID != leaseID {
		return nil, fairlead.Errorf(fairlead.Conflict, "the delivery is already settled, or its lease was lost")
	}
	return p, nil
}

// acknowledge removes a message. The next one with its ordering key becomes
// due.
func (g *group) acknowledge(p *pendingMessage, now time.Time) {
	g.due.Delete(p)
	delete(g.pending, p.sequence)
	if sequence, ok := g.keys.release(g.topic.log.message(p.sequence).Key); ok {
		next := &pendingMessage{sequence: sequence}
		g.pending[sequence] = next
		g.giveBack(next, now)
	}
}

// giveBack ends the lease of a message, which is delivered again when it is due.
func (g *group) giveBack(p *pendingMessage, due time.Time) {
	p.owner = nil
	g.schedule(p, due)
	g.topic.changed.Fire()
}

// formatDeliveryToken returns the token of a delivery: the message and its lease.
func formatDeliveryToken(p *pendingMessage) string {
	return strconv.FormatUint(p.sequence, 10) + "." + strconv.FormatUint(p.leaseID, 10)
}

func parseDeliveryToken(token string) (sequence, leaseID uint64, err error) {
	first, second, ok := strings.Cut(token, ".")
	sequence, err1 := strconv.ParseUint(first, 10, 64)
	leaseID, err2 := strconv.ParseUint(second, 10, 64)
	if !ok || err1 != nil || err2 != nil {
		return 0, 0, fairlead.Errorf(fairlead.Invalid, "token %q is not the token of a delivery; pass Delivery.Token unchanged", token)
	}
	return sequence, leaseID, nil
}
