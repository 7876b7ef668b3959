package redis

import (
	"container/heap"
	"strconv"
	"time"
)

// pending is what a broadcast has read and not yet acknowledged.
type pending struct {
	byID   map[string]*message
	due    dueHeap
	lanes  map[string][]*message // by ordering key: the first is due, the others wait
	parked int                   // how many wait so
	read   uint64
}

// message is a message that was read. Its fields are never changed.
type message struct {
	id      string
	fields  []any
	key     string
	number  uint64 // in the order of reading
	attempt int
	held    bool      // leased, not given back
	due     time.Time // when the lease or the delay ends
	index   int       // in the heap
}

func newPending() pending {
	return pending{byID: map[string]*message{}, lanes: map[string][]*message{}}
}

// add makes a message due, or parks it behind another one of its key.
func (p *pending) add(id string, fields []any, now time.Time) {
	p.read++
	m := &message{id: id, fields: fields, key: keyOf(fields), number: p.read, due: now}
	if m.key != "" {
		lane := append(p.lanes[m.key], m)
		p.lanes[m.key] = lane
		if len(lane) > 1 {
			p.parked++
			return
		}
	}
	p.put(m)
}

func keyOf(fields []any) string {
	for i := 0; i+1 < len(fields); i += 2 {
		if text(fields[i]) == keyField {
			return text(fields[i+1])
		}
	}
	return ""
}

func (p *pending) put(m *message) {
	p.byID[m.id] = m
	heap.Push(&p.due, m)
}

// take leases the message that is due first, or returns nil if none is due.
func (p *pending) take(now time.Time, lease time.Duration) *message {
	if len(p.due) == 0 || p.due[0].due.After(now) {
		return nil
	}
	m := p.due[0]
	m.attempt++
	m.held = true
	p.schedule(m, now.Add(lease))
	return m
}

// next is when the next message is due, or zero.
func (p *pending) next() time.Time {
	if len(p.due) == 0 {
		return time.Time{}
	}
	return p.due[0].due
}

// held returns the message if this attempt still holds it, or nil.
func (p *pending) held(id, attempt string) *message {
	m := p.byID[id]
	if m == nil || !m.held || strconv.Itoa(m.attempt) != attempt {
		return nil
	}
	return m
}

func (p *pending) schedule(m *message, at time.Time) {
	m.due = at
	heap.Fix(&p.due, m.index)
}

// finish forgets a message, and makes the next one of its key due.
func (p *pending) finish(m *message, now time.Time) {
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
	p.put(lane[0])
}

// dueHeap has the message that is due first at its top; of two, the older one.
type dueHeap []*message

func (h dueHeap) Len() int { return len(h) }

func (h dueHeap) Less(i, j int) bool {
	if c := h[i].due.Compare(h[j].due); c != 0 {
		return c < 0
	}
	return h[i].number < h[j].number
}

func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *dueHeap) Push(x any) {
	m := x.(*message)
	m.index = len(*h)
	*h = append(*h, m)
}

func (h *dueHeap) Pop() any {
	old := *h
	m := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return m
}
