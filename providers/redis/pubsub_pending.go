package redis

import (
	"container/heap"
	"strconv"
	"time"
)

// pending holds the messages that a broadcast has read and not yet
// acknowledged.
type pending struct {
	byID   map[string]*pendingMessage
	due    dueHeap
	lanes  map[string][]*pendingMessage // by ordering key: the first is in due, the others are parked
	parked int                          // the number of parked messages
	read   uint64                       // the number of messages read so far
}

// pendingMessage is a message that was read. Its fields are never changed.
type pendingMessage struct {
	id       string
	fields   []any
	key      string
	number   uint64    // in the order of reading
	leases   int       // the number of its last lease
	released int       // the leases that do not count as attempts
	leased   bool      // and not given back
	due      time.Time // the end of the lease or of the delay
	index    int       // in the heap
}

func newPending() pending {
	return pending{byID: map[string]*pendingMessage{}, lanes: map[string][]*pendingMessage{}}
}

// addMessage makes a message due, or parks it after another one of its key.
func (p *pending) addMessage(id string, fields []any, now time.Time) {
	p.read++
	m := &pendingMessage{id: id, fields: fields, key: orderingKey(fields), number: p.read, due: now}
	if m.key != "" {
		lane := append(p.lanes[m.key], m)
		p.lanes[m.key] = lane
		if len(lane) > 1 {
			p.parked++
			return
		}
	}
	p.insert(m)
}

func (p *pending) insert(m *pendingMessage) {
	p.byID[m.id] = m
	heap.Push(&p.due, m)
}

// leaseNext leases the message that is due first, or returns nil if none is
// due.
func (p *pending) leaseNext(now time.Time, lease time.Duration) *pendingMessage {
	if len(p.due) == 0 || p.due[0].due.After(now) {
		return nil
	}
	m := p.due[0]
	m.leases++
	m.leased = true
	p.schedule(m, now.Add(lease))
	return m
}

// nextDue returns when the next message is due, or zero if there is none.
func (p *pending) nextDue() time.Time {
	if len(p.due) == 0 {
		return time.Time{}
	}
	return p.due[0].due
}

// findLeased returns the message if it still has this lease, or nil.
func (p *pending) findLeased(id, lease string) *pendingMessage {
	m := p.byID[id]
	if m == nil || !m.leased || strconv.Itoa(m.leases) != lease {
		return nil
	}
	return m
}

func (p *pending) schedule(m *pendingMessage, at time.Time) {
	m.due = at
	heap.Fix(&p.due, m.index)
}

// remove drops a message, and makes the next one of its key due.
func (p *pending) remove(m *pendingMessage, now time.Time) {
	heap.Remove(&p.due, m.index)
	delete(p.byID, m.id)
	if m.key == "" {
		return
	}
	lane := p.lanes[m.key][1:]
	if len(lane) == 0 {
		delete(p.lanes, m.key)
		return
	}
	p.lanes[m.key] = lane
	p.parked--
	lane[0].due = now
	p.insert(lane[0])
}
