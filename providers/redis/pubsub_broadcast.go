package redis

import (
	"context"
	"strconv"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/pubsub/driver"
)

// place is how far a broadcast has read: see pubsub_read.lua.
type place struct {
	position string
	ordinal  int64
	deleted  string
	seen     int64
}

func parsePlace(v any) place {
	l := list(v)
	return place{position: text(at(l, 0)), ordinal: number(at(l, 1)), deleted: text(at(l, 2)), seen: number(at(l, 3))}
}

// broadcast is a subscription without a group. The server knows nothing of it:
// where it is, and what it has not acknowledged, is kept here.
type broadcast struct {
	handle
	keys  topicKeys
	name  string
	lease time.Duration

	// These belong to the pull, of which there is one at a time.
	epoch string // of the topic as it was joined; empty: join it anew
	place place

	inbox   inbox
	pending pending // guarded by the inbox
}

func newBroadcast(p *provider, c driver.SubscriptionConfig, j join) *broadcast {
	return &broadcast{
		handle: newHandle(p), keys: p.topicKeys(c.Topic), name: c.Topic, lease: c.AckDeadline,
		epoch: j.epoch, place: j.place, pending: newPending(),
	}
}

// Receive implements the pubsub driver's Subscription.
func (b *broadcast) Receive(ctx context.Context, limit int) ([]driver.Delivery, error) {
	return b.inbox.receive(ctx, &b.handle, b, limit)
}

// take implements source.
func (b *broadcast) take(limit int, now time.Time) ([]driver.Delivery, time.Time) {
	var out []driver.Delivery
	for len(out) < limit {
		m := b.pending.take(now, b.lease)
		if m == nil {
			break
		}
		d := decode(m.id, m.fields)
		d.Attempt = m.attempt
		d.Token = token{id: m.id, attempt: strconv.Itoa(m.attempt)}.String()
		out = append(out, d)
	}
	return out, b.pending.next()
}

// pull implements source.
func (b *broadcast) pull(limit int) error {
	if b.full() {
		await.Pause(b.life, busyPause)
		return nil
	}
	if err := b.rejoin(); err != nil {
		return err
	}
	reply, err := b.p.run(context.Background(), nil, readScript, []string{b.keys.stream, b.keys.meta},
		b.epoch, b.place.position, b.place.ordinal, b.place.deleted, b.place.seen, limit, maxReceiveBytes)
	if err != nil {
		return err
	}
	l := list(reply)
	switch text(at(l, 0)) {
	case "ok":
		b.place = parsePlace(at(l, 1))
		if !b.add(list(at(l, 2))) {
			b.block(longestWait, b.keys.stream, b.place.position)
		}
		return nil
	case "gap":
		b.place = parsePlace(at(l, 1))
		return lostMessages()
	case "lost":
		b.epoch = ""
		return lostMessages()
	default:
		return unexpectedReply(reply)
	}
}

func (b *broadcast) full() bool {
	b.inbox.Lock()
	defer b.inbox.Unlock()
	return b.pending.parked >= maxParked
}

// rejoin starts at the beginning of the topic that has taken the place of the
// lost one.
func (b *broadcast) rejoin() error {
	if b.epoch != "" {
		return nil
	}
	j, err := b.p.join(context.Background(), driver.SubscriptionConfig{Topic: b.name, Start: driver.StartEarliest})
	b.epoch, b.place = j.epoch, j.place
	return err
}

// add reports whether there are any.
func (b *broadcast) add(entries []any) bool {
	b.inbox.Lock()
	defer b.inbox.Unlock()
	now := time.Now()
	for _, e := range entries {
		l := list(e)
		b.pending.add(text(at(l, 0)), list(at(l, 1)), now)
	}
	return len(entries) > 0
}

// Settle implements the pubsub driver's Subscription.
func (b *broadcast) Settle(ctx context.Context, all []driver.Settlement) []error {
	errs := make([]error, len(all))
	err := b.ready(ctx)
	b.inbox.Lock()
	defer b.inbox.Unlock()
	now := time.Now()
	for i, st := range all {
		if errs[i] = err; err == nil {
			errs[i] = b.settle(st, now)
		}
	}
	b.inbox.changed.Fire()
	return errs
}

func (b *broadcast) settle(st driver.Settlement, now time.Time) error {
	t, err := parseToken(st.Token)
	if err != nil {
		return err
	}
	m := b.pending.held(t.id, t.attempt)
	if m == nil {
		return lostLease()
	}
	switch st.Kind {
	case driver.Ack:
		b.pending.finish(m, now)
	case driver.Nack:
		m.held = false
		b.pending.schedule(m, now.Add(st.Delay))
	case driver.Extend:
		delay := st.Delay
		if delay == 0 {
			delay = b.lease
		}
		b.pending.schedule(m, now.Add(delay))
	default:
		return fairlead.Errorf(fairlead.Invalid, "settlement of the unknown kind %d", st.Kind)
	}
	return nil
}

// Close implements the pubsub driver's Subscription.
func (b *broadcast) Close(context.Context) error {
	b.end()
	return nil
}
