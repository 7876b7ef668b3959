package memory

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/btree"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// maxParked bounds the messages of a group that wait for another one with
// their ordering key.
const maxParked = 10_000

// group is what one group knows of a topic's messages: up to next they were
// handed out, or are parked; of those, the ones in pending are not yet
// acknowledged. It is guarded by the topic's lock.
type group struct {
	*topic
	next    uint64
	pending map[uint64]*delivery
	due     *btree.BTreeG[*delivery] // pending ones, by when they come again
	lanes   map[string]*lane         // by ordering key, as long as one is pending
	parked  int
	deleted bool
}

// delivery is a message that was handed out or is to come again.
type delivery struct {
	number  uint64
	attempt int
	owner   *subscription // nil while nobody holds it
	lease   uint64        // tells this handing out from any other
	due     time.Time     // when the lease or the delay ends
}

// lane is the order of the messages with one key: the first is pending, the
// others wait here.
type lane struct{ waiting []uint64 }

func newGroup(t *topic, next uint64) *group {
	before := func(a, b *delivery) bool {
		return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.number, b.number)) < 0
	}
	return &group{
		topic:   t,
		next:    next,
		pending: map[uint64]*delivery{},
		due:     btree.NewBTreeGOptions(before, btree.Options{NoLocks: true}),
		lanes:   map[string]*lane{},
	}
}

// oldest returns the number of the oldest message that the group still needs.
func (g *group) oldest() uint64 {
	oldest := g.next
	for number := range g.pending {
		oldest = min(oldest, number)
	}
	for _, l := range g.lanes {
		if len(l.waiting) > 0 {
			oldest = min(oldest, l.waiting[0])
		}
	}
	return oldest
}

// take hands out up to limit messages: first those that come again, then new
// ones.
func (g *group) take(s *subscription, limit int, now time.Time) []driver.Delivery {
	if g.deleted {
		return nil
	}
	var out []driver.Delivery
	for len(out) < limit {
		d, ok := g.due.Min()
		if !ok || d.due.After(now) {
			break
		}
		out = append(out, g.hand(d, s, now))
	}
	for len(out) < limit && g.next <= g.end() && g.parked < maxParked {
		number := g.next
		g.next++
		if !g.park(number) {
			out = append(out, g.hand(&delivery{number: number}, s, now))
		}
	}
	return out
}

// park puts a message behind a pending one with its key, and reports whether
// there is one.
func (g *group) park(number uint64) bool {
	key := g.message(number).Key
	if key == "" {
		return false
	}
	l := g.lanes[key]
	if l == nil {
		g.lanes[key] = &lane{}
		return false
	}
	l.waiting = append(l.waiting, number)
	g.parked++
	return true
}

// hand leases a delivery to a subscription.
func (g *group) hand(d *delivery, s *subscription, now time.Time) driver.Delivery {
	d.attempt++
	d.owner = s
	d.lease++
	g.pending[d.number] = d
	g.schedule(d, now.Add(s.lease))
	m := g.message(d.number)
	return driver.Delivery{
		ID:       m.ID,
		Key:      m.Key,
		Body:     clone(m.Body),
		Metadata: cloneMap(m.Metadata),
		Time:     m.at,
		Token:    position(d.number) + "." + position(d.lease),
		Attempt:  d.attempt,
		Position: position(d.number),
	}
}

func (g *group) schedule(d *delivery, at time.Time) {
	g.due.Delete(d)
	d.due = at
	g.due.Set(d)
}

// settle settles one delivery.
func (g *group) settle(s *subscription, st driver.Settlement, now time.Time) error {
	d, err := g.held(s, st.Token)
	if err != nil {
		return err
	}
	switch st.Kind {
	case driver.Ack:
		g.finish(d, now)
	case driver.Nack:
		d.owner = nil
		g.schedule(d, now.Add(st.Delay))
		g.changed.Fire()
	case driver.Extend:
		g.schedule(d, now.Add(cmp.Or(st.Delay, s.lease)))
	}
	return nil
}

// held returns the delivery that a token stands for, if its lease is still
// the subscription's.
func (g *group) held(s *subscription, token string) (*delivery, error) {
	n, l, ok := strings.Cut(token, ".")
	number, err1 := strconv.ParseUint(n, 10, 64)
	lease, err2 := strconv.ParseUint(l, 10, 64)
	if !ok || err1 != nil || err2 != nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "token %q is not one of a delivery", token)
	}
	d := g.pending[number]
	if d == nil || d.owner != s || d.lease != lease {
		return nil, fairlead.Errorf(fairlead.Conflict, "the lease of this delivery was lost or is settled")
	}
	return d, nil
}

// finish forgets a delivery, and lets the next one with its key come.
func (g *group) finish(d *delivery, now time.Time) {
	g.due.Delete(d)
	delete(g.pending, d.number)
	key := g.message(d.number).Key
	l := g.lanes[key]
	switch {
	case l == nil:
	case len(l.waiting) == 0:
		delete(g.lanes, key)
	default:
		next := &delivery{number: l.waiting[0], due: now}
		l.waiting = l.waiting[1:]
		g.parked--
		g.pending[next.number] = next
		g.due.Set(next)
		g.changed.Fire()
	}
}

// delete ends the group for those who still hold it.
func (g *group) delete() {
	g.deleted = true
	clear(g.pending)
	g.due.Clear()
	g.changed.Fire()
}

// subscription is a handle of a group.
type subscription struct {
	*group
	name    string
	lease   time.Duration
	life    lifetime
	release func() bool
}

// Receive implements the pubsub driver's Subscription.
func (s *subscription) Receive(ctx context.Context, limit int) ([]driver.Delivery, error) {
	for err := s.life.ready(ctx); ; {
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		out, deleted := s.take(s, limit, time.Now()), s.deleted
		changed, next := s.changed.Next(), s.nextDue()
		s.mu.Unlock()
		switch {
		case len(out) > 0:
			return out, nil
		case deleted:
			return nil, fairlead.Errorf(fairlead.NotFound, "the group was deleted; subscribe again")
		}
		err = s.life.wait(ctx, changed, next)
	}
}

func (g *group) nextDue() time.Time {
	if d, ok := g.due.Min(); ok {
		return d.due
	}
	return time.Time{}
}

// Settle implements the pubsub driver's Subscription.
func (s *subscription) Settle(ctx context.Context, all []driver.Settlement) []error {
	errs := make([]error, len(all))
	if err := s.life.ready(ctx); err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for i, st := range all {
		errs[i] = s.settle(s, st, now)
	}
	return errs
}

// Close implements the pubsub driver's Subscription.
func (s *subscription) Close(context.Context) error {
	s.life.end()
	if s.release() {
		s.giveBack()
	}
	return nil
}

// giveBack makes what the subscription holds come again at once, or ends the
// group of a broadcast.
func (s *subscription) giveBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.HasPrefix(s.name, "broadcast/") {
		delete(s.groups, s.name)
		s.delete()
		return
	}
	now := time.Now()
	for _, d := range s.pending {
		if d.owner == s {
			d.owner = nil
			s.schedule(d, now)
		}
	}
	s.changed.Fire()
}
