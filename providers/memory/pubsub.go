package memory

import (
	"context"
	"strconv"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/pubsub/driver"
)

// topic is the data of one topic: the messages that are still kept, and the
// groups that read them.
type topic struct {
	history int
	window  time.Duration

	mu       sync.Mutex
	messages []stored // the oldest has the number base+1
	base     uint64
	trimAt   int // how many messages there are when trim looks next
	groups   map[string]*group
	ids      map[string]sentID
	idQueue  []sentID // oldest first
	// broadcasts counts the subscriptions without a group.
	broadcasts uint64
	changed    await.Signal
}

// stored is immutable, body and metadata included.
type stored struct {
	driver.Message
	at time.Time
}

// sentID is an id that is remembered to find duplicates.
type sentID struct {
	id     string
	number uint64
	at     time.Time
}

func newTopic(history int, window time.Duration) *topic {
	return &topic{
		history: history,
		window:  window,
		trimAt:  2 * history,
		groups:  map[string]*group{},
		ids:     map[string]sentID{},
	}
}

// end is the number of the newest message.
func (t *topic) end() uint64 { return t.base + uint64(len(t.messages)) }

func (t *topic) message(number uint64) stored { return t.messages[number-t.base-1] }

// send stores one message. The topic is locked.
func (t *topic) send(m driver.Message, now time.Time) driver.SendResult {
	t.forgetIDs(now)
	if seen, ok := t.ids[m.ID]; ok {
		return driver.SendResult{ID: m.ID, Position: position(seen.number), Duplicate: true}
	}
	number := t.end() + 1
	if m.ID == "" {
		m.ID = position(number)
	} else {
		t.rememberID(sentID{m.ID, number, now})
	}
	m.Body, m.Metadata = clone(m.Body), cloneMap(m.Metadata)
	t.messages = append(t.messages, stored{m, now})
	return driver.SendResult{ID: m.ID, Position: position(number)}
}

func (t *topic) rememberID(s sentID) {
	t.ids[s.id] = s
	t.idQueue = append(t.idQueue, s)
}

func (t *topic) forgetIDs(now time.Time) {
	for len(t.idQueue) > 0 && now.Sub(t.idQueue[0].at) >= t.window {
		delete(t.ids, t.idQueue[0].id)
		t.idQueue = t.idQueue[1:]
	}
}

// trim drops messages beyond the history that no group needs any more. It
// looks only when there are twice as many as last time.
func (t *topic) trim() {
	if len(t.messages) < t.trimAt {
		return
	}
	needed := t.end() + 1
	for _, g := range t.groups {
		needed = min(needed, g.oldest())
	}
	if drop := min(int(needed-t.base-1), len(t.messages)-t.history); drop > 0 {
		t.messages = append([]stored(nil), t.messages[drop:]...)
		t.base += uint64(drop)
	}
	t.trimAt = 2 * max(len(t.messages), t.history)
}

func position(number uint64) string { return strconv.FormatUint(number, 10) }

func cloneMap(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	c := make(map[string]string, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// topic returns the topic of that name, and creates it if need be.
func (b *backend) topic(name string) *topic {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topics[name]
	if t == nil {
		t = newTopic(b.history, b.window)
		b.topics[name] = t
	}
	return t
}

// OpenTopic implements the pubsub driver's Provider.
func (p *provider) OpenTopic(ctx context.Context, c driver.TopicConfig) (driver.Topic, error) {
	if err := p.life.ready(ctx); err != nil {
		return nil, err
	}
	return &publisher{p.backend.topic(c.Name), newLifetime(p.life.ctx)}, nil
}

// Topics implements the pubsub driver's Provider.
func (p *provider) Topics(ctx context.Context, prefix string) ([]string, error) {
	if err := p.life.ready(ctx); err != nil {
		return nil, err
	}
	p.backend.mu.Lock()
	defer p.backend.mu.Unlock()
	return withPrefix(p.backend.topics, prefix), nil
}

// DeleteTopic implements the pubsub driver's Provider. Handles that are open
// go on with the detached data.
func (p *provider) DeleteTopic(ctx context.Context, name string) error {
	if err := p.life.ready(ctx); err != nil {
		return err
	}
	p.backend.mu.Lock()
	defer p.backend.mu.Unlock()
	delete(p.backend.topics, name)
	return nil
}

// DeleteGroup implements the pubsub driver's Provider. Handles that are open
// fail with NotFound.
func (p *provider) DeleteGroup(ctx context.Context, topicName, groupName string) error {
	if err := p.life.ready(ctx); err != nil {
		return err
	}
	p.backend.mu.Lock()
	t := p.backend.topics[topicName]
	p.backend.mu.Unlock()
	if t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		if g := t.groups[groupName]; g != nil {
			delete(t.groups, groupName)
			g.delete()
		}
	}
	return nil
}

// publisher is a handle of a topic.
type publisher struct {
	*topic
	life lifetime
}

// Send implements the pubsub driver's Topic.
func (p *publisher) Send(ctx context.Context, msgs []driver.Message) []driver.SendResult {
	results := make([]driver.SendResult, len(msgs))
	if err := p.life.ready(ctx); err != nil {
		for i := range results {
			results[i].Err = err
		}
		return results
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for i, m := range msgs {
		results[i] = p.send(m, now)
	}
	p.trim()
	p.changed.Fire()
	return results
}

// Close implements the pubsub driver's Topic.
func (p *publisher) Close(context.Context) error {
	p.life.end()
	return nil
}

// OpenSubscription implements the pubsub driver's Provider. A broadcast is a
// group without a name that ends with its only consumer.
func (p *provider) OpenSubscription(ctx context.Context, c driver.SubscriptionConfig) (driver.Subscription, error) {
	if err := p.life.ready(ctx); err != nil {
		return nil, err
	}
	t := p.backend.topic(c.Topic)
	t.mu.Lock()
	defer t.mu.Unlock()
	name := c.Group
	if name == "" {
		t.broadcasts++
		name = "broadcast/" + position(t.broadcasts)
	}
	g := t.groups[name]
	if g == nil {
		next, err := t.start(c)
		if err != nil {
			return nil, err
		}
		g = newGroup(t, next)
		t.groups[name] = g
	}
	s := &subscription{group: g, name: name, lease: c.AckDeadline, life: newLifetime(p.life.ctx)}
	s.release = context.AfterFunc(s.life.ctx, s.giveBack)
	return s, nil
}

// start returns the number of the first message for a new group.
func (t *topic) start(c driver.SubscriptionConfig) (uint64, error) {
	switch c.Start {
	case driver.StartEarliest:
		return t.base + 1, nil
	case driver.StartTime:
		for i, m := range t.messages {
			if !m.at.Before(c.Time) {
				return t.base + 1 + uint64(i), nil
			}
		}
		return t.end() + 1, nil
	case driver.StartPosition:
		n, err := strconv.ParseUint(c.Position, 10, 64)
		if err != nil || n > t.end() {
			return 0, fairlead.Errorf(fairlead.Invalid, "position %q was never one of this topic; pass one that a delivery carried", c.Position)
		}
		if n < t.base {
			return 0, fairlead.Errorf(fairlead.Compacted, "the messages behind position %q are no longer kept; start at the earliest", c.Position)
		}
		return n + 1, nil
	default:
		return t.end() + 1, nil
	}
}
