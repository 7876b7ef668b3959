package redis

import (
	"context"
	"strconv"
	"time"

	"fairlead.dev/providers"
	"fairlead.dev/pubsub/driver"
)

// cursor is how far a broadcast has read: see pubsub_read.lua.
type cursor struct {
	position string
	ordinal  int64
	deleted  string
	seen     int64
}

func parseCursor(v any) cursor {
	l := asList(v)
	return cursor{
		position: asText(elementOf(l, 0)), ordinal: asNumber(elementOf(l, 1)),
		deleted: asText(elementOf(l, 2)), seen: asNumber(elementOf(l, 3)),
	}
}

// broadcast is a subscription without a group. The server has no state of it:
// its cursor, and the messages that it has not acknowledged, are kept here.
type broadcast struct {
	p             *provider
	life          *providers.Lifetime
	keys          topicKeys
	topic         string
	leaseDuration time.Duration

	// Only the fetch uses these, of which one runs at a time.
	epoch  string // identifies the topic that was joined; empty: join it again
	cursor cursor

	receiver receiver
	pending  pending // guarded by the receiver
}

func newBroadcast(p *provider, c driver.SubscriptionConfig, j joinResult) *broadcast {
	return &broadcast{
		p: p, life: p.life.Child("subscription"), keys: p.topicKeys(c.Topic), topic: c.Topic, leaseDuration: c.AckDeadline,
		epoch: j.epoch, cursor: j.cursor, pending: newPending(),
	}
}

// Receive implements the pubsub driver's Subscription.
func (b *broadcast) Receive(ctx context.Context, limit int) ([]driver.Delivery, error) {
	return b.receiver.receive(ctx, b.life, b, limit)
}

// takeReady implements fetcher.
func (b *broadcast) takeReady(limit int, now time.Time) ([]driver.Delivery, time.Time) {
	var out []driver.Delivery
	for len(out) < limit {
		m := b.pending.leaseNext(now, b.leaseDuration)
		if m == nil {
			break
		}
		d := decodeEntry(m.id, m.fields)
		d.Attempt = m.leases - m.released
		d.Token = token{id: m.id, lease: strconv.Itoa(m.leases)}.String()
		out = append(out, d)
	}
	return out, b.pending.nextDue()
}

// fetch implements fetcher.
func (b *broadcast) fetch(limit int) error {
	if b.isFull() {
		providers.Pause(b.life.Context(), retryPause)
		return nil
	}
	if err := b.rejoinIfLost(); err != nil {
		return err
	}
	ctx, c := context.Background(), b.cursor
	reply, err := b.p.query(ctx, b.keys.stream, readScript.command(ctx, []string{b.keys.stream, b.keys.meta},
		b.epoch, c.position, c.ordinal, c.deleted, c.seen, limit, maxReceiveBytes))
	if err != nil {
		return err
	}
	return b.acceptReply(asList(reply))
}

// acceptReply moves the cursor and keeps the messages of a reply of the read
// script. If there are none, it waits for some.
func (b *broadcast) acceptReply(reply []any) error {
	switch asText(elementOf(reply, 0)) {
	case "ok":
		b.cursor = parseCursor(elementOf(reply, 1))
		entries := asList(elementOf(reply, 2))
		if len(entries) == 0 {
			b.p.awaitEntry(b.life, maxWait, b.keys.stream, b.cursor.position)
		}
		b.addEntries(entries)
		return nil
	case "gap":
		b.cursor = parseCursor(elementOf(reply, 1))
		return lostMessagesError()
	case "lost":
		b.epoch = ""
		return lostMessagesError()
	default:
		return unexpectedReply(reply)
	}
}

// isFull reports whether so many messages wait for their ordering keys that no
// more are read.
func (b *broadcast) isFull() bool {
	b.receiver.Lock()
	defer b.receiver.Unlock()
	return b.pending.parked >= maxParked
}

// rejoinIfLost starts at the beginning of the topic that has replaced a lost
// one.
func (b *broadcast) rejoinIfLost() error {
	if b.epoch != "" {
		return nil
	}
	j, err := b.p.join(context.Background(), driver.SubscriptionConfig{Topic: b.topic, Start: driver.StartEarliest})
	b.epoch, b.cursor = j.epoch, j.cursor
	return err
}

func (b *broadcast) addEntries(entries []any) {
	b.receiver.Lock()
	defer b.receiver.Unlock()
	now := time.Now()
	for _, e := range entries {
		id, fields := splitEntry(e)
		b.pending.addMessage(id, fields, now)
	}
}

// Settle implements the pubsub driver's Subscription.
func (b *broadcast) Settle(ctx context.Context, all []driver.Settlement) []error {
	errs := make([]error, len(all))
	err := b.life.Check(ctx)
	b.receiver.Lock()
	defer b.receiver.Unlock()
	now := time.Now()
	for i, st := range all {
		if errs[i] = err; err == nil {
			errs[i] = b.settleOne(st, now)
		}
	}
	b.receiver.changed.Fire()
	return errs
}

// settleOne is called with the receiver locked.
func (b *broadcast) settleOne(st driver.Settlement, now time.Time) error {
	t, err := parseSettlement(st)
	if err != nil {
		return err
	}
	m := b.pending.findLeased(t.id, t.lease)
	if m == nil {
		return lostLeaseError()
	}
	switch st.Kind {
	case driver.Ack:
		b.pending.remove(m, now)
	case driver.Nack:
		m.leased = false
		b.pending.schedule(m, now.Add(st.Delay))
	case driver.Release:
		m.leased = false
		m.released++
		b.pending.schedule(m, now)
	case driver.Extend:
		delay := st.Delay
		if delay == 0 {
			delay = b.leaseDuration
		}
		b.pending.schedule(m, now.Add(delay))
	}
	return nil
}

// Close implements the pubsub driver's Subscription.
func (b *broadcast) Close(context.Context) error {
	b.life.End()
	return nil
}
